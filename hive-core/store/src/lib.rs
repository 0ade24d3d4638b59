//! Where a hive keeps what must last.
//!
//! Small traits, one per kind of thing, and [`Store`] for all of them together. Every method that changes something takes
//! the audit records of the change and commits both in one transaction. What must happen once is one method. Every
//! promise below has a check in the crate `hive-store-conformance`, which each implementation passes. Who wants something else of
//! a few methods only writes a [`StoreLayer`] over a store that is there.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod access;
pub mod audit;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod backup;
mod database;
mod disk;
mod error;
#[cfg(test)]
mod fixture;
pub mod key_files;
mod layer;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod private_files;
mod rows;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;

use async_trait::async_trait;
use bytes::Bytes;
use hive_wire::agent::{Channel, Received};
use hive_wire::api::{
    AuditEntry, AuditQuery, AuditVerification, RegistrationTokenInfo, SessionEnd, Size, Team, TeamMember, User,
};
use hive_wire::{
    ApiKeyId, AuditId, CommandId, JobId, RegistrationTokenId, SatelliteId, SatelliteName, SessionId, TeamId, Timestamp,
    UserId,
};

use access::{Role, Sight};
use audit::{AuditDraft, AuditLine};

pub use database::{Database, InvalidDatabase};
pub use disk::{DiskError, DiskFault};
pub use error::{BoxError, StoreError, StoreResult};
pub use layer::StoreLayer;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sql::SqlStore;

pub use rows::{
    ApiKeyOwner, ApiKeyRow, Assignment, CommandOutcome, CommandRow, Delivery, Fingerprints, HiveRow,
    IdempotencyKey, Inserted, JobEnd, JobInserted, JobRow, JobTargetRow, JournalPosition, JournalRow, NameUse,
    NewCommand, NewJob, NewJobTarget, NewRegistrationToken, NewSatellite, NewSession, NewUser, OpenCount, QueuePage,
    QueuedRow, RegisterAgain, RegisterOutcome, RegistrationTokenRow, SatelliteKeyRow, SatellitePatch, SatelliteQuery,
    SatelliteRow, Seen, SessionQuery, SessionRow, TokenState, UserPatch, UserRow, UserUpdated, Window,
};

/// Which hive it is.
#[async_trait]
pub trait HiveStore: Send + Sync {
    /// Returns the hive; `None` where none was created yet.
    async fn hive_get(&self) -> StoreResult<Option<HiveRow>>;
    /// Makes the store this hive's, unless it is one's already. Returns whose it is: however many callers come at once, all
    /// get the same. Not audited: there is nobody yet.
    async fn hive_create(&self, hive: HiveRow) -> StoreResult<HiveRow>;
    /// Notes that other keys belong to the hive from now on.
    async fn hive_keys_set(&self, keys: Fingerprints, audit: AuditDraft) -> StoreResult<()>;
}

