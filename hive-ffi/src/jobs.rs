//! Jobs: one command on many satellites, owned by the hive.

mod follow;

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};
use hive_core::HiveApi;
use hive_core::jobs::JobOptions;
use hive_core::lists::collect;
use hive_core::wire::JobId;
use hive_core::wire::api;

use crate::feed::or_broken;
use crate::lookup::parse_targets;
use crate::records::{Command, FanOut, FanOutOptions, Job, JobEvent, JobTarget, PageRequest, parse_id};
use crate::{Hive, HiveError, JobEvents};

use follow::{follow, target_result};

/// Outputs that are fetched at once.
const MAX_FETCHES: usize = 8;

/// An observer of a job. It is called on a thread of the library: it must return soon, and must not fail.
#[uniffi::export(with_foreign)]
pub trait JobProgress: Send + Sync {
    /// Called for each event. The end of each satellite is reported once.
    fn on_event(&self, event: JobEvent);
}

#[uniffi::export]
impl Hive {
    /// Runs a command on many satellites as a job, reports its progress, and returns all results.
    ///
    /// The job continues without its caller, and over restarts of the hive.
    pub async fn fan_out(
        &self,
        targets: Vec<String>,
        command: Command,
        options: FanOutOptions,
        progress: Option<Arc<dyn JobProgress>>,
    ) -> Result<FanOut, HiveError> {
        let run = move |hive: Arc<dyn HiveApi>| async move {
            let job = submit(hive.as_ref(), &targets, command, options).await?.id;
            let job = follow(hive.as_ref(), job, progress.as_deref()).await?;
            let jobs = hive.jobs();
            // The events carry no output. The targets tell which commands have some.
            let ended = collect(usize::MAX, None, |page| jobs.list_targets(job.id, page)).await?;
            let results =
                futures_util::stream::iter(ended.into_iter().map(|target| target_result(hive.clone(), target)));
            // `buffered` keeps the order of the targets, by name.
            Ok(FanOut { job: job.into(), results: results.buffered(MAX_FETCHES).try_collect().await? })
        };
        self.call(run).await
    }

    /// Stores a job and starts it.
    pub async fn job_submit(
        &self,
        targets: Vec<String>,
        command: Command,
        options: FanOutOptions,
    ) -> Result<Job, HiveError> {
        let start = move |hive: Arc<dyn HiveApi>| async move {
            Ok(submit(hive.as_ref(), &targets, command, options).await?.into())
        };
        self.call(start).await
    }

    /// Returns a job; nothing if it does not exist, or the caller may not see one of its satellites.
    pub async fn job_get(&self, job: String) -> Result<Option<Job>, HiveError> {
        self.call(|hive| async move { Ok(hive.jobs().get(parse_id("job", &job)?).await?.map(Job::from)) }).await
    }

    /// Lists jobs, newest first.
    pub async fn job_list(&self, page: PageRequest) -> Result<Vec<Job>, HiveError> {
        let list = move |hive: Arc<dyn HiveApi>| async move {
            Ok(hive.jobs().list(page.try_into()?).await?.items.into_iter().map(Job::from).collect())
        };
        self.call(list).await
    }

    /// Lists all satellites of a job by name. The output is that of their commands.
    pub async fn job_target_list(&self, job: String) -> Result<Vec<JobTarget>, HiveError> {
        let list = |hive: Arc<dyn HiveApi>| async move {
            let job: JobId = parse_id("job", &job)?;
            let jobs = hive.jobs();
            let targets = collect(usize::MAX, None, |page| jobs.list_targets(job, page)).await?;
            Ok(targets.into_iter().map(JobTarget::from).collect())
        };
        self.call(list).await
    }

    /// Cancels a job: waiting targets end at once, running ones when their process tree is gone. Does not wait for that.
    pub async fn job_cancel(&self, job: String) -> Result<Job, HiveError> {
        self.call(|hive| async move { Ok(hive.jobs().cancel(parse_id("job", &job)?).await?.into()) }).await
    }

    /// Returns the events of a job until it has ended, beginning with what has happened already.
    pub async fn job_watch(&self, job: String) -> Result<Arc<JobEvents>, HiveError> {
        let events = self.call(|hive| async move { Ok(hive.jobs().subscribe(parse_id("job", &job)?).await?) }).await?;
        let events = events.filter_map(async |event| JobEvent::from_wire(event));
        let is_last = |event: &JobEvent| matches!(event, JobEvent::Ended { .. });
        let broken = "the events broke off; the job goes on, and can be watched again";
        Ok(JobEvents::new(self.engine.clone(), or_broken(events, broken, is_last)))
    }
}

async fn submit(
    hive: &dyn HiveApi,
    targets: &[String],
    command: Command,
    FanOutOptions { concurrency, deadline_seconds }: FanOutOptions,
) -> Result<api::Job, HiveError> {
    let (command, idempotency_key) = command.into_parts();
    let options = JobOptions { idempotency_key, concurrency, confirm: None, deadline_seconds };
    Ok(hive.jobs().submit(parse_targets(targets)?, command, options).await?)
}
