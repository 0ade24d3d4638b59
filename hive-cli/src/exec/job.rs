//! Follows a job until it ends. The first Ctrl-C cancels a job that this call started and waits for its end; the second
//! one returns.

use std::collections::BTreeSet;
use std::time::Duration;

use hive_core::wire::JobId;
use hive_core::wire::api::{Job, JobEvent};
use hive_core::{Error, Subscription};
use tokio::time::{Instant, sleep, sleep_until};

use super::interrupts::Interrupts;
use super::progress::JobProgressBar;
use crate::error::{CliError, Result};
use crate::output;
use hive_core::HiveApi;

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
    /// Only following ends: the job was started by somebody else.
    Leave,
}

/// Follows a job to its end. A restart of the hive in between is waited for. `on_target` is called once with the end of
/// each target, and with the progress bar that it hides while it writes.
pub(crate) async fn follow(
    api: &dyn HiveApi,
    id: JobId,
    interrupts: &mut Interrupts,
    on_interrupt: OnInterrupt,
    on_target: impl AsyncFnMut(&JobEvent, &JobProgressBar) -> Result<()>,
) -> Result<JobOutcome> {
    let (reported, progress) = (BTreeSet::new(), JobProgressBar::new());
    let mut follower =
        JobFollower { api, id, on_interrupt, reported, progress, deadline: None, interrupted: None, on_target };
    let ended = follower.until_end(interrupts).await;
    // Left before the end: the job is read once more for its current state.
    let job = match ended? {
        Some(job) => job,
        None => api.jobs().get(id).await?.ok_or_else(|| no_job(id))?,
    };
    Ok(JobOutcome { job, interrupted: follower.interrupted })
}

struct JobFollower<'a, F> {
    api: &'a dyn HiveApi,
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
            match self.api.jobs().subscribe(self.id).await {
                Ok(mut events) => {
                    last_heard = Instant::now();
                    if let Some(end) = self.listen(&mut events, interrupts).await? {
                        return Ok(end);
                    }
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
        let note = |text: String| self.progress.hide_while(|| output::note(&text));
        note(format!("{} is being cancelled; press Ctrl-C again to leave it to the hive", self.id));
        if let Err(error) = self.api.jobs().cancel(self.id).await {
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
