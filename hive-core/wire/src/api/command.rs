//! Commands: what they run, their status and their result.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::exec_body::{ExecBody, UnknownField};
use crate::agent::Channel;
use crate::code::ErrorBody;
use crate::command::{CommandStatus, CommandType, PowerAction};
use crate::id::CommandId;
use crate::open::{known, known_opt, open_tagged};
use crate::open_enum;
use crate::{SatelliteId, SatelliteName, Timestamp};

/// The most targets of one job that run at the same time.
pub const MAX_IN_FLIGHT: u32 = 1000;

open_enum! {
    /// The priority of a command in the queue of its satellite.
    #[derive(Default)]
    pub enum Priority {
        /// The caller waits for the result.
        Immediate = "immediate",
        /// Higher than normal.
        High = "high",
        /// The default.
        #[default]
        Normal = "normal",
        /// Lower than normal.
        Low = "low",
    }
}

impl Priority {
    /// Returns its rank in the queue; 0 goes first. An unknown word counts as [`Self::Normal`].
    pub fn rank(&self) -> u8 {
        match self {
            Self::Immediate => 0,
            Self::High => 1,
            Self::Normal | Self::Unknown(_) => 2,
            Self::Low => 3,
        }
    }

    /// Returns the priority with this rank; the lowest priority for larger ranks.
    pub fn of_rank(rank: u8) -> Self {
        match rank {
            0 => Self::Immediate,
            1 => Self::High,
            2 => Self::Normal,
            _ => Self::Low,
        }
    }
}

/// A program to run on one or many satellites.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExecCommand {
    /// A line for `/bin/sh -c`, or the program where `args` is there. With `args` and `env` it has at most 128 KiB.
    #[cfg_attr(feature = "openapi", schema(pattern = r"^[^\x00]*[^\x00\s][^\x00]*$"))]
    pub command: String,
    /// With it, the program runs without a shell.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<crate::schema::ProcessText>>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// Added to the environment. Values may be secrets: they are stored sealed and never shown again.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<crate::schema::VariableName, crate::schema::ProcessText>))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The working directory; the home of the user of the agent unless given.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::ProcessText>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Its standard input, base64, at most 512 KiB; `/dev/null` unless given. Stored sealed.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::Base64Text>))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Seconds after which it is killed; 60 unless given, at most a day.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 86_400))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// How long it may wait for its satellite, in seconds; 300 unless given, at most a week.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 604_800))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u32>,
    /// Whether the command may run twice, as stated by the caller.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idempotent: bool,
    /// Its priority: `immediate` if the caller waits, else `normal`, unless given.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::known_words_or_null::<Priority>))]
    #[serde(default, deserialize_with = "known_opt", skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

impl std::fmt::Debug for ExecCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecCommand")
            .field("command", &self.command)
            .field("args", &self.args)
            // The names alone: values may be secrets.
            .field("env", &self.env.keys())
            .field("cwd", &self.cwd)
            .field("stdin", &self.stdin.is_some())
            .field("timeout_seconds", &self.timeout_seconds)
            .finish_non_exhaustive()
    }
}

impl ExecCommand {
    /// A line for the satellite's shell.
    pub fn shell(line: impl Into<String>) -> Self {
        Self { command: line.into(), ..Self::default() }
    }

    /// A program and its arguments, without a shell.
    pub fn program<A: Into<String>>(program: impl Into<String>, args: impl IntoIterator<Item = A>) -> Self {
        Self { command: program.into(), args: Some(args.into_iter().map(Into::into).collect()), ..Self::default() }
    }
}

/// A command for several satellites, written as that of a [`JobCreate`](super::JobCreate).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ExecBody")]
pub struct ExecManyRequest {
    /// Ids, names, `tag:x`, `group:x`, `query:…` or `all`.
    pub targets: Vec<String>,
    /// The most that run at the same time; 64 unless given, at most [`MAX_IN_FLIGHT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// The number of satellites that the caller expects. Where the targets are another number, nothing is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<u64>,
    /// What to run.
    #[serde(flatten)]
    pub command: ExecCommand,
}

impl TryFrom<ExecBody> for ExecManyRequest {
    type Error = UnknownField;

    fn try_from(body: ExecBody) -> Result<Self, UnknownField> {
        let ExecBody { concurrency, confirm, deadline_seconds, .. } = body;
        // `ExecBody` reads the fields of a job too. A call that waits has no deadline.
        if deadline_seconds.is_some() {
            return Err(UnknownField("deadline_seconds"));
        }
        let (targets, command) = body.parts()?;
        Ok(Self { targets, concurrency, confirm, command })
    }
}

