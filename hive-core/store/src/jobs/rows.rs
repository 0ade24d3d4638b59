//! Rows of jobs.

use hive_wire::agent::ErrorBody;
use hive_wire::api::{Actor, CommandEnd, JobCounts, JobSort, JobStatus, JobTargetSort, TargetStatus};
use hive_wire::{CommandId, JobId, SatelliteId, SatelliteName, TeamId, Timestamp};

use crate::access::Authority;
use crate::row_order::{SortKey, row_orders};

/// A job to store.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// The payload of its commands as JSON with sealed secrets. The commands have none of their own.
    pub payload: String,
    /// A summary for people.
    pub summary: String,
    /// The targets of the request.
    pub asked: Vec<String>,
    /// The satellites to which they were resolved, in their order.
    pub targets: Vec<NewJobTarget>,
    /// The most commands that run at the same time.
    pub concurrency: u32,
    /// The timeout of a command, in seconds.
    pub timeout_seconds: u32,
    /// How long after its delivery a command may start, in seconds.
    pub expires_in_seconds: u32,
    /// The actor who asked for it.
    pub actor: Actor,
    /// The authority of the actor.
    pub authorised_by: Authority,
    /// When it was created.
    pub created_at: Timestamp,
    /// Until when commands may be delivered.
    pub deadline_at: Timestamp,
}

/// A target of a job to store.
#[derive(Debug, Clone)]
pub struct NewJobTarget {
    /// The satellite.
    pub satellite_id: SatelliteId,
    /// Its name.
    pub satellite_name: SatelliteName,
    /// Its team.
    pub team_id: Option<TeamId>,
    /// Its command, or why there is none.
    pub command: Result<CommandId, ErrorBody>,
}

/// The outcome of storing a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobInsertOutcome {
    /// The job is stored.
    New {
        /// The commands that are not stored, because their targets are not run.
        not_run: Vec<CommandId>,
    },
    /// The same request was stored before, as this job.
    Existing(JobId),
    /// The key is in use by another request. Nothing was stored.
    Conflict,
}

/// A stored job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRow {
    /// Its id.
    pub id: JobId,
    /// Its status.
    pub status: JobStatus,
    /// A summary for people.
    pub summary: String,
    /// The targets of the request.
    pub asked: Vec<String>,
    /// The teams of its satellites, each once. `None` is for global satellites.
    pub teams: Vec<Option<TeamId>>,
    /// The number of targets by status.
    pub counts: JobCounts,
    /// The most commands that run at the same time.
    pub concurrency: u32,
    /// The timeout of a command, in seconds.
    pub timeout_seconds: u32,
    /// How long after its delivery a command may start, in seconds.
    pub expires_in_seconds: u32,
    /// The actor who asked for it.
    pub actor: Actor,
    /// When it was created.
    pub created_at: Timestamp,
    /// Until when commands may be delivered.
    pub deadline_at: Timestamp,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// A target of a job, with the state of its command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobTargetRow {
    /// Its place among the targets of the job, from 0.
    pub place: i64,
    /// The satellite.
    pub satellite_id: SatelliteId,
    /// The name of the satellite when the job was created.
    pub satellite_name: SatelliteName,
    /// The team of the satellite when the job was created.
    pub team_id: Option<TeamId>,
    /// Its command, if there is one.
    pub command_id: Option<CommandId>,
    /// Its status.
    pub status: TargetStatus,
    /// How its command ended, apart from the status, or why it was not run.
    pub end: CommandEnd,
    /// The stored bytes of standard output.
    pub stdout_bytes: u64,
    /// The stored bytes of standard error.
    pub stderr_bytes: u64,
    /// Until when its command may start.
    pub expires_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// The end of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    /// The final status.
    pub status: JobStatus,
    /// The number of targets by final status.
    pub counts: JobCounts,
    /// When it ended.
    pub finished_at: Timestamp,
}

row_orders! {
    JobSort of JobRow {
        CreatedAt: Number, |row| SortKey::time(row.created_at, row.id);
        FinishedAt: OptionalNumber, |row| SortKey::time(row.finished_at, row.id);
    }
    JobTargetSort of JobTargetRow {
        SatelliteName: Number, |row| SortKey::number(row.place, "");
    }
}
