//! Following a job. Each follower has a position of its own in the job's log and no queue: a slow one delays nobody and misses
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use hive_wire::JobId;
use hive_wire::api::{JobEvent, TargetStatus};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::warn;

use super::{JobDriver, Jobs, TargetState, TargetTransition, target_state};
use crate::access::Principal;
use crate::commands::stream::{Sent, Unsubscribed};
use crate::store::RowRange;
use crate::{Result, Subscription};

/// Events that wait for a follower; with more of them the reading of the log waits.
const EVENTS: usize = 64;
/// Transitions that are read together.
const BATCH: usize = 256;
/// The shortest time between two reports of a job's progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(50);

impl Jobs {
    /// Subscribes a principal to a job until the job has ended.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        principal: &Principal,
        id: JobId,
    ) -> Result<Subscription<JobEvent>> {
        let (listener, subscription) = Subscription::with_capacity(EVENTS);
        let (jobs, events, reader) = (self.clone(), listener.clone(), principal.clone());
        let stream = async move {
            if let Err(error) = jobs.send_events(&reader, id, &events).await {
                warn!(job.id = %id, error = %error, "a job cannot be followed");
            }
        };
        self.grants.spawn_stream(principal, &listener, stream).await?;
        Ok(subscription)
    }

    async fn send_events(
        self: &Arc<Self>,
        reader: &Principal,
        id: JobId,
        listener: &mpsc::Sender<JobEvent>,
    ) -> Result<()> {
        let sent = match self.open(id).await? {
            Some(job) => send_log(&job, listener).await,
            None => self.send_stored(id, listener).await?,
        };
        // A driver also goes when the hive stops. Then the job has not ended in the store, and no end is reported.
        let row = self.store.job_get(id).await?;
        if let (Ok(()), Some(row)) = (sent, row.filter(|row| row.status.is_terminal())) {
            // It does not matter where the follower is gone by now.
            listener.send(JobEvent::Ended(Box::new(super::service::view(reader, row)))).await.ok();
        }
        Ok(())
    }

    async fn send_stored(&self, id: JobId, listener: &mpsc::Sender<JobEvent>) -> Result<Sent> {
        let (rows, _) = self.store.job_target_list(id, RowRange::ALL).await?;
        for row in &rows {
            if send(listener, target_event(target_state(row))).await.is_err() {
                return Ok(Err(Unsubscribed));
            }
        }
        Ok(Ok(()))
    }
}

async fn send_log(job: &JobDriver, listener: &mpsc::Sender<JobEvent>) -> Sent {
    let mut changes = job.follow();
    let mut position = 0;
    loop {
        let cursor = *changes.borrow_and_update();
        while position < cursor.log_len() {
            let batch = job.log(position, BATCH);
            position += batch.len();
            for (transition, target) in batch {
                if matches!(transition, TargetTransition::Ended(_)) {
                    send(listener, target_event(target)).await?;
                }
            }
        }
        send(listener, JobEvent::Progress { counts: job.counts() }).await?;
        if cursor.is_over() {
            return Ok(());
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return Ok(()) },
            () = listener.closed() => return Err(Unsubscribed),
        }
        // A job of many short commands changes thousands of times a second; its end is reported at once.
        tokio::select! {
            () = sleep(PROGRESS_INTERVAL) => {}
            _ = changes.wait_for(|cursor| cursor.is_over()) => {}
        }
    }
}

async fn send(listener: &mpsc::Sender<JobEvent>, event: JobEvent) -> Sent {
    listener.send(event).await.map_err(|_| Unsubscribed)
}

fn target_event(target: TargetState) -> JobEvent {
    let TargetState { satellite, name, command, status, exit_code } = target;
    debug_assert!(has_ended(&status), "only ends are reported");
    JobEvent::Target { satellite_id: satellite, satellite_name: name, command_id: command, status, exit_code }
}

fn has_ended(status: &TargetStatus) -> bool {
    match status {
        TargetStatus::NotRun => true,
        TargetStatus::Command(status) => status.is_terminal(),
    }
}
