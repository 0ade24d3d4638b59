//! How much of the processors a process uses, by the kernel's account.

use std::time::Duration;

use anyhow::Context;
use tokio::time::Instant;

/// Ticks a second of `/proc/<pid>/stat`: a constant of the interface to programs (USER_HZ).
const TICKS: f64 = 100.0;

/// The time that a process has used, from some moment on.
pub(crate) struct CpuTime {
    pid: u32,
    began: Instant,
    before: Duration,
}

impl CpuTime {
    /// Counts from now on.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        Ok(Self { pid, began: Instant::now(), before: used(pid)? })
    }

    /// Returns how many cores it has kept busy since then.
    pub(crate) fn cores(&self) -> anyhow::Result<f64> {
        let used = used(self.pid)?.saturating_sub(self.before);
        Ok(used.as_secs_f64() / self.began.elapsed().as_secs_f64())
    }
}

fn used(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The name of the program may hold anything, even parentheses. Fields 14 and 15 of proc(5), counted from the third.
    let fields: Vec<&str> = text.rsplit_once(')').context("no name")?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<f64>().ok()).context("no ticks");
    Ok(Duration::from_secs_f64((ticks(11)? + ticks(12)?) / TICKS))
}
