//! Waits for a job. Of one that we began the first Ctrl-C cancels it and waits for its end, and the second leaves.

use std::collections::BTreeSet;
use std::time::Duration;

use hive_core::wire::JobId;
use hive_core::wire::api::{Job, JobEvent};
use hive_core::{Error, Subscription};
use tokio::time::{Instant, sleep, sleep_until};

use super::interrupts::Interrupts;
use super::progress::Progress;
use crate::failure::{Failure, Result};
use crate::output;
use hive_core::HiveApi;

/// How long a cancelled job may take to end before we leave it to the hive.
const CANCEL_TIME: Duration = Duration::from_secs(10);
/// How often a job is asked for whose stream broke off.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long the hive may be away before we give up.
const ASK_FOR: Duration = Duration::from_secs(30);

/// A job that we wait no longer for.
pub(crate) struct Followed {
    pub(crate) job: Job,
    /// The signal that interrupted us.
    pub(crate) interrupted: Option<i32>,
}

/// What Ctrl-C does to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnInterrupt {
    Cancel,
    /// We only look on.
    Leave,
}

/// Waits for a job's end, through restarts of the hive. `on_target` is given each target's end, once, and the bar that has
/// to step aside for what is written of it.
pub(crate) async fn follow(
    api: &dyn HiveApi,
    id: JobId,
    interrupts: &mut Interrupts,
    on_interrupt: OnInterrupt,
    on_target: impl AsyncFnMut(&JobEvent, &Progress) -> Result<()>,
) -> Result<Followed> {
    let (told, progress) = (BTreeSet::new(), Progress::new());
    let mut following =
        Following { api, id, on_interrupt, told, progress, deadline: None, interrupted: None, on_target };
    let ended = following.until_end(interrupts).await;
    let job = match ended? {
        Some(job) => job,
        None => api.jobs().get(id).await?.ok_or_else(|| no_job(id))?,
    };
    Ok(Followed { job, interrupted: following.interrupted })
}

struct Following<'a, F> {
    api: &'a dyn HiveApi,
    id: JobId,
    on_interrupt: OnInterrupt,
    told: BTreeSet<hive_core::wire::SatelliteId>,
    progress: Progress,
    /// When we leave, once it was cancelled.
    deadline: Option<Instant>,
    interrupted: Option<i32>,
    on_target: F,
}

impl<F: AsyncFnMut(&JobEvent, &Progress) -> Result<()>> Following<'_, F> {
    /// Returns the job where it has ended, and none where we leave before.
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
                Err(Error::Unavailable(_)) if last_heard.elapsed() < ASK_FOR => {}
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                () = sleep(ASK_EVERY) => {}
                signal = interrupts.next() => return Err(Failure::Interrupted(signal)),
            }
        }
    }

    /// Listens until the end, or until the stream breaks off: then none.
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
                    self.deadline = Some(Instant::now() + CANCEL_TIME);
                    self.cancel().await;
                }
                () = sleep_until(self.deadline.unwrap_or_else(Instant::now)), if self.deadline.is_some() => {
                    return Ok(Some(None));
                }
            }
        }
    }

    async fn cancel(&self) {
        let note = |text: String| self.progress.aside(|| output::note(&text));
        note(format!("{} is being cancelled; press Ctrl-C again to leave it to the hive", self.id));
        if let Err(error) = self.api.jobs().cancel(self.id).await {
            note(format!("{} could not be cancelled: {}", self.id, Failure::from(error)));
        }
    }

    async fn on_event(&mut self, event: &JobEvent) -> Result<()> {
        match event {
            JobEvent::Progress { counts } => self.progress.show(counts),
            JobEvent::Target { satellite_id, .. } if self.told.insert(*satellite_id) => {
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
