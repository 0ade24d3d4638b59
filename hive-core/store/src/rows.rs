//! What goes into a store and comes out of it. Rows never leave `store` and `hive`.

use std::collections::{BTreeMap, BTreeSet};

use hive_wire::agent::{ErrorBody, SystemInfo};
use hive_wire::api::{
    Actor, CommandStatus, CommandType, PlatformRole, RegistrationTokenInfo, SatelliteStatus, TokenScope, User,
};
use hive_wire::{
    ApiKeyId, CommandId, HiveId, JobId, RegistrationTokenId, SatelliteId, SatelliteName, TeamId, Timestamp, UserId,
};

use crate::access::{Authority, Permission, Role, Sight};

pub use jobs::{JobEnd, JobInserted, JobRow, JobTargetRow, NewJob, NewJobTarget};
pub use sessions::{NewSession, SessionQuery, SessionRow};

mod jobs;
mod sessions;

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Entries to skip.
    pub offset: u64,
    /// The most entries to return.
    pub limit: u32,
}

impl Window {
    /// Everything.
    pub const ALL: Self = Self { offset: 0, limit: u32::MAX };
}

/// A satellite that registers.
#[derive(Debug, Clone)]
pub struct NewSatellite {
    /// The id it gets where its name is new.
    pub id: SatelliteId,
    /// Its name.
    pub name: SatelliteName,
    /// The team of its token; none for a global one.
    pub team_id: Option<TeamId>,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// The labels it starts with; kept labels win where the name is known.
    pub tags: Vec<String>,
    /// What it says of itself beyond them.
    pub claimed_tags: Vec<String>,
    /// Its public base URL.
    pub satellite_url: String,
    /// The machine.
    pub system: SystemInfo,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// The argon2id hash of its new key's secret.
    pub api_key_hash: String,
    /// Who made its token.
    pub created_by: String,
    /// Whether it may have a name that another one has.
    pub name_use: NameUse,
    /// A hash of the word that it sends again with the same request.
    pub attempt_hash: Option<String>,
    /// The time.
    pub now: Timestamp,
}

/// What a registration may do with its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameUse {
    /// Take it where nobody has it.
    New,
    /// Also take it over from this satellite, which gets the new key.
    Of(SatelliteId),
    /// Nothing: it is refused, with the reason why the token cannot be used where there is one.
    None,
}

/// A registration that is sent again because its answer was lost.
#[derive(Debug, Clone)]
pub struct RegisterAgain {
    /// The hash of the word that it was sent with.
    pub attempt_hash: String,
    /// Its name.
    pub name: SatelliteName,
    /// The token must have been used since.
    pub since: Timestamp,
    /// The argon2id hash of the new key's secret.
    pub api_key_hash: String,
    /// The time.
    pub now: Timestamp,
}

/// How a registration went.
#[derive(Debug, Clone)]
pub enum RegisterOutcome {
    /// It is registered, and the token is spent.
    Registered(Box<SatelliteRow>),
    /// The token cannot be used.
    TokenUnusable(TokenState),
    /// Another satellite has the name, and may keep it. The token is not spent.
    NameTaken,
}

/// What a registration token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// There is none of this id.
    Unknown,
    /// A satellite has registered with it.
    Used,
    /// It was revoked.
    Revoked,
    /// Its time is up.
    Expired,
}

/// A satellite as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct SatelliteRow {
    /// Its id.
    pub id: SatelliteId,
    /// Its name.
    pub name: SatelliteName,
    /// The team it serves; none where it serves all.
    pub team_id: Option<TeamId>,
    /// Whether it may be used.
    pub status: SatelliteStatus,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Its labels, sorted.
    pub tags: Vec<String>,
    /// What it says of itself beyond them, sorted.
    pub claimed_tags: Vec<String>,
    /// Where it stands.
    pub region: Option<String>,
    /// Its public base URL.
    pub satellite_url: Option<String>,
    /// The machine.
    pub system: SystemInfo,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// The last sign of life.
    pub last_heartbeat: Option<Timestamp>,
    /// The journal of its last link, where it told the process behind it.
    pub journal: Option<JournalRow>,
    /// When another process with its identity was last refused, since it has its key.
    pub conflict_at: Option<Timestamp>,
    /// When it first registered.
    pub created_at: Timestamp,
    /// When the row last changed, signs of life apart.
    pub updated_at: Timestamp,
}

/// The memory of what ran on a satellite, as its last link told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// The hive's word for it, under which commands are delivered.
    pub id: String,
    /// The process that writes it.
    pub start_id: Option<String>,
    /// The highest number of records it was seen to have.
    pub position: Option<u64>,
}

