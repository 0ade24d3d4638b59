//! Command lines that run to their end.

use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use hive_test_peers::PATIENCE;

/// What a command line left behind.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Finished {
    /// Runs a command to its end.
    pub async fn run(mut command: Command) -> Self {
        command.kill_on_drop(true).stdin(std::process::Stdio::null());
        let output = tokio::time::timeout(2 * PATIENCE, command.output());
        let output = output.await.unwrap_or_else(|_| panic!("{command:?} does not end"));
        Self::of(output.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")))
    }

    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Panics unless it went well.
    #[expect(clippy::return_self_not_must_use, reason = "often all that is asked for")]
    pub fn expect_success(self) -> Self {
        assert_eq!(self.code, Some(0), "the command failed: {}", self.stderr);
        self
    }

    /// What it printed, as the one JSON document it is.
    pub fn json(&self) -> Value {
        let Self { stdout, stderr, .. } = self;
        serde_json::from_str(stdout)
            .unwrap_or_else(|error| panic!("not one JSON document ({error}): {stdout:?}, {stderr}"))
    }
}
