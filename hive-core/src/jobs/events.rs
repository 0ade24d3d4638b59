//! Telling what happens to a job. Whoever looks on has a place of their own in its story and no queue: a slow one holds
//! nothing up and misses nothing.

use std::sync::Arc;
use std::time::Duration;

use hive_wire::JobId;
use hive_wire::api::{JobEvent, TargetStatus};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::warn;

use super::{Happening, LiveJob, Spot};
use crate::hive::{ActingHive, Hive};
use crate::store::Window;
use crate::{Result, Subscription};

/// Events that wait for one who looks on; then the story waits.
const EVENTS: usize = 64;
/// Steps of a story that are looked at together.
const STEPS: usize = 256;
/// The shortest time between two tellings of how far a job is.
const PROGRESS: Duration = Duration::from_millis(50);

/// Nobody looks on any more.
struct Gone;

type Told = Result<(), Gone>;

impl ActingHive {
    /// Tells of a job until it has ended.
    pub(super) async fn watch_job(&self, id: JobId) -> Result<Subscription<JobEvent>> {
        let (listener, subscription) = Subscription::with_capacity(EVENTS);
        let hive = self.hive.clone();
        let telling = listener.clone();
        let told = async move {
            if let Err(error) = hive.tell_job(id, &telling).await {
                warn!(job.id = %id, error = %error, "a job cannot be told of");
            }
        };
        self.tell(&listener, told).await?;
        Ok(subscription)
    }
}

impl Hive {
    async fn tell_job(&self, id: JobId, listener: &mpsc::Sender<JobEvent>) -> Result<()> {
        let told = match self.open_job(id).await? {
            Some(job) => tell_live(&job, listener).await,
            None => self.tell_stored(id, listener).await?,
        };
        let row = self.store().job_get(id).await?;
        if let (Ok(()), Some(row)) = (told, row.filter(|row| row.status.is_terminal())) {
            // Where nobody listens any more, nobody minds.
            listener.send(JobEvent::Ended(Box::new(super::service::job(row)))).await.ok();
        }
        Ok(())
    }

    /// A job that has not ended, also right after a start.
    pub(crate) async fn open_job(&self, id: JobId) -> Result<Option<Arc<LiveJob>>> {
        if self.inner.jobs.get(id).is_none() {
            let row = self.store().job_get(id).await?;
            if row.is_some_and(|row| !row.status.is_terminal()) {
                self.resume_job(id).await?;
            }
        }
        Ok(self.inner.jobs.get(id))
    }

    async fn tell_stored(&self, id: JobId, listener: &mpsc::Sender<JobEvent>) -> Result<Told> {
        let (rows, _) = self.store().job_target_list(id, Window::ALL).await?;
        for row in &rows {
            if tell(listener, target(super::spot(row))).await.is_err() {
                return Ok(Err(Gone));
            }
        }
        Ok(Ok(()))
    }
}

async fn tell_live(job: &LiveJob, listener: &mpsc::Sender<JobEvent>) -> Told {
    let mut news = job.follow();
    let mut place = 0;
    loop {
        let told = *news.borrow_and_update();
        while place < told.chapter() {
            let steps = job.story(place, STEPS);
            place += steps.len();
            for (_, spot) in steps.into_iter().filter(|(happening, _)| matches!(happening, Happening::Ended(_))) {
                tell(listener, target(spot)).await?;
            }
        }
        tell(listener, JobEvent::Progress { counts: job.counts() }).await?;
        if told.is_over() {
            return Ok(());
        }
        tokio::select! {
            changed = news.changed() => if changed.is_err() { return Ok(()) },
            () = listener.closed() => return Err(Gone),
        }
        // Not more often, unless it is the last time.
        tokio::select! {
            () = sleep(PROGRESS) => {}
            _ = news.wait_for(|told| told.is_over()) => {}
        }
    }
}

async fn tell(listener: &mpsc::Sender<JobEvent>, event: JobEvent) -> Told {
    listener.send(event).await.map_err(|_| Gone)
}

fn target(spot: Spot) -> JobEvent {
    let Spot { satellite, name, command, status, exit_code } = spot;
    debug_assert!(is_ended(&status), "only ends are told");
    JobEvent::Target { satellite_id: satellite, satellite_name: name, command_id: command, status, exit_code }
}

fn is_ended(status: &TargetStatus) -> bool {
    match status {
        TargetStatus::NotRun => true,
        TargetStatus::Command(status) => status.is_terminal(),
    }
}