/// How far a journal has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalPosition {
    /// Whose.
    pub satellite_id: SatelliteId,
    /// Which.
    pub journal_id: String,
    /// Its number of records.
    pub position: u64,
}

/// By the name of each key file, what tells its key from others.
pub type Fingerprints = BTreeMap<String, String>;

/// A hive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiveRow {
    /// Its id.
    pub id: HiveId,
    /// When it was made.
    pub created_at: Timestamp,
    /// The keys that sealed and signed what is stored. A key that is not in it is not checked.
    pub keys: Fingerprints,
}

/// What verifies a satellite's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SatelliteKeyRow {
    /// The argon2id hash of the secret.
    pub hash: String,
    /// Grows with every new key.
    pub generation: u64,
}

/// Which satellites are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SatelliteQuery {
    /// Only those in sight.
    pub sight: Sight,
    /// Only those of this status.
    pub status: Option<SatelliteStatus>,
    /// Only those that carry all of these labels.
    pub tags: Vec<String>,
    /// Only those whose name or host name contains this, letter by letter.
    pub search: Option<String>,
    /// Only those of this team.
    pub team_id: Option<TeamId>,
}

impl SatelliteQuery {
    /// Everything in sight.
    pub fn in_sight(sight: Sight) -> Self {
        Self { sight, status: None, tags: Vec::new(), search: None, team_id: None }
    }
}

/// What to change of a satellite; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct SatellitePatch {
    /// A new name.
    pub name: Option<SatelliteName>,
    /// New labels, all of them.
    pub tags: Option<Vec<String>>,
    /// A new status.
    pub status: Option<SatelliteStatus>,
    /// A new region.
    pub region: Option<String>,
    /// Another team, and the key that goes with it.
    pub assignment: Option<Assignment>,
}

/// Whom a satellite serves from now on. Its key before is dead.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The team; none for the whole hive.
    pub team_id: Option<TeamId>,
    /// The argon2id hash of its new key's secret.
    pub api_key_hash: String,
}

/// A sign of life.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Whose.
    pub id: SatelliteId,
    /// When.
    pub at: Timestamp,
    /// The machine, where it told.
    pub system: Option<SystemInfo>,
    /// The agent's version, where it told.
    pub agent_version: Option<String>,
}

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

/// A user to be added.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Who.
    pub user: User,
    /// The argon2id hash of the password.
    pub password_hash: String,
}

/// A user with what verifies their password and their logins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Who.
    pub user: User,
    /// The argon2id hash of the password.
    pub password_hash: String,
    /// Logins of earlier generations are dead.
    pub login_generation: u64,
}

/// What changes about a user. What is not given stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPatch {
    /// Their platform role.
    pub role: Option<PlatformRole>,
    /// Whether they are disabled.
    pub disabled: Option<bool>,
    /// When.
    pub now: Timestamp,
}

/// What became of a change of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserUpdated {
    /// As they are now.
    Updated(User),
    /// No global admin would be left who is not disabled. Nothing was changed.
    LastAdmin,
    /// There is no such user.
    Unknown,
}

/// A user's API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose.
    pub user_id: UserId,
    /// What it is for.
    pub name: String,
    /// The argon2id hash of the secret.
    pub hash: String,
    /// What it is limited to.
    pub scopes: Option<BTreeSet<Permission>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// An API key and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyOwner {
    /// The key.
    pub key: ApiKeyRow,
    /// Its owner.
    pub user: User,
    /// The owner's teams, and what they are there.
    pub teams: Vec<(TeamId, Role)>,
}

/// A registration token to be stored.
#[derive(Debug, Clone)]
pub struct NewRegistrationToken {
    /// Its id.
    pub id: RegistrationTokenId,
    /// For whom.
    pub scope: TokenScope,
    /// The team, where the scope is one.
    pub team_id: Option<TeamId>,
    /// What it is for.
    pub description: Option<String>,
    /// Who makes it.
    pub actor: Actor,
    /// What allowed it.
    pub authorised_by: Authority,
    /// The labels that a satellite gets with it.
    pub tags: Vec<String>,
    /// Patterns of labels that a satellite may claim with it.
    pub allowed_tags: Vec<String>,
    /// The one satellite whose place it may take.
    pub for_satellite: Option<SatelliteId>,
    /// When.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A registration token and what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationTokenRow {
    /// The token.
    pub info: RegistrationTokenInfo,
    /// Who made it.
    pub actor: Actor,
    /// How many satellites may register with it.
    pub max_uses: u64,
}