/// Satellites.
#[async_trait]
pub trait SatelliteStore: Send + Sync {
    /// Takes a registration token and registers a satellite with it, in one transaction. Of all callers with one token at
    /// most one gets `Registered`. The satellite that is named to be taken over, of this name and team, keeps its id,
    /// creation time and labels, gets the new key (the one before is kept as superseded) and is inactive again, without a conflict. Any other one that has the name
    /// keeps it, and the token is not spent. The record is written only for `Registered`, with the satellite's final id as its
    /// target.
    async fn satellite_register(
        &self,
        token: RegistrationTokenId,
        satellite: NewSatellite,
        audit: AuditDraft,
    ) -> StoreResult<RegisterOutcome>;
    /// Gives the satellite that has registered with this token another key, where the request is the same by its attempt and
    /// name and the token was used since then, and no other token was used for the satellite afterwards. The record is written
    /// only then, with the satellite as its target.
    async fn satellite_register_again(
        &self,
        token: RegistrationTokenId,
        again: RegisterAgain,
        audit: AuditDraft,
    ) -> StoreResult<Option<SatelliteRow>>;
    /// Returns a satellite that is not removed.
    async fn satellite_get(&self, id: SatelliteId) -> StoreResult<Option<SatelliteRow>>;
    /// Returns the satellite of this name that is not removed.
    async fn satellite_find(&self, name: &SatelliteName) -> StoreResult<Option<SatelliteRow>>;
    /// Lists satellites by name, and how many there are. Removed ones are left out.
    async fn satellite_list(&self, query: &SatelliteQuery, window: Window) -> StoreResult<(Vec<SatelliteRow>, u64)>;
    /// Changes a satellite; with another team its key before is dead and kept as superseded, and what is open on it ends: commands as cancelled,
    /// terminals as killed. The record says in `ended` how many. `Taken` where the new name belongs to another; a
    /// removed satellite has none.
    async fn satellite_update(
        &self,
        id: SatelliteId,
        patch: SatellitePatch,
        audit: AuditDraft,
    ) -> StoreResult<Option<SatelliteRow>>;
    /// Removes a satellite, kills its key and ends what is open on it: queued commands as cancelled, others as of unknown
    /// outcome, terminals as killed. The record says in `ended` how many. False where there is none.
    async fn satellite_remove(&self, id: SatelliteId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool>;
    /// Activates a satellite that is inactive. True for the one caller that did it; only then the record is written.
    async fn satellite_activate(&self, id: SatelliteId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool>;
    /// Returns what verifies a satellite's key.
    async fn satellite_key(&self, id: SatelliteId) -> StoreResult<Option<SatelliteKeyRow>>;
    /// Lists up to `limit` hashes of keys of a satellite that were replaced, newest first. Those of one that was removed are
    /// not listed.
    async fn satellite_superseded_keys(&self, id: SatelliteId, limit: u32) -> StoreResult<Vec<String>>;
    /// Forgets the keys that were replaced before this time. Not audited: they log nobody in.
    async fn satellite_superseded_keys_prune(&self, before: Timestamp) -> StoreResult<()>;
    /// Notes signs of life, all in one transaction. Not audited: telemetry.
    async fn satellite_seen(&self, seen: Vec<Seen>) -> StoreResult<()>;
    /// Sets which journal and process are behind a satellite's link. Not audited: telemetry.
    async fn satellite_journal_set(&self, id: SatelliteId, journal: JournalRow) -> StoreResult<()>;
    /// Notes how far journals have come. A position that is lower than the stored one, or of another journal, changes nothing.
    async fn satellite_journal_advance(&self, positions: Vec<JournalPosition>) -> StoreResult<()>;
    /// Notes that another process with the satellite's identity was refused. False where there is no such satellite; the
    /// record is written only for true.
    async fn satellite_conflict(&self, id: SatelliteId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool>;
}

/// Commands and their output.
#[async_trait]
pub trait CommandStore: Send + Sync {
    /// Stores commands, all or none; none where a satellite of theirs was removed, or is not of the command's team any more
    /// (`NoSatellite`): who removes a satellite, or gives it away, has ended all of its commands. With an idempotency key seen within its life: `Existing` where the body is the same,
    /// `Conflict` otherwise, and nothing is stored.
    async fn command_insert(
        &self,
        commands: Vec<NewCommand>,
        idempotency: Option<IdempotencyKey>,
        audit: AuditDraft,
    ) -> StoreResult<Inserted>;
    /// Marks a queued command as delivered to this journal; an idempotent one also where it was delivered or started
    /// before. False for any other.
    async fn command_deliver(&self, id: CommandId, delivery: Delivery) -> StoreResult<bool>;
    /// Marks a delivered command as started. False where it is not delivered any more.
    async fn command_start(&self, id: CommandId, now: Timestamp) -> StoreResult<bool>;
    /// Gives a command its terminal status. True for the one caller that did; the records are written only then.
    async fn command_finish(&self, id: CommandId, outcome: CommandOutcome, audit: Vec<AuditDraft>)
    -> StoreResult<bool>;
    /// Gives a command its terminal status while it is queued. False for any other, also one that was delivered at the last
    /// moment; the records are written only for true.
    async fn command_finish_queued(
        &self,
        id: CommandId,
        outcome: CommandOutcome,
        audit: Vec<AuditDraft>,
    ) -> StoreResult<bool>;
    /// Returns a command.
    async fn command_get(&self, id: CommandId) -> StoreResult<Option<CommandRow>>;
    /// Takes back the delivery of a command that was not started: it is queued again. False for any other.
    async fn command_requeue(&self, id: CommandId, now: Timestamp) -> StoreResult<bool>;
    /// Moves the expiry of a queued command. False for any other.
    async fn command_set_expiry(&self, id: CommandId, expires_at: Timestamp) -> StoreResult<bool>;
    /// Lists a satellite's commands that have not ended, oldest first.
    async fn command_list_open(&self, satellite: SatelliteId) -> StoreResult<Vec<CommandRow>>;
    /// Lists a satellite's commands that were handed over and have not ended, oldest first.
    async fn command_list_in_flight(&self, satellite: SatelliteId) -> StoreResult<Vec<CommandRow>>;
    /// Lists up to `limit` of a satellite's queued commands by priority, then age; those of jobs are left out, as they wait
    /// for the turn of their job. With a page only those of its class and priority that are behind its key.
    async fn command_list_queued(
        &self,
        satellite: SatelliteId,
        page: Option<QueuePage>,
        limit: u32,
    ) -> StoreResult<Vec<QueuedRow>>;
    /// Lists the jobs that have queued commands of a satellite.
    async fn command_list_waiting_jobs(&self, satellite: SatelliteId) -> StoreResult<Vec<JobId>>;
    /// Counts the commands that have not ended, by satellite, by who asked, and by whether they are of a job.
    async fn command_count_open(&self) -> StoreResult<Vec<OpenCount>>;
    /// Lists a satellite's commands that were given in a team in sight, newest first, and how many there are.
    async fn command_list(
        &self,
        satellite: SatelliteId,
        sight: &Sight,
        window: Window,
    ) -> StoreResult<(Vec<CommandRow>, u64)>;
    /// Lists up to `limit` commands, latest first, that were ended since then because the satellite was removed or given to
    /// another team, after they had been handed to this journal: the satellite may run them still.
    async fn command_list_revoked(
        &self,
        satellite: SatelliteId,
        journal_id: &str,
        since: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<CommandId>>;
    /// Lists up to `limit` open commands that are overdue: queued ones past their expiry, others past their last hand-over
    /// plus their timeout plus `grace`.
    async fn command_list_overdue(
        &self,
        now: Timestamp,
        grace: std::time::Duration,
        limit: u32,
    ) -> StoreResult<Vec<CommandRow>>;
    /// Stores a piece of output. Bytes before what is there are skipped, so that a piece may come twice; one that leaves
    /// a gap is `Damaged`. Not audited.
    async fn command_output_append(
        &self,
        id: CommandId,
        channel: Channel,
        offset: u64,
        bytes: Bytes,
    ) -> StoreResult<()>;
    /// Returns how much output of each stream is stored.
    async fn command_output_len(&self, id: CommandId) -> StoreResult<Received>;
    /// Returns the stored output of one stream behind the first `from` bytes, in whole pieces up to about `limit` bytes
    /// and at least one; empty where there is no more.
    async fn command_output(&self, id: CommandId, channel: Channel, from: u64, limit: usize) -> StoreResult<Bytes>;
}

/// Jobs: commands that belong together, with the satellites they are for and those that could not be given one.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Stores a job, its targets and its commands, all or none. A target whose satellite was removed, or is not of its team any
    /// more, is stored as not run, without its command. With an idempotency key seen within its life: `Existing`
    /// where the body is the same, `Conflict` otherwise, and nothing is stored.
    async fn job_insert(
        &self,
        job: NewJob,
        commands: Vec<NewCommand>,
        idempotency: Option<IdempotencyKey>,
        audit: AuditDraft,
    ) -> StoreResult<JobInserted>;
    /// Returns what a job's commands do, as it was stored.
    async fn job_payload(&self, id: JobId) -> StoreResult<Option<String>>;
    /// Returns a job.
    async fn job_get(&self, id: JobId) -> StoreResult<Option<JobRow>>;
    /// Lists the jobs all of whose satellites are in sight, newest first, and how many there are.
    async fn job_list(&self, sight: &Sight, window: Window) -> StoreResult<(Vec<JobRow>, u64)>;
    /// Lists the jobs that have not ended, oldest first.
    async fn job_list_open(&self) -> StoreResult<Vec<JobId>>;
    /// Lists a job's targets in their order, and how many there are.
    async fn job_target_list(&self, id: JobId, window: Window) -> StoreResult<(Vec<JobTargetRow>, u64)>;
    /// Cancels a job that was not cancelled before and has not ended: its queued commands end as cancelled with it. True
    /// for the one caller that did; only then the record is written. None of its commands is delivered afterwards.
    async fn job_cancel(&self, id: JobId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool>;
    /// Ends a job none of whose commands is open. True for the one caller that did; only then the record is written.
    async fn job_finish(&self, id: JobId, end: JobEnd, audit: AuditDraft) -> StoreResult<bool>;
}

/// Terminals. Their bytes are not stored.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Stores a terminal as starting, unless `limit` terminals of its satellite have not ended, or the satellite is not there
    /// for the terminal's team any more: then false, and nothing is stored. However many callers come at once, no more than `limit` are there.
    async fn session_insert(&self, session: NewSession, limit: u32, audit: AuditDraft) -> StoreResult<bool>;
    /// Marks a starting terminal as open. False for any other; the record is written only for true.
    async fn session_open(&self, id: SessionId, audit: AuditDraft) -> StoreResult<bool>;
    /// Returns a terminal, ended ones too.
    async fn session_get(&self, id: SessionId) -> StoreResult<Option<SessionRow>>;
    /// Lists up to `limit` terminals, newest first.
    async fn session_list(&self, query: &SessionQuery, limit: u32) -> StoreResult<Vec<SessionRow>>;
    /// Lists the terminals of a satellite, or of all, that have not ended, oldest first.
    async fn session_list_open(&self, satellite: Option<SatelliteId>) -> StoreResult<Vec<SessionRow>>;
    /// Gives a terminal its end. True for the one caller that did; only then the record is written.
    async fn session_end(&self, id: SessionId, end: SessionEnd, now: Timestamp, audit: AuditDraft)
    -> StoreResult<bool>;
    /// Notes the size of a terminal that has not ended. Not audited: telemetry.
    async fn session_resize(&self, id: SessionId, size: Size) -> StoreResult<()>;
}

/// Users, teams and API keys.
#[async_trait]
pub trait IdentityStore: Send + Sync {
    /// Adds a user. `Taken` where the name is.
    async fn user_create(&self, user: NewUser, audit: AuditDraft) -> StoreResult<User>;
    /// Returns a user.
    async fn user_get(&self, id: UserId) -> StoreResult<Option<UserRow>>;
    /// Returns the user of this name.
    async fn user_find(&self, username: &str) -> StoreResult<Option<UserRow>>;
    /// Lists users by name, and how many there are.
    async fn user_list(&self, window: Window) -> StoreResult<(Vec<User>, u64)>;
    /// Changes a user; who is disabled has no login of before when they are enabled again. However many callers come at
    /// once, a global admin who is not disabled is left.
    async fn user_update(&self, id: UserId, patch: UserPatch, audit: AuditDraft) -> StoreResult<UserUpdated>;
    /// Sets a password, and ends all logins. With `before` only where that is the hash of now: of all callers with one
    /// hash at most one gets true. The record is written only then.
    async fn user_password_set(
        &self,
        id: UserId,
        hash: String,
        before: Option<String>,
        audit: AuditDraft,
    ) -> StoreResult<bool>;
    /// Adds a team. `Taken` where the slug is.
    async fn team_create(&self, team: Team, audit: AuditDraft) -> StoreResult<()>;
    /// Lists all teams by slug.
    async fn team_list(&self) -> StoreResult<Vec<Team>>;
    /// Makes a user a member of a team, or changes what they are there.
    async fn team_member_put(&self, team: TeamId, user: UserId, role: Role, audit: AuditDraft) -> StoreResult<()>;
    /// Takes a user out of a team. False where they are not in it; the record is written only for true.
    async fn team_member_remove(&self, team: TeamId, user: UserId, audit: AuditDraft) -> StoreResult<bool>;
    /// Lists a team's members by name.
    async fn team_member_list(&self, team: TeamId) -> StoreResult<Vec<TeamMember>>;
    /// Lists a user's teams and what they are there.
    async fn team_memberships(&self, user: UserId) -> StoreResult<Vec<(TeamId, Role)>>;
    /// Stores an API key.
    async fn api_key_create(&self, key: ApiKeyRow, audit: AuditDraft) -> StoreResult<()>;
    /// Returns an API key, revoked or not, with its owner and the owner's teams: all that a call needs, in one read.
    async fn api_key_owner(&self, id: ApiKeyId) -> StoreResult<Option<ApiKeyOwner>>;
    /// Lists a user's API keys, newest first.
    async fn api_key_list(&self, user: UserId) -> StoreResult<Vec<ApiKeyRow>>;
    /// Gives a user's API key that is neither revoked nor expired another secret, by its hash; the one before is dead.
    /// Returns the key as it is now; the record is written only then.
    async fn api_key_rotate(
        &self,
        id: ApiKeyId,
        user: UserId,
        hash: String,
        now: Timestamp,
        audit: AuditDraft,
    ) -> StoreResult<Option<ApiKeyRow>>;
    /// Revokes a user's API key. False where there is none, or it was revoked before.
    async fn api_key_revoke(&self, id: ApiKeyId, user: UserId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool>;
}

/// Registration tokens. The token itself is signed, not stored.
#[async_trait]
pub trait RegistrationTokenStore: Send + Sync {
    /// Stores a token.
    async fn registration_token_create(&self, token: NewRegistrationToken, audit: AuditDraft) -> StoreResult<()>;
    /// Returns a token.
    async fn registration_token_get(&self, id: RegistrationTokenId) -> StoreResult<Option<RegistrationTokenInfo>>;
    /// Returns a token with who made it.
    async fn registration_token_row(&self, id: RegistrationTokenId) -> StoreResult<Option<RegistrationTokenRow>>;
    /// Lists the tokens in sight, newest first.
    async fn registration_token_list(&self, sight: &Sight) -> StoreResult<Vec<RegistrationTokenInfo>>;
    /// Revokes a token that was neither used nor revoked. False otherwise.
    async fn registration_token_revoke(
        &self,
        id: RegistrationTokenId,
        now: Timestamp,
        audit: AuditDraft,
    ) -> StoreResult<bool>;
}

/// The audit trail.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Appends a record that goes with no other change.
    async fn audit_append(&self, draft: AuditDraft) -> StoreResult<AuditEntry>;
    /// Lists records in sight, newest first, and how many there are.
    async fn audit_list(
        &self,
        query: &AuditQuery,
        sight: &Sight,
        window: Window,
    ) -> StoreResult<(Vec<AuditEntry>, u64)>;
    /// Returns a record in sight.
    async fn audit_get(&self, id: AuditId, sight: &Sight) -> StoreResult<Option<AuditEntry>>;
    /// Returns up to `limit` records as they are stored, from `first_seq` on, in order.
    async fn audit_lines(&self, first_seq: u64, limit: u32) -> StoreResult<Vec<AuditLine>>;
    /// Checks the whole stored chain.
    async fn audit_verify(&self) -> StoreResult<AuditVerification>;
}

/// Everything a hive keeps.
pub trait Store:
    HiveStore
    + SatelliteStore
    + CommandStore
    + JobStore
    + SessionStore
    + IdentityStore
    + RegistrationTokenStore
    + AuditStore
{
}

impl<T> Store for T where
    T: HiveStore
        + SatelliteStore
        + CommandStore
        + JobStore
        + SessionStore
        + IdentityStore
        + RegistrationTokenStore
        + AuditStore
{
}
