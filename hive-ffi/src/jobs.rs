//! Jobs: one command on many satellites, owned by the hive.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use hive_core::HiveApi;
use hive_core::job::JobOptions;
use hive_core::wire::JobId;
use hive_core::wire::api::{self, OutputEncoding};

use crate::feed::complete;
use crate::lookup::{every_page, parse_targets};
use crate::records::{
    Command, CommandInfo, CommandResult, FanOut, FanOutOptions, Job, JobEvent, JobTarget, PageRequest, parse_id,
};
use crate::{Hive, HiveError, JobEvents};

/// How long to wait before a job is watched again whose events broke off.
const WATCH_AGAIN: Duration = Duration::from_secs(1);
/// How often a hive may be away while its job is watched before that is told.
const MAX_ABSENCES: u32 = 60;
/// Outputs that are fetched at the same time.
const FETCHES: usize = 8;

/// Who is told how a job goes on. Called on a thread of the library: it returns soon, and does not fail.
#[uniffi::export(with_foreign)]
pub trait JobProgress: Send + Sync {
    /// Something happened to the job. Each satellite's end is told once.
    fn on_event(&self, event: JobEvent);
}

#[uniffi::export]
impl Hive {
    /// Runs a command on many satellites as a job, tells how it goes on, and returns what it did everywhere.
    ///
    /// The job goes on when nobody waits for it any more, and however often the hive is restarted.
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
            let ended = every_page(|page| jobs.list_targets(job.id, page)).await?;
            let results = futures_util::stream::iter(ended.into_iter().map(|target| result_of(hive.clone(), target)));
            Ok(FanOut { job: job.into(), results: results.buffered(FETCHES).try_collect().await? })
        };
        self.call(run).await
    }

    /// Stores a job and begins it.
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

    /// Returns a job; nothing where there is none, or the caller may not know of one of its satellites.
    pub async fn job_get(&self, job: String) -> Result<Option<Job>, HiveError> {
        self.call(|hive| async move { Ok(hive.jobs().get(parse_id("job", &job)?).await?.map(Job::from)) }).await
    }

    /// Lists jobs, newest first.
    pub async fn job_list(&self, page: PageRequest) -> Result<Vec<Job>, HiveError> {
        let list = move |hive: Arc<dyn HiveApi>| async move {
            Ok(hive.jobs().list(page.into()).await?.items.into_iter().map(Job::from).collect())
        };
        self.call(list).await
    }

    /// Lists all satellites of a job by name. Their output is asked for by their commands.
    pub async fn job_target_list(&self, job: String) -> Result<Vec<JobTarget>, HiveError> {
        let list = |hive: Arc<dyn HiveApi>| async move {
            let job: JobId = parse_id("job", &job)?;
            let jobs = hive.jobs();
            let targets = every_page(|page| jobs.list_targets(job, page)).await?;
            Ok(targets.into_iter().map(JobTarget::from).collect())
        };
        self.call(list).await
    }

    /// Cancels a job: what waits ends at once, what runs when its whole process tree is gone. Does not wait for its end.
    pub async fn job_cancel(&self, job: String) -> Result<Job, HiveError> {
        self.call(|hive| async move { Ok(hive.jobs().cancel(parse_id("job", &job)?).await?.into()) }).await
    }

    /// Tells what happens to a job until it has ended, beginning with what has happened.
    pub async fn job_watch(&self, job: String) -> Result<Arc<JobEvents>, HiveError> {
        let events = self.call(|hive| async move { Ok(hive.jobs().subscribe(parse_id("job", &job)?).await?) }).await?;
        let events = events.filter_map(async |event| JobEvent::from_wire(event));
        let is_last = |event: &JobEvent| matches!(event, JobEvent::Ended { .. });
        let broken = "the events broke off; the job goes on, and can be watched again";
        Ok(JobEvents::new(self.engine.clone(), complete(events, broken, is_last)))
    }
}