/// The status of one target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TargetStatus {
    /// The target was not given the command (offline, inactive). Nothing was stored.
    NotRun,
    /// The command's status.
    Command(CommandStatus),
}

impl TargetStatus {
    const NOT_RUN: &'static str = "not_run";

    /// Returns the word as it is stored and sent.
    pub fn as_str(&self) -> &str {
        match self {
            Self::NotRun => Self::NOT_RUN,
            Self::Command(status) => status.as_str(),
        }
    }
}

impl From<&str> for TargetStatus {
    fn from(word: &str) -> Self {
        if word == Self::NOT_RUN { Self::NotRun } else { Self::Command(word.into()) }
    }
}

impl Serialize for TargetStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TargetStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::open::word(deserializer)
    }
}

/// The result of a command on one satellite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExecResult {
    /// The satellite.
    pub satellite_id: SatelliteId,
    /// Its name.
    pub satellite_name: SatelliteName,
    /// The command, where one was stored.
    pub command_id: Option<CommandId>,
    /// Its status.
    pub status: TargetStatus,
    /// The exit code; 128 + the number where a signal ended it; none where its time was up.
    pub exit_code: Option<i32>,
    /// Standard output: lossy UTF-8, or base64 where that was asked for.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// How long it ran, in milliseconds.
    pub duration_ms: u64,
    /// Whether output beyond the cap was dropped.
    pub truncated: bool,
    /// Why it failed, where it was not the program's own exit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
}

/// An event of a running command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "event", rename_all = "snake_case", remote = "Self")]
pub enum ExecEvent {
    /// The command is stored.
    Accepted {
        /// The satellite.
        satellite_id: SatelliteId,
        /// The command.
        command_id: CommandId,
    },
    /// A piece of output.
    Output {
        /// The satellite.
        satellite_id: SatelliteId,
        /// Which of its outputs.
        channel: Channel,
        /// The offset of the piece's first byte.
        offset: u64,
        /// The bytes, base64.
        data: String,
    },
    /// The link of the satellite was lost or restored. The command continues on the satellite.
    Link {
        /// The satellite.
        satellite_id: SatelliteId,
        /// Whether there is a link now.
        online: bool,
        /// Without a link: the seconds until the outcome counts as unknown, unless the satellite reports before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds_left: Option<u64>,
    },
    /// The target has ended. `stdout` and `stderr` are empty, because the output was sent before.
    Exit(Box<ExecResult>),
    /// An event of a later version.
    #[serde(skip)]
    Unknown(serde_json::Value),
}

open_tagged!(ExecEvent, "event");

/// A stored command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandInfo {
    /// Its id.
    pub id: CommandId,
    /// Its satellite.
    pub satellite_id: SatelliteId,
    /// Its type.
    pub command_type: CommandType,
    /// The line or program that runs, or the power action.
    pub summary: String,
    /// Its status.
    pub status: CommandStatus,
    /// The exit code; 128 + the number where a signal ended it; none where its time was up.
    pub exit_code: Option<i32>,
    /// Standard output so far: lossy UTF-8, or base64 where that was asked for.
    pub stdout: String,
    /// Standard error so far, likewise.
    pub stderr: String,
    /// How long it ran, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Whether output beyond the cap was dropped.
    pub truncated: bool,
    /// Why it failed, where it was not the program's own exit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
    /// The name of the caller.
    pub created_by: String,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it expires: it does not start after that.
    pub expires_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Whether what the caller may not read was left out: without `commands.read`, lines, messages and output are empty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
}

/// A request to change a machine's power.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PowerRequest {
    /// The change.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::known_words::<PowerAction>))]
    #[serde(deserialize_with = "known")]
    pub action: PowerAction,
    /// Seconds until it happens, at most a week.
    #[cfg_attr(feature = "openapi", schema(maximum = 604_800))]
    #[serde(default)]
    pub delay_seconds: u32,
    /// Shown to users who are logged in: at most 256 characters, none of them control characters.
    #[cfg_attr(feature = "openapi", schema(max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its priority; `immediate` unless given.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::known_words_or_null::<Priority>))]
    #[serde(default, deserialize_with = "known_opt", skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

/// How output is encoded in an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OutputEncoding {
    /// As text; bytes that are not UTF-8 are replaced.
    #[default]
    Lossy,
    /// As base64, exact.
    Base64,
}

#[cfg(feature = "openapi")]
crate::schema::schemas! {
    TargetStatus => crate::schema::text()
        .description(Some("`not_run` where the target was not given the command, else the status of its command. Later versions may add words."))
        .examples(["not_run"].into_iter().chain(<CommandStatus as crate::open::OpenEnum>::WORDS.iter().copied()));
}
