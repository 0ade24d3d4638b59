//! Rows and queries of commands.

use bytes::Bytes;
use hive_wire::agent::Channel;
use hive_wire::agent::DEFAULT_TIMEOUT_SECONDS;
use hive_wire::api::{Actor, CommandEnd, CommandSort, CommandStatus, CommandType, Priority, SatelliteStatus};
use hive_wire::{CommandId, JobId, SatelliteId, TeamId, Timestamp};

use crate::access::Authority;
use crate::row_order::{SortKey, row_orders};

hive_wire::with_setters! {
    /// A command to store.
    #[derive(Debug, Clone)]
    pub struct NewCommand {
        /// Its id.
        pub id: CommandId,
        /// Its satellite.
        pub satellite_id: SatelliteId,
        /// The job to which it belongs.
        pub job_id: Option<JobId>,
        /// Its type.
        pub command_type: CommandType,
        /// Its priority: 0 immediate, 1 high, 2 normal, 3 low.
        pub priority: u8,
        /// Its payload as JSON with sealed secrets. Empty for a command of a job, which has the payload.
        pub payload: String,
        /// A summary for people.
        pub summary: String,
        /// Whether it may run more than once.
        pub idempotent: bool,
        /// The timeout, in seconds.
        pub timeout_seconds: u32,
        /// The actor who asked for it.
        pub actor: Actor,
        /// The authority of the actor.
        pub authorised_by: Authority,
        /// The team of the satellite.
        pub team_id: Option<TeamId>,
        /// When it was created.
        pub created_at: Timestamp,
        /// Until when it may start.
        pub expires_at: Timestamp,
        /// The delivery, if it is sent to its satellite at once. It is then stored as delivered.
        pub delivery: Option<Delivery>,
    }
}

impl NewCommand {
    /// A command that runs a program, is of no job and no team, and is queued with the usual priority.
    pub fn new(
        id: CommandId,
        satellite_id: SatelliteId,
        actor: Actor,
        created_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            id,
            satellite_id,
            job_id: None,
            command_type: CommandType::Exec,
            priority: Priority::Normal.rank(),
            payload: String::new(),
            summary: String::new(),
            idempotent: false,
            timeout_seconds: DEFAULT_TIMEOUT_SECONDS,
            actor,
            authorised_by: Authority::Role,
            team_id: None,
            created_at,
            expires_at,
            delivery: None,
        }
    }
}

/// A delivery of a command to a satellite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The journal of the satellite. After a delivery to another journal it is not known what ran.
    pub journal_id: String,
    /// Its time, by the steady clock.
    pub at: Timestamp,
    /// Until when the command may start, if the delivery changes that.
    pub expires_at: Option<Timestamp>,
}

/// A key by which a repeated request is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The id of the actor. Keys of different actors are independent.
    pub owner: String,
    /// The key of the request.
    pub key: String,
    /// A digest of the request in hex. It is keyed, because the request may contain secrets.
    pub body_hash: String,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// The outcome of storing commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandInsertOutcome {
    /// The commands are stored.
    New,
    /// The same request was stored before, with these commands in their order.
    Existing(Vec<CommandId>),
    /// The key is in use by another request. Nothing was stored.
    Conflict,
    /// A satellite does not exist, or does not belong to the team of its command. Nothing was stored.
    NoSatellite,
}

/// A stored command.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRow {
    /// Its id.
    pub id: CommandId,
    /// Its satellite.
    pub satellite_id: SatelliteId,
    /// The job to which it belongs.
    pub job_id: Option<JobId>,
    /// Its type.
    pub command_type: CommandType,
    /// Its priority: 0 immediate, 1 high, 2 normal, 3 low.
    pub priority: u8,
    /// Its payload as JSON with sealed secrets. Empty for a command of a job.
    pub payload: String,
    /// A summary for people.
    pub summary: String,
    /// Whether it may run more than once.
    pub idempotent: bool,
    /// The timeout, in seconds.
    pub timeout_seconds: u32,
    /// The actor who asked for it.
    pub actor: Actor,
    /// The team of the satellite when it was stored.
    pub team_id: Option<TeamId>,
    /// Its status.
    pub status: CommandStatus,
    /// The journal to which it was delivered.
    pub journal_id: Option<String>,
    /// How it ended, apart from its status.
    pub end: CommandEnd,
    /// When it was created.
    pub created_at: Timestamp,
    /// Until when it may start.
    pub expires_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// The end of a command as it is stored, with its last output.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandOutcome {
    /// The final status.
    pub status: CommandStatus,
    /// How it ended, apart from its status.
    pub end: CommandEnd,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The last chunks of output with their offsets. They are appended in the same transaction, like by
    /// `command_output_append`.
    pub output: Vec<(Channel, u64, Bytes)>,
}

/// A page of the queued commands of a satellite: one class and one priority, after a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuePage {
    /// Whether it has the power commands, or all others.
    pub is_power: bool,
    /// The priority.
    pub priority: u8,
    /// The key: creation time and id of the last command of the page before.
    pub after: Option<(Timestamp, CommandId)>,
}

/// A queued command, with what the queue needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedCommandRow {
    /// Its id.
    pub id: CommandId,
    /// Its type.
    pub command_type: CommandType,
    /// Its priority.
    pub priority: u8,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A command whose turn it may be.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnRow {
    /// The command.
    pub command: CommandRow,
    /// The status of its satellite; `None` if the satellite was removed.
    pub satellite: Option<SatelliteStatus>,
}

/// A number of open commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCommandCount {
    /// Their satellite.
    pub satellite_id: SatelliteId,
    /// The id of their actor.
    pub created_by: String,
    /// Whether they belong to jobs.
    pub is_of_job: bool,
    /// Their number.
    pub count: u32,
}

row_orders! {
    CommandSort of CommandRow {
        CreatedAt: Number, |row| SortKey::time(row.created_at, row.id);
    }
}
