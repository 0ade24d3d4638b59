//! Rows and queries of commands.

use bytes::Bytes;
use hive_wire::agent::{Channel, ErrorBody};
use hive_wire::api::{Actor, CommandStatus, CommandType};
use hive_wire::{CommandId, JobId, SatelliteId, TeamId, Timestamp};

use crate::access::Authority;

/// A command to be stored.
#[derive(Debug, Clone)]
pub struct NewCommand {
    /// Its id.
    pub id: CommandId,
    /// Its satellite.
    pub satellite_id: SatelliteId,
    /// The fan-out it belongs to.
    pub job_id: Option<JobId>,
    /// What kind of thing it does.
    pub command_type: CommandType,
    /// How urgent it is: 0 immediate, 1 high, 2 normal, 3 low.
    pub priority: u8,
    /// The JSON of its payload, secrets sealed; empty where its job has it.
    pub payload: String,
    /// For people.
    pub summary: String,
    /// Whether it may run twice.
    pub idempotent: bool,
    /// How long it may run, in seconds.
    pub timeout_seconds: u32,
    /// Who asked.
    pub actor: Actor,
    /// What allowed it.
    pub authorised_by: Authority,
    /// The satellite's team.
    pub team_id: Option<TeamId>,
    /// The time.
    pub created_at: Timestamp,
    /// Until when it may start.
    pub expires_at: Timestamp,
    /// Where it is handed to a link at once: stored as delivered, in the same transaction.
    pub delivery: Option<Delivery>,
}

/// A hand-over to a satellite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The satellite's journal: redelivery to another one cannot know what ran.
    pub journal_id: String,
    /// When, by the time that does not jump.
    pub at: Timestamp,
    /// Until when the command may start, where that begins to count now; as it was stored otherwise.
    pub expires_at: Option<Timestamp>,
}

/// A caller's key for "the same request again".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Whose: the actor's id.
    pub owner: String,
    /// The key, as given.
    pub key: String,
    /// A keyed digest of the request, in hex: the request may hold secrets.
    pub body_hash: String,
    /// Until when it counts.
    pub expires_at: Timestamp,
}

/// How storing commands went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// They are stored.
    New,
    /// The same request stored these before, in their order.
    Existing(Vec<CommandId>),
    /// The key was used for another request.
    Conflict,
    /// A satellite of theirs is not there, or is not of the team that the command says. Nothing is stored.
    NoSatellite,
}

/// A command as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRow {
    /// Its id.
    pub id: CommandId,
    /// Its satellite.
    pub satellite_id: SatelliteId,
    /// The fan-out it belongs to.
    pub job_id: Option<JobId>,
    /// What kind of thing it does.
    pub command_type: CommandType,
    /// How urgent it is: 0 immediate, 1 high, 2 normal, 3 low.
    pub priority: u8,
    /// The JSON of its payload, secrets sealed; empty where its job has it.
    pub payload: String,
    /// For people.
    pub summary: String,
    /// Whether it may run twice.
    pub idempotent: bool,
    /// How long it may run, in seconds.
    pub timeout_seconds: u32,
    /// Who asked.
    pub actor: Actor,
    /// The satellite's team.
    pub team_id: Option<TeamId>,
    /// How far it is.
    pub status: CommandStatus,
    /// The journal it was delivered to.
    pub journal_id: Option<String>,
    /// The exit code.
    pub exit_code: Option<i32>,
    /// How long it ran, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Whether output was dropped.
    pub truncated: bool,
    /// Why it failed.
    pub error: Option<ErrorBody>,
    /// When it became durable.
    pub created_at: Timestamp,
    /// Until when it may start.
    pub expires_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandOutcome {
    /// A terminal status.
    pub status: CommandStatus,
    /// The exit code.
    pub exit_code: Option<i32>,
    /// How long it ran, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Whether output was dropped.
    pub truncated: bool,
    /// Why it failed, where it was not the program's own exit.
    pub error: Option<ErrorBody>,
    /// When.
    pub finished_at: Timestamp,
    /// The last pieces of output that are not stored yet: offset and bytes of stdout and stderr. They are appended as
    /// `command_output_append` does, in the same transaction.
    pub output: Vec<(hive_wire::agent::Channel, u64, bytes::Bytes)>,
}

/// Some of a satellite's queued commands: those of one class and priority, behind a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuePage {
    /// Whether changes of power are wanted, or all others.
    pub is_power: bool,
    /// Of this priority.
    pub priority: u8,
    /// Behind this one, by creation and id.
    pub after: Option<(Timestamp, CommandId)>,
}

/// A queued command, as its queue needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedRow {
    /// Its id.
    pub id: CommandId,
    /// What kind of thing it does.
    pub command_type: CommandType,
    /// How urgent it is.
    pub priority: u8,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// How many commands have not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCount {
    /// On this satellite.
    pub satellite_id: SatelliteId,
    /// Of whom: the actor's id.
    pub created_by: String,
    /// Whether they are of jobs.
    pub is_of_job: bool,
    /// So many.
    pub count: u32,
}
