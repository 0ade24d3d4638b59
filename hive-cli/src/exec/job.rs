//! Follows a job until it ends. The first Ctrl-C cancels a job that this call started and waits for its end; the second
//! one returns.

use std::collections::BTreeSet;
use std::time::Duration;

use hive_core::jobs::JobManager;
use hive_core::wire::JobId;
use hive_core::wire::api::{Job, JobEvent};
use hive_core::{Error, Subscription};
use tokio::time::{Instant, sleep, sleep_until};

use super::interrupts::Interrupts;
use super::progress::JobProgressBar;
use crate::error::{CliError, Result};
use crate::output;

/// How long a cancelled job may take to end. After that the hive goes on cancelling it alone.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two subscriptions to a job whose stream broke off.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// How long the hive may be out of reach before following fails.
const OUTAGE_LIMIT: Duration = Duration::from_secs(30);

/// A job after following it.
pub(crate) struct JobOutcome {
    pub(crate) job: Job,
    /// The signal that interrupted it.
    pub(crate) interrupted: Option<i32>,
}

/// What Ctrl-C does to the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnInterrupt {
    Cancel,
    /// Only following ends: another call started the job.
    Leave,
}

/// Follows a job to its end. A restart of the hive in between is waited for. `on_target` is called once with the end of
/// each target, and with the progress bar that it hides while it writes.
pub(crate) async fn follow(
    jobs: &dyn JobManager,
    id: JobId,
    interrupts: &mut Interrupts,
    on_interrupt: OnInterrupt,
    on_target: impl AsyncFnMut(&JobEvent, &JobProgressBar) -> Result<()>,
) -> Result<JobOutcome> {
    let (reported, progress) = (BTreeSet::new(), JobProgressBar::new());
    let mut follower =
        JobFollower { jobs, id, on_interrupt, reported, progress, deadline: None, interrupted: None, on_target };
    let ended = follower.until_end(interrupts).await;
    // Left before the end: the job is read once more for its current state.
    let job = match ended? {
        Some(job) => job,
        None => jobs.get(id).await?.ok_or_else(|| no_job(id))?,
    };
    Ok(JobOutcome { job, interrupted: follower.interrupted })
}

struct JobFollower<'a, F> {
    jobs: &'a dyn JobManager,
    id: JobId,
    on_interrupt: OnInterrupt,
    reported: BTreeSet<hive_core::wire::SatelliteId>,
    progress: JobProgressBar,
    /// When following ends, once the job was cancelled.
    deadline: Option<Instant>,
    interrupted: Option<i32>,
    on_target: F,
}

