//! A measured figure, printed as one JSON line on standard output.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::samples::percentile;

/// A figure and, where the same run measured one, its peer.
pub(crate) struct Figure {
    pub(crate) bench: &'static str,
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) peer: Option<Peer>,
    /// What was measured, so that somebody else can do it again.
    pub(crate) command: String,
}

/// Something else that does the same job, measured in the same run.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) value: f64,
}

impl Figure {
    /// Prints the figure with the spread of the measurements it is made of, and the machine and the commit it belongs to.
    #[expect(clippy::print_stdout, reason = "the line is what the bench is for")]
    pub(crate) fn print(self, samples: &[f64]) {
        let ratio = self.peer.as_ref().map(|peer| rounded(self.value / peer.value));
        let peer = self.peer.map(|peer| json!({ "name": peer.name, "value": rounded(peer.value) }));
        println!(
            "{}",
            json!({
                "bench": self.bench,
                "figure": self.name,
                "value": rounded(self.value),
                "unit": self.unit,
                "spread": spread(samples),
                "peer": peer,
                "ratio": ratio,
                "command": self.command,
                "machine": machine(),
                "commit": commit(),
            })
        );
    }
}

/// Whether figures are wanted. `cargo bench` says so; a test run of all targets starts benches too, and means nothing by it.
pub(crate) fn is_asked_for() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// How far the measurements lie apart: half of them are between the quarters.
fn spread(samples: &[f64]) -> Value {
    let at = |percent| rounded(percentile(samples, percent));
    json!({ "samples": samples.len(), "min": at(0), "p25": at(25), "p75": at(75), "max": at(100) })
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn machine() -> Value {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    json!({
        "cpu": field_of("/proc/cpuinfo", "model name"),
        "cores": cores,
        "memory": field_of("/proc/meminfo", "MemTotal"),
        "kernel": output_of("uname", &["-sr"]),
    })
}

/// The commit, marked where the sources differ from it.
fn commit() -> Option<String> {
    output_of("git", &["describe", "--always", "--dirty", "--exclude=*"])
}

fn field_of(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
