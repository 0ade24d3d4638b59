//! Commands: what one says, and how it ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ErrorBody;
use crate::Timestamp;
use crate::api::{CommandStatus, PowerAction};
use crate::id::CommandId;

/// A command on its way to a satellite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Which command: executed at most once.
    pub id: CommandId,
    /// How long after it was sent it may still be started, in milliseconds; relative, because clocks differ.
    pub expires_in_ms: u64,
    /// When it was sent, by a clock of the server that does not jump. The satellite compares it with that of other
    /// messages of the link, to tell how long this one was under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// What the server has of its output from an earlier link.
    #[serde(default)]
    pub received: Received,
    /// Whether the server was told before that it runs: a journal that does not know it is not the one that was told of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub started: bool,
    /// What to do.
    #[serde(flatten)]
    pub payload: Payload,
}

/// How much of a command's output the server has, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Of its standard output.
    pub stdout: u64,
    /// Of its standard error.
    pub stderr: u64,
}

/// What a command does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command_type", content = "payload", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Payload {
    /// Runs a program.
    Exec(ExecSpec),
    /// Shuts down, reboots, …
    Power(PowerSpec),
}

impl Payload {
    /// The word of `command_type`.
    pub fn command_type(&self) -> &'static str {
        match self {
            Self::Exec(_) => "exec",
            Self::Power(_) => "power",
        }
    }
}

/// A program to run.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSpec {
    /// A line for `/bin/sh -c`, or the program where `args` is there.
    pub command: String,
    /// With it, the program runs without a shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// Added to the environment. Values may be secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Where to run; the agent user's home unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Its standard input, base64; `/dev/null` unless given. May be secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// When it is ended by force, in seconds.
    pub timeout_seconds: u32,
}

impl std::fmt::Debug for ExecSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecSpec")
            .field("command", &self.command)
            .field("args", &self.args)
            .field("env", &self.env.keys())
            .field("cwd", &self.cwd)
            .field("stdin", &self.stdin.is_some())
            .field("timeout_seconds", &self.timeout_seconds)
            .finish()
    }
}

/// A change of the machine's power.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerSpec {
    /// Which.
    pub action: PowerAction,
    /// Seconds until it happens.
    #[serde(default)]
    pub delay_seconds: u32,
    /// Shown to who is logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One of a command's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandResult {
    /// Which command.
    pub id: CommandId,
    /// A terminal status.
    pub status: CommandStatus,
    /// The exit code, 128 + the number where a signal ended it; none where it never ran or its time was up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// How long it ran, in milliseconds.
    pub duration_ms: u64,
    /// Bytes of output sent, each stream from its beginning.
    pub sent: Received,
    /// Whether output beyond [`MAX_OUTPUT`](super::MAX_OUTPUT) was dropped.
    #[serde(default)]
    pub truncated: bool,
    /// Why it failed, where it was not the program's own exit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_environment_and_input_are_not_printed() {
        let spec = ExecSpec {
            env: [("KEY".into(), "hunter2".into())].into(),
            stdin: Some("hunter2".into()),
            ..ExecSpec::default()
        };
        assert!(!format!("{spec:?}").contains("hunter2"));
    }
}
