//! Results of commands.

use std::time::{Duration, SystemTime};

use data_encoding::BASE64;
use hive_core::wire::api;

use super::ErrorBody;
use super::convert::{enum_text, system_time};
use crate::HiveError;

/// What a command did on one satellite.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct CommandResult {
    /// The id of the satellite.
    pub satellite_id: String,
    /// The name of the satellite.
    pub satellite_name: String,
    /// The id of the command, if one was stored.
    pub command_id: Option<String>,
    /// `succeeded`, `failed`, `timed_out`, `cancelled`, `expired`, `outcome_unknown` or `not_run`.
    pub status: String,
    /// The exit code; 128 + the number of the signal that ended it.
    pub exit_code: Option<i32>,
    /// Standard output, as bytes.
    pub stdout: Vec<u8>,
    /// Standard error, as bytes.
    pub stderr: Vec<u8>,
    /// How long it ran.
    pub duration: Duration,
    /// Whether output beyond the limit was dropped.
    pub truncated: bool,
    /// Why it failed, unless the program itself failed.
    pub error: Option<ErrorBody>,
}

impl TryFrom<api::ExecResult> for CommandResult {
    type Error = HiveError;

    fn try_from(result: api::ExecResult) -> Result<Self, HiveError> {
        Ok(Self {
            satellite_id: result.satellite_id.to_string(),
            satellite_name: result.satellite_name.to_string(),
            command_id: result.command_id.map(|id| id.to_string()),
            // As text: a status of a newer hive is passed on as it is.
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
    /// Its id.
    pub id: String,
    /// The id of its satellite.
    pub satellite_id: String,
    /// `exec` or `power`.
    pub kind: String,
    /// The line or program that runs, or the power action.
    pub summary: String,
    /// `queued`, `delivered`, `started`, or how it ended.
    pub status: String,
    /// Whether it has ended.
    pub is_over: bool,
    /// The exit code; 128 + the number of the signal that ended it.
    pub exit_code: Option<i32>,
    /// Standard output so far.
    pub stdout: Vec<u8>,
    /// Standard error so far.
    pub stderr: Vec<u8>,
    /// How long it ran.
    pub duration: Option<Duration>,
    /// Whether output beyond the limit was dropped.
    pub truncated: bool,
    /// Why it failed, unless the program itself failed.
    pub error: Option<ErrorBody>,
    /// Who started it.
    pub created_by: String,
    /// When it became durable.
    pub created_at: SystemTime,
    /// When it expires unless it has started.
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

/// Decodes output. Every call requests it in base64, because it can be any bytes.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, HiveError> {
    BASE64.decode(text.as_bytes()).map_err(|error| HiveError::internal(format!("cannot read the output: {error}")))
}
