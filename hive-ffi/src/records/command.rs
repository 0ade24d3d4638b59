//! Commands.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use data_encoding::BASE64;
use hive_core::wire::{agent, api};

use super::ErrorBody;
use super::convert::{enum_text, system_time};
use crate::HiveError;

/// A program to run.
#[derive(Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct Command {
    /// A line for the satellite's shell, or the program where `args` is there.
    pub command: String,
    /// With it, the program runs without a shell.
    #[uniffi(default = None)]
    pub args: Option<Vec<String>>,
    /// Added to its environment. Values may be secrets.
    #[uniffi(default)]
    pub env: HashMap<String, String>,
    /// Where it runs; the agent user's home unless given.
    #[uniffi(default = None)]
    pub cwd: Option<String>,
    /// Its standard input, at most 512 KiB.
    #[uniffi(default = None)]
    pub stdin: Option<Vec<u8>>,
    /// When it is ended by force, in seconds; after 60 unless given.
    #[uniffi(default = None)]
    pub timeout_seconds: Option<u32>,
    /// How long it may wait for its satellite, in seconds; 300 unless given.
    #[uniffi(default = None)]
    pub expires_in_seconds: Option<u32>,
    /// The caller's word that running it twice does no harm.
    #[uniffi(default = false)]
    pub idempotent: bool,
    /// What goes first on a busy satellite; `Immediate` where the caller waits and `Normal` otherwise, unless given.
    #[uniffi(default = None)]
    pub priority: Option<Priority>,
    /// The same key and command within 24 hours run once.
    #[uniffi(default = None)]
    pub idempotency_key: Option<String>,
}

impl Command {
    /// The command without its key, and the key.
    pub(crate) fn into_parts(self) -> (api::ExecCommand, Option<String>) {
        let Self { command, args, env, cwd, stdin, .. } = self;
        let exec = api::ExecCommand {
            command,
            args,
            env: env.into_iter().collect(),
            cwd,
            stdin: stdin.map(|bytes| BASE64.encode(&bytes)),
            timeout_seconds: self.timeout_seconds,
            expires_in_seconds: self.expires_in_seconds,
            idempotent: self.idempotent,
            priority: self.priority.map(Into::into),
        };
        (exec, self.idempotency_key)
    }
}

/// How urgent a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Priority {
    /// Before all others, with places of its own.
    Immediate,
    /// Before the usual ones.
    High,
    /// As usual.
    Normal,
    /// When nothing else is to be done.
    Low,
}

impl From<Priority> for api::Priority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Immediate => Self::Immediate,
            Priority::High => Self::High,
            Priority::Normal => Self::Normal,
            Priority::Low => Self::Low,
        }
    }
}

/// What a command did on one satellite.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct CommandResult {
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
    /// How long it ran.
    pub duration: Duration,
    /// Whether output beyond the cap was dropped.
    pub truncated: bool,
    /// Why it failed, where it was not the program's own exit.
    pub error: Option<ErrorBody>,
}

impl TryFrom<api::ExecResult> for CommandResult {
    type Error = HiveError;

    fn try_from(result: api::ExecResult) -> Result<Self, HiveError> {
        Ok(Self {
            satellite_id: result.satellite_id.to_string(),
            satellite_name: result.satellite_name.to_string(),
            command_id: result.command_id.map(|id| id.to_string()),
            status: result.status.as_str().to_owned(),
            exit_code: result.exit_code,
            stdout: bytes(&result.stdout)?,
            stderr: bytes(&result.stderr)?,
            duration: Duration::from_millis(result.duration_ms),
            truncated: result.truncated,
            error: result.error.map(ErrorBody::from),
        })
    }
}

/// A stored command.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct CommandInfo {
    /// Which.
    pub id: String,
    /// Its satellite.
    pub satellite_id: String,
    /// `exec` or `power`.
    pub kind: String,
    /// The line or program that runs, or the power action.
    pub summary: String,
    /// `queued`, `delivered`, `started`, or how it ended.
    pub status: String,
    /// Whether that is how it ended.
    pub is_over: bool,
    /// The exit code; 128 + the number where a signal ended it.
    pub exit_code: Option<i32>,
    /// Standard output so far.
    pub stdout: Vec<u8>,
    /// Standard error so far.
    pub stderr: Vec<u8>,
    /// How long it ran.
    pub duration: Option<Duration>,
    /// Whether output beyond the cap was dropped.
    pub truncated: bool,
    /// Why it failed, where it was not the program's own exit.
    pub error: Option<ErrorBody>,
    /// Who asked for it.
    pub created_by: String,
    /// When it became durable.
    pub created_at: SystemTime,
    /// Until when it may start.
    pub expires_at: SystemTime,
    /// When it ended.
    pub finished_at: Option<SystemTime>,
}

