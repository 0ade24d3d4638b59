//! Waits for a job. Of one that we began the first Ctrl-C cancels it and waits for its end, and the second leaves.

use std::collections::BTreeSet;
use std::time::Duration;

use hive_core::wire::JobId;
use hive_core::wire::api::{CommandStatus, Job, JobCounts, JobEvent, TargetStatus};
use hive_core::{Error, Subscription};
use tokio::time::{Instant, sleep, sleep_until};

use super::follow::Interrupts;
use crate::api::Api;
use crate::failure::{Failure, Result};
use crate::output;

/// How long a cancelled job may take to end before we leave it to the hive.
const CANCEL_TIME: Duration = Duration::from_secs(10);
/// How often a job is asked for whose stream broke off.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long the hive may be away before we give up.
const ASK_FOR: Duration = Duration::from_secs(30);

/// A job that we wait no longer for.
pub(crate) struct Followed {
    pub(crate) job: Job,
    pub(crate) is_interrupted: bool,
}

/// What Ctrl-C does to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnInterrupt {
    Cancel,
    /// We only look on.
    Leave,
}

/// Waits for a job's end, through restarts of the hive. `on_target` is given each target's end, once.
pub(crate) async fn follow(
    api: &dyn Api,
    id: JobId,
    interrupts: &mut Interrupts,
    on_interrupt: OnInterrupt,
    on_target: impl FnMut(&JobEvent) -> Result<()>,
) -> Result<Followed> {
    let mut following = Following { api, id, on_interrupt, told: BTreeSet::new(), deadline: None, on_target };
    let ended = following.until_end(interrupts).await;
    output::progress("");
    let job = match ended? {
        Some(job) => job,
        None => api.job_get(id).await?.ok_or_else(|| no_job(id))?,
    };
    Ok(Followed { job, is_interrupted: following.deadline.is_some() })
}

struct Following<'a, F> {
    api: &'a dyn Api,
    id: JobId,
    on_interrupt: OnInterrupt,
    told: BTreeSet<hive_core::wire::SatelliteId>,
    /// When we leave, once it was cancelled.
    deadline: Option<Instant>,
    on_target: F,
}

impl<F: FnMut(&JobEvent) -> Result<()>> Following<'_, F> {
    /// Returns the job where it has ended, and none where we leave before.
    async fn until_end(&mut self, interrupts: &mut Interrupts) -> Result<Option<Job>> {
        let mut last_heard = Instant::now();
        loop {
            match self.api.job_watch(self.id).await {
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
                () = interrupts.next() => return Err(Failure::Interrupted),
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
                    Some(event) => self.on_event(&event)?,
                    None => return Ok(None),
                },
                () = interrupts.next() => {
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
        output::progress("");
        output::note(&format!("{} is being cancelled; press Ctrl-C again to leave it to the hive", self.id));
        if let Err(error) = self.api.job_cancel(self.id).await {
            output::note(&format!("{} could not be cancelled: {}", self.id, Failure::from(error)));
        }
    }

    fn on_event(&mut self, event: &JobEvent) -> Result<()> {
        match event {
            JobEvent::Progress { counts } => output::progress(&progress(counts)),
            JobEvent::Target { satellite_id, .. } if self.told.insert(*satellite_id) => (self.on_target)(event)?,
            _ => {}
        }
        Ok(())
    }
}

/// How far a job is, in one line.
fn progress(counts: &JobCounts) -> String {
    let succeeded = counts.of(TargetStatus::Command(CommandStatus::Succeeded));
    let mut line = format!("{} of {} done", counts.ended(), counts.total());
    for (count, word) in
        [(counts.ended() - succeeded, "not successful"), (counts.running(), "running"), (counts.queued(), "waiting")]
    {
        if count > 0 {
            line = format!("{line}, {count} {word}");
        }
    }
    line
}

pub(crate) fn no_job(id: JobId) -> Error {
    Error::NotFound { what: "job", id: id.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_says_what_there_is() {
        let mut counts = JobCounts::default();
        let check = |counts: &JobCounts, expected: &str| assert_eq!(progress(counts), expected);
        counts.add(TargetStatus::Command(CommandStatus::Queued), 3);
        check(&counts, "0 of 3 done, 3 waiting");
        counts.add(TargetStatus::Command(CommandStatus::Succeeded), 2);
        counts.add(TargetStatus::Command(CommandStatus::Failed), 1);
        counts.add(TargetStatus::NotRun, 1);
        counts.add(TargetStatus::Command(CommandStatus::Started), 1);
        check(&counts, "4 of 8 done, 2 not successful, 1 running, 3 waiting");
    }
}