impl<F: AsyncFnMut(&JobEvent, &JobProgressBar) -> Result<()>> JobFollower<'_, F> {
    /// Returns the job that has ended, or `None` where a signal or the deadline came first.
    async fn until_end(&mut self, interrupts: &mut Interrupts) -> Result<Option<Job>> {
        let mut last_heard = Instant::now();
        loop {
            match self.jobs.subscribe(self.id).await {
                Ok(mut events) => {
                    if let Some(end) = self.listen(&mut events, interrupts).await? {
                        return Ok(end);
                    }
                    // After the stream, not before: the outage begins when it breaks off, and it may have run for
                    // hours.
                    last_heard = Instant::now();
                }
                Err(Error::Unavailable(_)) if last_heard.elapsed() < OUTAGE_LIMIT => {}
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                () = sleep(RETRY_INTERVAL) => {}
                signal = interrupts.next() => return Err(CliError::Interrupted(signal)),
            }
        }
    }

    /// Reads the stream. The outer `None` means that it broke off, the inner one that following ends before the job.
    async fn listen(
        &mut self,
        events: &mut Subscription<JobEvent>,
        interrupts: &mut Interrupts,
    ) -> Result<Option<Option<Job>>> {
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(JobEvent::Ended(job)) => return Ok(Some(Some(*job))),
                    Some(event) => self.on_event(&event).await?,
                    None => return Ok(None),
                },
                signal = interrupts.next() => {
                    self.interrupted.get_or_insert(signal);
                    // A second signal, or the first one of a watcher: following ends now.
                    if self.deadline.is_some() || self.on_interrupt == OnInterrupt::Leave {
                        self.deadline = Some(Instant::now());
                        return Ok(Some(None));
                    }
                    self.deadline = Some(Instant::now() + CANCEL_TIMEOUT);
                    self.cancel().await;
                }
                () = sleep_until(self.deadline.unwrap_or_else(Instant::now)), if self.deadline.is_some() => {
                    return Ok(Some(None));
                }
            }
        }
    }

    async fn cancel(&self) {
        // Between two redraws of the bar, which would overwrite the line.
        let note = |text: String| self.progress.hide_while(|| output::note(&text));
        note(format!("{} is being cancelled; press Ctrl-C again to leave it to the hive", self.id));
        if let Err(error) = self.jobs.cancel(self.id).await {
            note(format!("{} could not be cancelled: {}", self.id, CliError::from(error)));
        }
    }

    async fn on_event(&mut self, event: &JobEvent) -> Result<()> {
        match event {
            JobEvent::Progress { counts } => self.progress.show(counts),
            // A new subscription repeats the targets that have ended.
            JobEvent::Target { satellite_id, .. } if self.reported.insert(*satellite_id) => {
                (self.on_target)(event, &self.progress).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

pub(crate) fn no_job(id: JobId) -> Error {
    Error::NotFound { what: "job", id: id.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use hive_core::jobs::JobOptions;
    use hive_core::wire::Timestamp;
    use hive_core::wire::api::{
        ExecCommand, JobCounts, JobSort, JobStatus, JobTarget, JobTargetSort, Page, PageRequest, Target,
    };
    use hive_core::wire::id::Seed;

    /// A hive with one job. Each subscription takes the next answer; the hive is out of reach where there is none.
    struct FakeJobs {
        answers: Mutex<Vec<Option<Subscription<JobEvent>>>>,
    }

    #[async_trait]
    impl JobManager for FakeJobs {
        async fn submit(&self, _: Vec<Target>, _: ExecCommand, _: JobOptions) -> hive_core::Result<Job> {
            Ok(job())
        }
        async fn get(&self, _: JobId) -> hive_core::Result<Option<Job>> {
            Ok(Some(job()))
        }
        async fn list(&self, _: PageRequest<JobSort>) -> hive_core::Result<Page<Job>> {
            Err(Error::Unavailable("not played".into()))
        }
        async fn list_targets(&self, _: JobId, _: PageRequest<JobTargetSort>) -> hive_core::Result<Page<JobTarget>> {
            Err(Error::Unavailable("not played".into()))
        }
        async fn cancel(&self, _: JobId) -> hive_core::Result<Job> {
            Ok(job())
        }
        async fn subscribe(&self, _: JobId) -> hive_core::Result<Subscription<JobEvent>> {
            let answer = self.answers.lock().unwrap().pop().flatten();
            answer.ok_or_else(|| Error::Unavailable("connection refused".into()))
        }
    }

    fn job() -> Job {
        Job {
            id: JobId::new(Seed { unix_millis: 1, random: [0; 10] }),
            status: JobStatus::Succeeded,
            summary: "uptime".into(),
            targets: vec!["all".into()],
            counts: JobCounts::default(),
            concurrency: 64,
            created_by: "ann".into(),
            created_at: Timestamp::from_micros(0),
            deadline_at: Timestamp::from_micros(0),
            cancelled_at: None,
            finished_at: None,
            redacted: false,
        }
    }

    async fn follow_to_end(jobs: &FakeJobs) -> Result<JobOutcome> {
        let mut interrupts = Interrupts::listen().unwrap();
        follow(jobs, job().id, &mut interrupts, OnInterrupt::Leave, async |_, _| Ok(())).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_after_a_long_stream_is_waited_for() {
        let (long, long_stream) = Subscription::channel();
        let (last, last_stream) = Subscription::channel();
        last.send(JobEvent::Ended(Box::new(job()))).await.unwrap();
        // Popped from the back: a stream, an outage, and the stream with the end.
        let jobs = FakeJobs { answers: Mutex::new(vec![Some(last_stream), None, None, Some(long_stream)]) };
        let breaks_off = async {
            sleep(10 * OUTAGE_LIMIT).await;
            drop(long);
        };
        let (outcome, ()) = tokio::join!(follow_to_end(&jobs), breaks_off);
        assert_eq!(outcome.unwrap().job.id, job().id);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hive_that_stays_away_is_given_up() {
        let jobs = FakeJobs { answers: Mutex::new(Vec::new()) };
        let begun = Instant::now();
        assert_eq!(follow_to_end(&jobs).await.err().unwrap().code(), "UNAVAILABLE");
        assert!(begun.elapsed() >= OUTAGE_LIMIT);
    }
}