impl TryFrom<api::CommandInfo> for CommandInfo {
    type Error = HiveError;

    fn try_from(info: api::CommandInfo) -> Result<Self, HiveError> {
        Ok(Self {
            id: info.id.to_string(),
            satellite_id: info.satellite_id.to_string(),
            kind: enum_text(&info.command_type),
            summary: info.summary,
            status: info.status.as_str().to_owned(),
            is_over: info.status.is_terminal(),
            exit_code: info.exit_code,
            stdout: bytes(&info.stdout)?,
            stderr: bytes(&info.stderr)?,
            duration: info.duration_ms.map(Duration::from_millis),
            truncated: info.truncated,
            error: info.error.map(ErrorBody::from),
            created_by: info.created_by,
            created_at: system_time(info.created_at),
            expires_at: system_time(info.expires_at),
            finished_at: info.finished_at.map(system_time),
        })
    }
}

/// One of a command's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Channel {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Channel {
    /// Converts a channel; none for a kind that this version does not know.
    fn from_wire(channel: &agent::Channel) -> Option<Self> {
        match channel {
            agent::Channel::Stdout => Some(Self::Stdout),
            agent::Channel::Stderr => Some(Self::Stderr),
            agent::Channel::Unknown(_) => None,
        }
    }
}

impl From<Channel> for agent::Channel {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::Stdout => Self::Stdout,
            Channel::Stderr => Self::Stderr,
        }
    }
}

/// One step of a running command.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum ExecEvent {
    /// The command is durable.
    Accepted {
        /// Where.
        satellite_id: String,
        /// Which.
        command_id: String,
    },
    /// A piece of output.
    Output {
        /// Where.
        satellite_id: String,
        /// Which of its outputs.
        channel: Channel,
        /// The offset of the piece's first byte.
        offset: u64,
        /// The bytes.
        data: Vec<u8>,
    },
    /// The satellite's link was lost, or is back. The command is with the satellite and goes on there.
    Link {
        /// Where.
        satellite_id: String,
        /// Whether there is a link now.
        online: bool,
        /// In how many seconds the outcome counts as unknown if nothing is heard of the command, where there is none.
        seconds_left: Option<u64>,
    },
    /// This satellite is done. The output went before.
    Exit {
        /// How it ended there.
        result: CommandResult,
    },
}

impl ExecEvent {
    /// Converts an event; none for a kind that this version does not know.
    pub(crate) fn from_wire(event: api::ExecEvent) -> Result<Option<Self>, HiveError> {
        Ok(match event {
            api::ExecEvent::Accepted { satellite_id, command_id } => {
                Some(Self::Accepted { satellite_id: satellite_id.to_string(), command_id: command_id.to_string() })
            }
            api::ExecEvent::Output { satellite_id, channel, offset, data } => {
                let Some(channel) = Channel::from_wire(&channel) else { return Ok(None) };
                Some(Self::Output { satellite_id: satellite_id.to_string(), channel, offset, data: bytes(&data)? })
            }
            api::ExecEvent::Link { satellite_id, online, seconds_left } => {
                Some(Self::Link { satellite_id: satellite_id.to_string(), online, seconds_left })
            }
            api::ExecEvent::Exit(result) => Some(Self::Exit { result: (*result).try_into()? }),
            api::ExecEvent::Unknown(_) => None,
        })
    }
}

/// A change of a machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum PowerAction {
    /// Turns it off.
    Shutdown,
    /// Starts it again.
    Reboot,
    /// Suspends it to memory.
    Sleep,
    /// Suspends it to disk.
    Hibernate,
    /// Takes back a delayed one.
    Cancel,
}

impl From<PowerAction> for api::PowerAction {
    fn from(action: PowerAction) -> Self {
        match action {
            PowerAction::Shutdown => Self::Shutdown,
            PowerAction::Reboot => Self::Reboot,
            PowerAction::Sleep => Self::Sleep,
            PowerAction::Hibernate => Self::Hibernate,
            PowerAction::Cancel => Self::Cancel,
        }
    }
}

/// Output as it came; hives are asked for base64 alone.
fn bytes(text: &str) -> Result<Vec<u8>, HiveError> {
    BASE64.decode(text.as_bytes()).map_err(|error| HiveError::internal(format!("cannot read the output: {error}")))
}
