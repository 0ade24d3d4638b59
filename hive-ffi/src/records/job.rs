//! Jobs: one command on many satellites.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use hive_core::wire::api;

use super::convert::system_time;
use super::{CommandResult, ErrorBody};

/// How to run one command on many satellites.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, uniffi::Record)]
pub struct FanOutOptions {
    /// The most satellites that run it at once; 64 unless given.
    #[uniffi(default = None)]
    pub concurrency: Option<u32>,
    /// Seconds that a satellite may wait for its turn; a day unless given.
    #[uniffi(default = None)]
    pub deadline_seconds: Option<u32>,
}

/// One command on many satellites, owned by the hive.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// `running`, `cancelling`, `succeeded`, `failed` or `cancelled`.
    pub status: String,
    /// Whether it has ended.
    pub is_over: bool,
    /// The line or program that runs.
    pub summary: String,
    /// The targets of the request.
    pub targets: Vec<String>,
    /// The number of satellites by status.
    pub counts: HashMap<String, u64>,
    /// The most satellites that run it at once.
    pub concurrency: u32,
    /// Who started it.
    pub created_by: String,
    /// When it became durable.
    pub created_at: SystemTime,
    /// When it ends for satellites that have not started.
    pub deadline_at: SystemTime,
    /// When it was cancelled.
    pub cancelled_at: Option<SystemTime>,
    /// When it ended.
    pub finished_at: Option<SystemTime>,
}

impl From<api::Job> for Job {
    fn from(job: api::Job) -> Self {
        Self {
            id: job.id.to_string(),
            status: job.status.as_str().to_owned(),
            // A program need not know all statuses to wait for the end.
            is_over: job.status.is_terminal(),
            summary: job.summary,
            targets: job.targets,
            counts: counts(&job.counts),
            concurrency: job.concurrency,
            created_by: job.created_by,
            created_at: system_time(job.created_at),
            deadline_at: system_time(job.deadline_at),
            cancelled_at: job.cancelled_at.map(system_time),
            finished_at: job.finished_at.map(system_time),
        }
    }
}

/// One satellite of a job. The output is that of its command.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct JobTarget {
    /// The id of the satellite.
    pub satellite_id: String,
    /// The name of the satellite when the job began.
    pub satellite_name: String,
    /// The id of the command, if there is one.
    pub command_id: Option<String>,
    /// The state of the command, or why there is none.
    pub status: String,
    /// The exit code; 128 + the number of the signal that ended it.
    pub exit_code: Option<i32>,
    /// How long it ran.
    pub duration: Option<Duration>,
    /// Bytes of standard output that are stored.
    pub stdout_bytes: u64,
    /// Bytes of standard error that are stored.
    pub stderr_bytes: u64,
    /// Whether output beyond the limit was dropped.
    pub truncated: bool,
    /// Why it was not run or failed, unless the program itself failed.
    pub error: Option<ErrorBody>,
    /// When it ended.
    pub finished_at: Option<SystemTime>,
}

impl From<api::JobTarget> for JobTarget {
    fn from(target: api::JobTarget) -> Self {
        Self {
            satellite_id: target.satellite_id.to_string(),
            satellite_name: target.satellite_name.to_string(),
            command_id: target.command_id.map(|id| id.to_string()),
            status: target.status.as_str().to_owned(),
            exit_code: target.exit_code,
            duration: target.duration_ms.map(Duration::from_millis),
            stdout_bytes: target.stdout_bytes,
            stderr_bytes: target.stderr_bytes,
            truncated: target.truncated,
            error: target.error.map(ErrorBody::from),
            finished_at: target.finished_at.map(system_time),
        }
    }
}

/// An event of a job.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum JobEvent {
    /// The progress of the job. Intermediate states may be skipped.
    Progress {
        /// The number of satellites by status.
        counts: HashMap<String, u64>,
    },
    /// The command has ended on a satellite, or was not run there.
    Target {
        /// The id of the satellite.
        satellite_id: String,
        /// The name of the satellite.
        satellite_name: String,
        /// The id of the command, if there is one.
        command_id: Option<String>,
        /// How it ended.
        status: String,
        /// The exit code.
        exit_code: Option<i32>,
    },
    /// The job has ended. No event follows.
    Ended {
        /// The job as it ended.
        job: Job,
    },
}

impl JobEvent {
    /// Converts an event; none for a kind that this version does not know.
    pub(crate) fn from_wire(event: api::JobEvent) -> Option<Self> {
        match event {
            api::JobEvent::Progress { counts: now } => Some(Self::Progress { counts: counts(&now) }),
            api::JobEvent::Target { satellite_id, satellite_name, command_id, status, exit_code } => {
                Some(Self::Target {
                    satellite_id: satellite_id.to_string(),
                    satellite_name: satellite_name.to_string(),
                    command_id: command_id.map(|id| id.to_string()),
                    status: status.as_str().to_owned(),
                    exit_code,
                })
            }
            api::JobEvent::Ended(job) => Some(Self::Ended { job: (*job).into() }),
            _ => None,
        }
    }
}

/// A job that has ended, with all of its results.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct FanOut {
    /// The job.
    pub job: Job,
    /// The result of each satellite, by name.
    pub results: Vec<CommandResult>,
}

fn counts(counts: &api::JobCounts) -> HashMap<String, u64> {
    counts.iter().map(|(status, count)| (status.to_owned(), count)).collect()
}
