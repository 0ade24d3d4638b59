//! How long the steps of a chore take: a table at its end, in seconds of the clock and of the processors.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;

/// The kernel counts processor time in these, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;
/// Where `/proc/self/stat` says what ended children have taken, counted behind the name of the program.
const CHILDREN_TICKS: [usize; 2] = [13, 14];

/// The steps that have run, in their order.
pub(crate) struct StepTimes {
    begin: Instant,
    /// What had passed when this process began.
    before: Duration,
    rows: Vec<StepTime>,
}

struct StepTime {
    name: String,
    took: Duration,
    cpu_seconds: Option<f64>,
    is_done: bool,
}

impl StepTimes {
    pub(crate) fn start() -> Self {
        Self { begin: now(), before: Duration::ZERO, rows: Vec::new() }
    }

    /// With what had been done before this process began: its own compilation.
    pub(crate) fn start_after(name: &str, before: Duration) -> Self {
        let compiled = StepTime { name: name.to_owned(), took: before, cpu_seconds: None, is_done: true };
        Self { before, rows: vec![compiled], ..Self::start() }
    }

    /// Runs a step and notes how long it took, also where it fails.
    pub(crate) fn step(&mut self, name: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
        let (begin, cpu_before) = (now(), children_cpu_seconds());
        let done = run();
        let cpu_seconds = cpu_before.zip(children_cpu_seconds()).map(|(before, after)| after - before);
        let (name, took, is_done) = (name.to_owned(), begin.elapsed(), done.is_ok());
        self.rows.push(StepTime { name, took, cpu_seconds, is_done });
        done
    }

    /// Everything until now.
    pub(crate) fn total(&self) -> Duration {
        self.before + self.begin.elapsed()
    }
}

impl fmt::Display for StepTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<32} {:>8} {:>8}", "step", "seconds", "cpu")?;
        for StepTime { name, took, cpu_seconds, is_done } in &self.rows {
            let cpu = cpu_seconds.map_or_else(|| "–".into(), |seconds| format!("{seconds:.1}"));
            let failed = if *is_done { "" } else { "  failed" };
            writeln!(f, "{name:<32} {:>8.1} {cpu:>8}{failed}", took.as_secs_f64())?;
        }
        let cpu: f64 = self.rows.iter().filter_map(|row| row.cpu_seconds).sum();
        writeln!(f, "{:<32} {:>8.1} {cpu:>8.1}", "total", self.total().as_secs_f64())
    }
}

#[expect(clippy::disallowed_methods, reason = "what is measured here is the real time")]
fn now() -> Instant {
    Instant::now()
}

/// What all children that have ended took of the processors; `None` where nobody counts it.
fn children_cpu_seconds() -> Option<f64> {
    read_children_cpu_seconds(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

fn read_children_cpu_seconds(stat: &str) -> Option<f64> {
    // The name stands in parentheses and may hold any character.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = CHILDREN_TICKS.map(|field| fields.get(field)?.parse::<f64>().ok());
    Some((ticks[0]? + ticks[1]?) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_step_that_fails_is_in_the_table() {
        let mut steps = StepTimes::start_after("compile xtask", Duration::from_secs(12));
        steps.step("lint", || Ok(())).unwrap();
        steps.step("test", || bail!("no")).unwrap_err();
        let table = steps.to_string();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 5, "{table}");
        assert!(lines[1].starts_with("compile xtask ") && lines[1].contains("12.0"), "{table}");
        assert!(lines[3].starts_with("test ") && lines[3].ends_with("failed"), "{table}");
        assert!(lines[4].starts_with("total ") && steps.total() >= Duration::from_secs(12), "{table}");
    }

    #[test]
    fn the_time_of_children_is_found_behind_any_name() {
        let stat = "7 (a) (b) R 1 7 7 0 -1 4194304 10 20 0 0 1 2 350 50 20 0 1 0 9";
        assert_eq!(read_children_cpu_seconds(stat), Some(4.0));
        assert_eq!(read_children_cpu_seconds("7 (a"), None);
    }
}
