//! Jobs.

mod rows;

use async_trait::async_trait;
use hive_wire::{JobId, Timestamp};

use crate::access::Sight;
use crate::audit::AuditDraft;
use crate::{IdempotencyKey, NewCommand, StoreResult, Window};

pub use rows::{JobEnd, JobInserted, JobRow, JobTargetRow, NewJob, NewJobTarget};

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
