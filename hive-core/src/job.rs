//! Jobs: one command on many satellites, owned by the hive and not by whoever asked for it.

use async_trait::async_trait;
use hive_wire::JobId;
use hive_wire::api::{ExecCommand, Job, JobEvent, JobTarget, Page, PageRequest, Target};

use crate::{Result, Subscription};

/// How a job is run, apart from what it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobOptions {
    /// The same key and job within 24 hours give the same job; another one gives `Conflict`.
    pub idempotency_key: Option<String>,
    /// The most targets that are under way at the same time; 64 unless given.
    pub concurrency: Option<u32>,
    /// How long targets may wait for their turn, in seconds; a day unless given.
    pub deadline_seconds: Option<u32>,
}

/// Runs one command on many satellites.
///
/// A job is durable, and goes on whoever watches and however often the hive is restarted: no target is lost, none runs
/// twice, and never more are under way than was asked for. Its targets are settled when it begins; those that cannot be
/// given the command then (offline, inactive) are part of its answer, with the reason. It has ended when all of them have.
#[async_trait]
pub trait JobManager: Send + Sync {
    /// Stores a job and begins it.
    ///
    /// # Errors
    /// `SatelliteNotFound` and `InvalidInput` where a target stands for no satellite.
    async fn submit(&self, targets: Vec<Target>, command: ExecCommand, options: JobOptions) -> Result<Job>;
    /// Returns a job; `None` where there is none, or the caller may not know of one of its satellites.
    async fn get(&self, id: JobId) -> Result<Option<Job>>;
    /// Lists jobs, newest first.
    async fn list(&self, page: PageRequest) -> Result<Page<Job>>;
    /// Lists a job's targets by name. Their output is asked for by their commands.
    async fn list_targets(&self, id: JobId, page: PageRequest) -> Result<Page<JobTarget>>;
    /// Cancels a job: what waits ends at once, what runs when its satellite has ended the whole process tree. One that has
    /// ended stays as it is. Returns it as it then stands, without waiting for its end.
    async fn cancel(&self, id: JobId) -> Result<Job>;
    /// Tells what happens to a job until it has ended, beginning with what has happened. A subscription that ends before
    /// the job does was broken off.
    async fn subscribe(&self, id: JobId) -> Result<Subscription<JobEvent>>;
}
