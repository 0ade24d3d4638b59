//! Commands and their output.

mod rows;

use async_trait::async_trait;
use bytes::Bytes;
use hive_wire::agent::{Channel, Received};
use hive_wire::api::{CommandSort, CommandType};
use hive_wire::{CommandId, JobId, SatelliteId, Timestamp};

use crate::access::VisibleScope;
use crate::audit::AuditDraft;
use crate::{RowRange, StoreResult};

pub use rows::{
    CommandInsertOutcome, CommandOutcome, CommandRow, Delivery, IdempotencyKey, NewCommand, OpenCommandCount,
    QueuePage, QueuedCommandRow, TurnRow,
};

/// Commands and their output.
#[async_trait]
pub trait CommandStore: Send + Sync {
    /// Stores commands, all or none.
    ///
    /// - `NoSatellite`: a satellite was removed, or does not belong to the team of its command any more. A removal and a change of
    ///   the team end all commands of a satellite, so that none may be added after it.
    /// - `Existing`: the idempotency key is in use by a request with the same body.
    /// - `Conflict`: it is in use by a request with another body.
    async fn command_insert(
        &self,
        commands: Vec<NewCommand>,
        idempotency: Option<IdempotencyKey>,
        audit: AuditDraft,
    ) -> StoreResult<CommandInsertOutcome>;
    /// Marks a queued command as delivered to this journal. An idempotent command may have been delivered or started before.
    /// False for any other.
    async fn command_deliver(&self, id: CommandId, delivery: Delivery) -> StoreResult<bool>;
    /// Marks a delivered command as started. False for any other.
    async fn command_start(&self, id: CommandId, now: Timestamp) -> StoreResult<bool>;
    /// Sets the final status of a command. True for the one caller that did it, whose audit records are written.
    async fn command_finish(&self, id: CommandId, outcome: CommandOutcome, audit: Vec<AuditDraft>)
    -> StoreResult<bool>;
    /// Sets the final status of a queued command. False for any other, for example one that was delivered in the meantime. The
    /// audit records are written only for true.
    async fn command_finish_queued(
        &self,
        id: CommandId,
        outcome: CommandOutcome,
        audit: Vec<AuditDraft>,
    ) -> StoreResult<bool>;
    /// Returns a command.
    async fn command_get(&self, id: CommandId) -> StoreResult<Option<CommandRow>>;
    /// Returns a delivered command to the queue. False for any other.
    async fn command_requeue(&self, id: CommandId, now: Timestamp) -> StoreResult<bool>;
    /// Changes the expiry of a queued command. False for any other.
    async fn command_set_expiry(&self, id: CommandId, expires_at: Timestamp) -> StoreResult<bool>;
    /// Returns those of these commands that exist, in any order, each with the status of its satellite.
    async fn command_list_turns(&self, ids: Vec<CommandId>) -> StoreResult<Vec<TurnRow>>;
    /// Lists the open commands of a satellite, oldest first.
    async fn command_list_open(&self, satellite: SatelliteId) -> StoreResult<Vec<CommandRow>>;
    /// Lists the open commands of a satellite that were delivered, oldest first. It reads no more of them than their ids and types,
    /// so that one that cannot be read does not hide the others.
    async fn command_list_in_flight(&self, satellite: SatelliteId) -> StoreResult<Vec<(CommandId, CommandType)>>;
    /// Lists up to `limit` queued commands of a satellite by priority, then age. Commands of jobs are left out, because the job
    /// decides when they are delivered. With a page, only commands of its class and priority that come after its key.
    async fn command_list_queued(
        &self,
        satellite: SatelliteId,
        page: Option<QueuePage>,
        limit: u32,
    ) -> StoreResult<Vec<QueuedCommandRow>>;
    /// Lists the jobs with queued commands for a satellite.
    async fn command_list_waiting_jobs(&self, satellite: SatelliteId) -> StoreResult<Vec<JobId>>;
    /// Counts the open commands by satellite, by actor, and by whether they belong to a job.
    async fn command_count_open(&self) -> StoreResult<Vec<OpenCommandCount>>;
    /// Lists the commands of a satellite whose team is in visible, and returns the total, counted up to one more than
    /// [`MAX_COUNTED`](crate::MAX_COUNTED). The team is that of the satellite when the command was stored.
    async fn command_list(
        &self,
        satellite: SatelliteId,
        visible: &VisibleScope,
        range: RowRange<CommandSort>,
    ) -> StoreResult<(Vec<CommandRow>, u64)>;
    /// Lists up to `limit` commands, latest first, that ended after `since` because the satellite was removed or assigned to
    /// another team, and that had been delivered to this journal. The satellite may still run them.
    async fn command_list_revoked(
        &self,
        satellite: SatelliteId,
        journal_id: &str,
        since: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<CommandId>>;
    /// Lists up to `limit` overdue commands: queued ones after their expiry, delivered ones after their last delivery plus their
    /// timeout plus `grace`. It reads no more of them than their ids, so that one that cannot be read does not hide the others.
    async fn command_list_overdue(
        &self,
        now: Timestamp,
        grace: std::time::Duration,
        limit: u32,
    ) -> StoreResult<Vec<CommandId>>;
    /// Returns those of these commands that have not ended. One call takes up to 1,000 ids.
    async fn command_list_unfinished(&self, ids: &[CommandId]) -> StoreResult<Vec<CommandId>>;
    /// Appends a chunk of output. Bytes that are stored already are skipped, so that a chunk may be repeated. Fails with `Corrupt`
    /// if there would be a gap. Not audited.
    async fn command_output_append(
        &self,
        id: CommandId,
        channel: Channel,
        offset: u64,
        bytes: Bytes,
    ) -> StoreResult<()>;
    /// Returns the stored length of each output stream.
    async fn command_output_len(&self, id: CommandId) -> StoreResult<Received>;
    /// Returns the stored output of one stream from byte `from` on: whole chunks up to about `limit` bytes, and at least one.
    /// Empty at the end.
    async fn command_output(&self, id: CommandId, channel: Channel, from: u64, limit: usize) -> StoreResult<Bytes>;
}
