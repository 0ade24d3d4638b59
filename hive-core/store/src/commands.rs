//! Commands and their output.

mod rows;

use async_trait::async_trait;
use bytes::Bytes;
use hive_wire::agent::{Channel, Received};
use hive_wire::{CommandId, JobId, SatelliteId, Timestamp};

use crate::access::Sight;
use crate::audit::AuditDraft;
use crate::{StoreResult, Window};

pub use rows::{
    CommandOutcome, CommandRow, Delivery, IdempotencyKey, Inserted, NewCommand, OpenCount, QueuePage, QueuedRow,
};

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
