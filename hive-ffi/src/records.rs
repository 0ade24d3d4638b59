//! What goes in and comes out, as plain values.

use std::collections::HashMap;

use data_encoding::BASE64;
use hive_core::router::ExecOptions;
use hive_core::wire::api::{self, ExecCommand, ExecResult, OutputEncoding, TargetStatus};

use crate::HiveError;

/// One satellite. Everything that it says of itself is hostile text: escape it wherever it is shown.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Satellite {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `inactive`, `active`, `maintenance` or `error`.
    pub status: String,
    /// Whether it has a link now.
    pub online: bool,
    /// Its labels.
    pub tags: Vec<String>,
    /// The machine's name, by its own word.
    pub hostname: String,
    /// `linux`, `darwin` or `windows`, by its own word.
    pub os: String,
    /// `x86_64`, `aarch64` …, by its own word.
    pub arch: String,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// The last sign of life, RFC 3339.
    pub last_seen: Option<String>,
}

impl From<api::Satellite> for Satellite {
    fn from(satellite: api::Satellite) -> Self {
        let status = match satellite.status {
            api::SatelliteStatus::Inactive => "inactive",
            api::SatelliteStatus::Active => "active",
            api::SatelliteStatus::Maintenance => "maintenance",
            api::SatelliteStatus::Error => "error",
        };
        Self {
            id: satellite.id.to_string(),
            name: satellite.name.to_string(),
            status: status.to_owned(),
            online: satellite.online,
            tags: satellite.tags,
            hostname: satellite.system.hostname,
            os: satellite.system.os,
            arch: satellite.system.arch,
            agent_version: satellite.agent_version,
            last_seen: satellite.last_seen.map(|time| time.to_string()),
        }
    }
}

/// A program to run.
#[derive(Clone, Default, uniffi::Record)]
pub struct Command {
    /// A line for the satellite's shell, or the program where `args` is there.
    pub command: String,
    /// With it, the program runs without a shell.
    #[uniffi(default = None)]
    pub args: Option<Vec<String>>,
    /// Added to its environment.
    #[uniffi(default)]
    pub env: HashMap<String, String>,
    /// Where it runs; the agent user's home unless given.
    #[uniffi(default = None)]
    pub cwd: Option<String>,
    /// Its standard input, at most 512 KiB.
    #[uniffi(default = None)]
    pub stdin: Option<Vec<u8>>,
    /// When it is ended by force; after 60 s unless given.
    #[uniffi(default = None)]
    pub timeout_seconds: Option<u32>,
    /// The most satellites that run it at the same time; 64 unless given.
    #[uniffi(default = None)]
    pub concurrency: Option<u32>,
    /// The same key and command within 24 hours run once.
    #[uniffi(default = None)]
    pub idempotency_key: Option<String>,
}

impl From<Command> for (ExecCommand, ExecOptions) {
    fn from(command: Command) -> Self {
        let exec = ExecCommand {
            command: command.command,
            args: command.args,
            env: command.env.into_iter().collect(),
            cwd: command.cwd,
            stdin: command.stdin.map(|bytes| BASE64.encode(&bytes)),
            timeout_seconds: command.timeout_seconds,
            ..ExecCommand::default()
        };
        let options = ExecOptions {
            idempotency_key: command.idempotency_key,
            encoding: OutputEncoding::Base64,
            concurrency: command.concurrency,
        };
        (exec, options)
    }
}

/// What a command did on one satellite.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct CommandOutcome {
    /// Where.
    pub satellite_id: String,
    /// Its name.
    pub satellite_name: String,
    /// The command, where one was stored.
    pub command_id: Option<String>,
    /// `succeeded`, `failed`, `timed_out`, `cancelled`, `expired`, `outcome_unknown` or `not_run`.
    pub status: String,
    /// The exit code; 128 + the number where a signal ended it.
    pub exit_code: Option<i32>,
    /// Standard output, as it came.
    pub stdout: Vec<u8>,
    /// Standard error, as it came.
    pub stderr: Vec<u8>,
    /// How long it ran, in milliseconds.
    pub duration_ms: u64,
    /// Whether output beyond the cap was dropped.
    pub truncated: bool,
    /// Why it failed, where it was not the program's own exit.
    pub error: Option<String>,
}

impl TryFrom<ExecResult> for CommandOutcome {
    type Error = HiveError;

    fn try_from(result: ExecResult) -> Result<Self, HiveError> {
        let status = match result.status {
            TargetStatus::NotRun => "not_run",
            TargetStatus::Command(status) => status.as_str(),
        };
        Ok(Self {
            satellite_id: result.satellite_id.to_string(),
            satellite_name: result.satellite_name.to_string(),
            command_id: result.command_id.map(|id| id.to_string()),
            status: status.to_owned(),
            exit_code: result.exit_code,
            stdout: output(&result.stdout)?,
            stderr: output(&result.stderr)?,
            duration_ms: result.duration_ms,
            truncated: result.truncated,
            error: result.error.map(|error| error.message),
        })
    }
}

fn output(text: &str) -> Result<Vec<u8>, HiveError> {
    BASE64.decode(text.as_bytes()).map_err(|error| HiveError::Internal(format!("cannot read the output: {error}")))
}
