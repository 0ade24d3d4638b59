//! Jobs: one command on many satellites. A job does not depend on the caller that started it.

use async_trait::async_trait;
use hive_wire::JobId;
use hive_wire::api::{ExecCommand, Job, JobEvent, JobSort, JobTarget, JobTargetSort, Page, PageRequest, Target};

use crate::{Result, Subscription};

/// How a job is run, apart from what it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobOptions {
    /// The same key and job within 24 hours give the same job; another one gives `Conflict`.
    pub idempotency_key: Option<String>,
    /// The most targets in flight at the same time; 64 unless given.
    pub concurrency: Option<u32>,
    /// The number of satellites that the caller expects. Another one gives `Unconfirmed`, and nothing is stored.
    pub confirm: Option<u64>,
    /// How long targets may wait for their turn, in seconds; a day unless given.
    pub deadline_seconds: Option<u32>,
}

/// Runs one command on many satellites.
///
/// A job is durable. It continues without its caller and after a restart of the hive: no target is lost, none runs
/// twice, and never more are in flight than the concurrency allows. Its targets are resolved when it begins. A target
/// that cannot be given the command then (offline, inactive) is part of the result, with the reason. The job has ended
/// when all targets have.
#[async_trait]
pub trait JobManager: Send + Sync {
    /// Stores a job and begins it.
    ///
    /// # Errors
    /// `SatelliteNotFound`, `NotFound` (a group) and `InvalidInput` where a target stands for no satellite; `Unconfirmed` where
    /// the targets are another number of satellites than was confirmed.
    async fn submit(&self, targets: Vec<Target>, command: ExecCommand, options: JobOptions) -> Result<Job>;
    /// Returns a job; `None` where there is none, or one of its satellites is hidden from the caller.
    async fn get(&self, id: JobId) -> Result<Option<Job>>;
    /// Lists jobs, newest first.
    async fn list(&self, page: PageRequest<JobSort>) -> Result<Page<Job>>;
    /// Lists the targets of a job by name. Their output is read by their commands.
    async fn list_targets(&self, id: JobId, page: PageRequest<JobTargetSort>) -> Result<Page<JobTarget>>;
    /// Cancels a job. Queued commands end at once, running ones when their satellite has ended the whole process tree.
    /// A job that has ended stays as it is. Returns the job without waiting for its end.
    async fn cancel(&self, id: JobId) -> Result<Job>;
    /// Subscribes to the events of a job, from its beginning to its end. A subscription that ends without the event of
    /// the end was interrupted.
    async fn subscribe(&self, id: JobId) -> Result<Subscription<JobEvent>>;
}
