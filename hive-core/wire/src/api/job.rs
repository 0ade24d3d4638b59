//! Jobs: one command on many satellites.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::exec_body::{ExecBody, UnknownField};
use crate::api::{CommandStatus, ExecCommand, TargetStatus};
use crate::code::ErrorBody;
use crate::open::open_tagged;
use crate::open_enum;
use crate::{CommandId, JobId, SatelliteId, SatelliteName, Timestamp};

/// The request to start a job.
///
/// The command is written beside the targets, as in [`ExecManyRequest`](super::ExecManyRequest). An object with the
/// command's own fields under `command` is read as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ExecBody")]
pub struct JobCreate {
    /// Ids, names, `tag:x`, `group:x`, `query:…` or `all`.
    pub targets: Vec<String>,
    /// The most that run at the same time; 64 unless given, at most [`MAX_IN_FLIGHT`](super::MAX_IN_FLIGHT).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// The number of satellites that the caller expects. Where the targets are another number, nothing is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<u64>,
    /// How long targets may wait for their turn, in seconds; a day unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u32>,
    /// What to run.
    #[serde(flatten)]
    pub command: ExecCommand,
}

impl TryFrom<ExecBody> for JobCreate {
    type Error = UnknownField;

    fn try_from(body: ExecBody) -> Result<Self, UnknownField> {
        let ExecBody { concurrency, confirm, deadline_seconds, .. } = body;
        let (targets, command) = body.parts()?;
        Ok(Self { targets, concurrency, confirm, deadline_seconds, command })
    }
}

open_enum! {
    /// The status of a job.
    pub enum JobStatus {
        /// Targets wait or run.
        Running = "running",
        /// It was cancelled, and some of its commands have not ended yet.
        Cancelling = "cancelling",
        /// All targets succeeded.
        Succeeded = "succeeded",
        /// All targets have ended or were not run, and not all of them succeeded.
        Failed = "failed",
        /// It was cancelled, and everything that ran has ended.
        Cancelled = "cancelled",
    }
}

impl JobStatus {
    /// Whether the status is final.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// The number of targets of a job by status. Statuses without targets are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct JobCounts(BTreeMap<String, u64>);

impl JobCounts {
    /// Adds `count` targets of this status.
    pub fn add(&mut self, status: &TargetStatus, count: u64) {
        // Statuses without targets are left out of the answer.
        if count > 0 {
            *self.0.entry(status.as_str().to_owned()).or_default() += count;
        }
    }

    /// Returns the number of targets with this status.
    pub fn of(&self, status: &TargetStatus) -> u64 {
        self.0.get(status.as_str()).copied().unwrap_or_default()
    }

    /// Returns the number of all targets.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Returns the number of queued targets.
    pub fn queued(&self) -> u64 {
        self.of(&TargetStatus::Command(CommandStatus::Queued))
    }

    /// Returns the number of targets that were handed over and have not ended.
    pub fn running(&self) -> u64 {
        [CommandStatus::Delivered, CommandStatus::Started]
            .map(|status| self.of(&TargetStatus::Command(status)))
            .iter()
            .sum()
    }

    /// Returns the number of targets that have ended, including those that were not run.
    pub fn ended(&self) -> u64 {
        self.total() - self.queued() - self.running()
    }

    /// Returns whether every target succeeded.
    pub fn is_success(&self) -> bool {
        self.of(&TargetStatus::Command(CommandStatus::Succeeded)) == self.total()
    }

    /// Returns each status that a target has, with its number of targets.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(status, count)| (status.as_str(), *count))
    }
}

/// One command on many satellites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its status.
    pub status: JobStatus,
    /// The line or program that runs.
    pub summary: String,
    /// The targets as they were asked for.
    pub targets: Vec<String>,
    /// The number of their satellites by status.
    pub counts: JobCounts,
    /// The most that run at the same time.
    pub concurrency: u32,
    /// The name of the caller.
    pub created_by: String,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it expires: no target starts after that.
    pub deadline_at: Timestamp,
    /// When it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Whether what the caller may not read was left out: without `commands.read`, lines, messages and output are empty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
}

/// A satellite of a job. Its output is read by its command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobTarget {
    /// The satellite.
    pub satellite_id: SatelliteId,
    /// Its name, as it was when the job began.
    pub satellite_name: SatelliteName,
    /// The command, where there is one.
    pub command_id: Option<CommandId>,
    /// Its status.
    pub status: TargetStatus,
    /// The exit code; 128 + the number where a signal ended it; none where its time was up.
    pub exit_code: Option<i32>,
    /// How long it ran, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Bytes of standard output that are stored.
    pub stdout_bytes: u64,
    /// Bytes of standard error that are stored.
    pub stderr_bytes: u64,
    /// Whether output beyond the cap was dropped.
    pub truncated: bool,
    /// Why it was not run or failed, where it was not the program's own exit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// An event of a job. The end of each target is sent once; a new subscriber first gets the ends of before. The end of
/// the job comes last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "event", rename_all = "snake_case", remote = "Self")]
#[non_exhaustive]
pub enum JobEvent {
    /// The counts have changed. Intermediate counts may be left out.
    Progress {
        /// The number of targets by status.
        counts: JobCounts,
    },
    /// A target has ended, or was not run.
    Target {
        /// The satellite.
        satellite_id: SatelliteId,
        /// Its name.
        satellite_name: SatelliteName,
        /// The command, where there is one.
        command_id: Option<CommandId>,
        /// Its status.
        status: TargetStatus,
        /// The exit code.
        exit_code: Option<i32>,
    },
    /// The job has ended.
    Ended(Box<Job>),
    /// An event of a later version.
    #[serde(skip)]
    Unknown(serde_json::Value),
}

open_tagged!(JobEvent, "event");

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<JobCreate, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_stands_beside_its_targets_or_by_itself() {
        let beside = r#"{"targets":["all"],"command":"uptime","cwd":"/","concurrency":2,"confirm":3}"#;
        let itself = r#"{"targets":["all"],"command":{"command":"uptime","cwd":"/"},"concurrency":2,"confirm":3}"#;
        let (beside, itself) = (read(beside).unwrap(), read(itself).unwrap());
        assert_eq!(beside, itself);
        assert_eq!((beside.command.cwd.as_deref(), beside.concurrency, beside.confirm), (Some("/"), Some(2), Some(3)));
    }

    #[test]
    fn what_is_not_understood_is_refused_and_named() {
        let check = |text: &str, named: &str| assert!(read(text).unwrap_err().contains(named), "{text}");
        check(r#"{"targets":["all"],"command":"true","stop_on_failures":3}"#, "`stop_on_failures`");
        check(r#"{"targets":["all"],"command":{"command":"true"},"batch":3}"#, "`batch`");
        check(r#"{"command":"true"}"#, "`targets`");
        check(r#"{"targets":["all"]}"#, "`command`");
    }

    #[test]
    fn every_target_counts_once() {
        let mut counts = JobCounts::default();
        for (status, count) in [
            (TargetStatus::NotRun, 1),
            (TargetStatus::Command(CommandStatus::Queued), 2),
            (TargetStatus::Command(CommandStatus::Delivered), 3),
            (TargetStatus::Command(CommandStatus::Started), 4),
            (TargetStatus::Command(CommandStatus::Succeeded), 5),
            (TargetStatus::Command(CommandStatus::Failed), 0),
        ] {
            counts.add(&status, count);
        }
        assert_eq!((counts.total(), counts.queued(), counts.running(), counts.ended()), (15, 2, 7, 6));
        assert!(!counts.is_success());
        assert_eq!(counts.iter().count(), 5, "a status nobody has is left out");
    }
}
