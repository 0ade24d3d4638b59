//! Rows of jobs.

use hive_wire::agent::ErrorBody;
use hive_wire::api::{Actor, JobCounts, JobStatus, TargetStatus};
use hive_wire::{CommandId, JobId, SatelliteId, SatelliteName, TeamId, Timestamp};

use crate::access::Authority;

/// A job to be stored.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// The JSON of what its commands do, secrets sealed: the commands themselves have none.
    pub payload: String,
    /// For people.
    pub summary: String,
    /// The targets as they were asked for.
    pub asked: Vec<String>,
    /// The satellites they stood for, settled for good, in their order.
    pub targets: Vec<NewJobTarget>,
    /// The most that are under way at the same time.
    pub concurrency: u32,
    /// How long a command may run, in seconds.
    pub timeout_seconds: u32,
    /// How long after its hand-over a command may start, in seconds.
    pub expires_in_seconds: u32,
    /// Who asked.
    pub actor: Actor,
    /// What allowed it.
    pub authorised_by: Authority,
    /// The time.
    pub created_at: Timestamp,
    /// Until when targets may have their turn.
    pub deadline_at: Timestamp,
}

/// One satellite of a job to be stored.
#[derive(Debug, Clone)]
pub struct NewJobTarget {
    /// Which.
    pub satellite_id: SatelliteId,
    /// Its name now.
    pub satellite_name: SatelliteName,
    /// Its team now.
    pub team_id: Option<TeamId>,
    /// Its command, stored with the job, or why it is not run.
    pub command: Result<CommandId, ErrorBody>,
}

/// How storing a job went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobInserted {
    /// It is stored.
    New,
    /// The same request stored this one before.
    Existing(JobId),
    /// The key was used for another request.
    Conflict,
}

/// A job as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRow {
    /// Its id.
    pub id: JobId,
    /// How far it is.
    pub status: JobStatus,
    /// For people.
    pub summary: String,
    /// The targets as they were asked for.
    pub asked: Vec<String>,
    /// The teams of its satellites, each once; none for satellites of the whole hive.
    pub teams: Vec<Option<TeamId>>,
    /// How many targets are how far.
    pub counts: JobCounts,
    /// The most that are under way at the same time.
    pub concurrency: u32,
    /// How long a command may run, in seconds.
    pub timeout_seconds: u32,
    /// How long after its hand-over a command may start, in seconds.
    pub expires_in_seconds: u32,
    /// Who asked.
    pub actor: Actor,
    /// When it became durable.
    pub created_at: Timestamp,
    /// Until when targets may have their turn.
    pub deadline_at: Timestamp,
    /// When it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// One satellite of a job, and how far its command is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobTargetRow {
    /// Which.
    pub satellite_id: SatelliteId,
    /// Its name when the job began.
    pub satellite_name: SatelliteName,
    /// Its team then.
    pub team_id: Option<TeamId>,
    /// Its command, where there is one.
    pub command_id: Option<CommandId>,
    /// How far it is.
    pub status: TargetStatus,
    /// The exit code.
    pub exit_code: Option<i32>,
    /// How long it ran, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Whether output was dropped.
    pub truncated: bool,
    /// Bytes of standard output that are stored.
    pub stdout_bytes: u64,
    /// Bytes of standard error that are stored.
    pub stderr_bytes: u64,
    /// Why it was not run, or failed.
    pub error: Option<ErrorBody>,
    /// Until when its command may start.
    pub expires_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    /// A terminal status.
    pub status: JobStatus,
    /// How its targets ended.
    pub counts: JobCounts,
    /// When.
    pub finished_at: Timestamp,
}