async fn submit(
    hive: &dyn HiveApi,
    targets: &[String],
    command: Command,
    FanOutOptions { concurrency, deadline_seconds }: FanOutOptions,
) -> Result<api::Job, HiveError> {
    let (command, idempotency_key) = command.into_parts();
    let options = JobOptions { idempotency_key, concurrency, deadline_seconds };
    Ok(hive.jobs().submit(parse_targets(targets)?, command, options).await?)
}

/// Watches a job to its end, over as many streams as it takes: each begins with what has happened.
async fn follow(hive: &dyn HiveApi, job: JobId, progress: Option<&dyn JobProgress>) -> Result<api::Job, HiveError> {
    let (mut told, mut absences) = (HashSet::new(), 0);
    loop {
        match hive.jobs().subscribe(job).await {
            Ok(mut events) => {
                absences = 0;
                while let Some(event) = events.next().await {
                    if let Some(ended) = tell(event, &mut told, progress) {
                        return Ok(ended);
                    }
                }
            }
            Err(hive_core::Error::Unavailable(_)) if absences < MAX_ABSENCES => absences += 1,
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(WATCH_AGAIN).await;
    }
}

/// Tells one event, each satellite's end once. Gives the job where it has ended.
fn tell(
    event: api::JobEvent,
    told: &mut HashSet<hive_core::wire::SatelliteId>,
    progress: Option<&dyn JobProgress>,
) -> Option<api::Job> {
    let (is_news, ended) = match &event {
        api::JobEvent::Target { satellite_id, .. } => (told.insert(*satellite_id), None),
        api::JobEvent::Ended(job) => (true, Some(job.as_ref().clone())),
        _ => (true, None),
    };
    if let (Some(progress), Some(event), true) = (progress, JobEvent::from_wire(event), is_news) {
        progress.on_event(event);
    }
    ended
}

/// What the command did on one satellite, with its output.
async fn result_of(hive: Arc<dyn HiveApi>, target: api::JobTarget) -> Result<CommandResult, HiveError> {
    let has_output = target.stdout_bytes + target.stderr_bytes > 0;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    if let (Some(command), true) = (target.command_id, has_output)
        && let Some(info) = hive.commands().get(command, OutputEncoding::Base64).await?
    {
        let info = CommandInfo::try_from(info)?;
        (stdout, stderr) = (info.stdout, info.stderr);
    }
    Ok(CommandResult {
        satellite_id: target.satellite_id.to_string(),
        satellite_name: target.satellite_name.to_string(),
        command_id: target.command_id.map(|id| id.to_string()),
        status: target.status.as_str().to_owned(),
        exit_code: target.exit_code,
        stdout,
        stderr,
        duration: Duration::from_millis(target.duration_ms.unwrap_or_default()),
        truncated: target.truncated,
        error: target.error.map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use hive_core::wire::api::{CommandStatus, JobCounts, TargetStatus};

    use super::*;

    #[derive(Default)]
    struct Notes(Mutex<Vec<JobEvent>>);

    impl JobProgress for Notes {
        fn on_event(&self, event: JobEvent) {
            self.0.lock().unwrap().push(event);
        }
    }

    #[test]
    fn the_end_of_a_satellite_is_told_once_over_all_streams() {
        let end = api::JobEvent::Target {
            satellite_id: "sat_01m7z0hc93fb28gmb8d60a6qzj".parse().unwrap(),
            satellite_name: "web-server-01".try_into().unwrap(),
            command_id: None,
            status: TargetStatus::Command(CommandStatus::Succeeded),
            exit_code: Some(0),
        };
        let (notes, mut told) = (Notes::default(), HashSet::new());
        let step = api::JobEvent::Progress { counts: JobCounts::default() };
        for event in [step.clone(), end.clone(), step, end] {
            assert!(tell(event, &mut told, Some(&notes)).is_none());
        }
        let ends = notes.0.lock().unwrap().iter().filter(|event| matches!(event, JobEvent::Target { .. })).count();
        assert_eq!(ends, 1);
    }
}
