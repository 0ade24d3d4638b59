//! Jobs.

mod rows;

use async_trait::async_trait;
use hive_wire::api::{JobSort, JobTargetSort};
use hive_wire::{JobId, Timestamp};

use crate::access::VisibleScope;
use crate::audit::AuditDraft;
use crate::{IdempotencyKey, NewCommand, RowRange, StoreResult};

pub use rows::{JobEnd, JobInsertOutcome, JobRow, JobTargetRow, NewJob, NewJobTarget};

/// Jobs: one command for each of several satellites, with the satellites for which there could be none.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Stores a job with its targets and commands, all or none.
    ///
    /// A target whose satellite was removed, or does not belong to the team of the target any more, is stored as not run. With an
    /// idempotency key that is in use, no job is stored: `Existing` if the body is the same, else `Conflict`.
    ///
    /// A large job is stored in several transactions, between which other writes take place. Nobody sees it before the last one.
    /// If that does not come, the job is never seen, its audit record is not written, and its commands end as `cancelled`: at
    /// once, or if the process was killed, by [`job_sweep`](Self::job_sweep).
    async fn job_insert(
        &self,
        job: NewJob,
        commands: Vec<NewCommand>,
        idempotency: Option<IdempotencyKey>,
        audit: AuditDraft,
    ) -> StoreResult<JobInsertOutcome>;
    /// Ends the jobs whose storing began before a time and was not completed, with their commands. Returns how many.
    async fn job_sweep(&self, before: Timestamp, now: Timestamp) -> StoreResult<u64>;
    /// Returns the payload of the commands of a job.
    async fn job_payload(&self, id: JobId) -> StoreResult<Option<String>>;
    /// Returns a job.
    async fn job_get(&self, id: JobId) -> StoreResult<Option<JobRow>>;
    /// Whether a job is in `visible`, as [`job_list`](Self::job_list) decides it.
    async fn job_is_visible(&self, id: JobId, visible: &VisibleScope) -> StoreResult<bool>;
    /// Lists the jobs all of whose teams are in visible, and returns the total, counted up to one more than
    /// [`MAX_COUNTED`](crate::MAX_COUNTED).
    async fn job_list(&self, visible: &VisibleScope, range: RowRange<JobSort>) -> StoreResult<(Vec<JobRow>, u64)>;
    /// Lists the open jobs, oldest first.
    async fn job_list_open(&self) -> StoreResult<Vec<JobId>>;
    /// Lists the targets of a job in their order, and returns the total, counted up to one more than
    /// [`MAX_COUNTED`](crate::MAX_COUNTED).
    async fn job_target_list(&self, id: JobId, range: RowRange<JobTargetSort>)
    -> StoreResult<(Vec<JobTargetRow>, u64)>;
    /// Cancels a running job and its queued commands. None of them is delivered afterwards. True for the one caller that did it,
    /// whose audit record is written.
    async fn job_cancel(&self, id: JobId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool>;
    /// Ends a job without open commands. True for the one caller that did it, whose audit record is written.
    async fn job_finish(&self, id: JobId, end: JobEnd, audit: AuditDraft) -> StoreResult<bool>;
}
