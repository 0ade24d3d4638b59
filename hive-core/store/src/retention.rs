//! Deletion of what is kept long enough.
//!
//! Each method deletes a bounded number of rows in a transaction of its own, so that other writers wait for a few milliseconds
//! at most. The caller repeats it with pauses, and goes on at any later time: what is left is found again. None of them touches
//! what is open. Only the pruning of the audit log is audited.

use async_trait::async_trait;
use hive_wire::Timestamp;

use crate::StoreResult;
use crate::audit::AuditDraft;

/// Records of the audit log to delete: all from the first one that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRange {
    /// The number of the first record.
    pub first_seq: u64,
    /// The number of the last one.
    pub last_seq: u64,
    /// The hash of the last one.
    pub last_hash: String,
}

/// Deletion of what is kept long enough. Methods return the number of changed rows: 0 if nothing is left to delete.
#[async_trait]
pub trait RetentionStore: Send + Sync {
    /// Deletes up to `limit` chunks of the output of commands that ended before this time, the last bytes first. The commands
    /// are marked as truncated.
    async fn command_output_prune(&self, before: Timestamp, limit: u32) -> StoreResult<u64>;
    /// Deletes up to `limit` commands that ended before this time. Those that have output or that a stored job refers to stay.
    async fn command_prune(&self, before: Timestamp, limit: u32) -> StoreResult<u64>;
    /// Deletes up to `limit` targets of jobs that ended before this time, and the jobs whose last target that was. Their commands
    /// can be deleted then.
    async fn job_prune(&self, before: Timestamp, limit: u32) -> StoreResult<u64>;
    /// Deletes up to `limit` sessions that ended before this time.
    async fn session_prune(&self, before: Timestamp, limit: u32) -> StoreResult<u64>;
    /// Deletes up to `limit` kept answers that had expired at this time, with their keys.
    async fn answer_prune(&self, now: Timestamp, limit: u32) -> StoreResult<u64>;
    /// Clears up to `limit` satellites that were removed before this time: their tags, their replaced keys, and all that is known
    /// of their machines. Of a satellite that a stored command or session refers to, the id and the name stay until these are
    /// deleted. A job has the names of its targets as text.
    async fn satellite_prune(&self, before: Timestamp, limit: u32) -> StoreResult<u64>;
    /// Deletes the first records of the audit log and appends the record of their signed checkpoint
    /// ([`AuditCheckpoint`](crate::audit::AuditCheckpoint)), in one transaction. False, and nothing is changed, if the last of
    /// them is not stored with this hash. Of several callers with one range, at most one gets true.
    async fn audit_prune(&self, range: AuditRange, checkpoint: AuditDraft) -> StoreResult<bool>;
    /// Returns a bounded part of the database's free space to the file system. True if there is more to return. Always false if
    /// the database does that by itself, or cannot.
    async fn space_reclaim(&self) -> StoreResult<bool>;
}
