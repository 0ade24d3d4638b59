//! What happens by itself: jobs go on, signs of life are written behind, overdue commands are ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hive_wire::SatelliteId;
use hive_wire::api::CommandStatus;
use tokio::time::MissedTickBehavior;
use tracing::warn;

use super::Hive;
use crate::Result;
use crate::store::Seen;

/// Overdue commands that are ended at one go.
const AT_ONCE: u32 = 500;

/// Signs of life that are written at one go: commands wait in between, and no longer.
const SEEN_AT_ONCE: usize = 250;

/// Signs of life that are not written yet, the latest of each satellite.
#[derive(Default)]
pub(super) struct SeenBuffer(Mutex<HashMap<SatelliteId, Seen>>);

impl SeenBuffer {
    fn note(&self, seen: Seen) {
        let mut latest = self.0.lock().expect("nothing panics while it holds this lock");
        let before = latest.remove(&seen.id);
        let merged = match before {
            Some(before) => Seen {
                system: seen.system.or(before.system),
                agent_version: seen.agent_version.or(before.agent_version),
                ..seen
            },
            None => seen,
        };
        latest.insert(merged.id, merged);
    }

    /// Takes back what could not be written, behind what was noted meanwhile.
    fn put_back(&self, seen: Vec<Seen>) {
        let newer = self.take();
        seen.into_iter().chain(newer).for_each(|seen| self.note(seen));
    }

    fn take(&self) -> Vec<Seen> {
        let mut latest = self.0.lock().expect("nothing panics while it holds this lock");
        latest.drain().map(|(_, seen)| seen).collect()
    }
}

/// Starts what happens by itself; it ends with the hive, or when nobody holds the hive any more.
pub(super) fn start(hive: &Hive) {
    let inner = Arc::downgrade(&hive.inner);
    let shutdown = hive.inner.shutdown.clone();
    let mut ticks = tokio::time::interval(hive.settings().sweep_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    hive.inner.tasks.spawn(async move {
        loop {
            let is_last = tokio::select! {
                _ = ticks.tick() => false,
                () = shutdown.cancelled() => true,
            };
            let Some(inner) = inner.upgrade() else { return };
            if let Err(error) = (Hive { inner }).sweep().await {
                warn!(error = %error, "sweep failed, the next one tries again");
            }
            if is_last {
                return;
            }
        }
    });
}

impl Hive {
    /// Notes a sign of life, to be written with the next sweep.
    pub(super) fn note_seen(&self, seen: Seen) {
        self.inner.seen.note(seen);
    }

    async fn sweep(&self) -> Result<()> {
        self.resume_jobs().await?;
        self.end_overdue().await?;
        self.end_lost_sessions().await?;
        self.recheck(None).await;
        let seen = self.inner.seen.take();
        for (written, some) in seen.chunks(SEEN_AT_ONCE).enumerate() {
            let rest = || self.inner.seen.put_back(seen[written * SEEN_AT_ONCE..].to_vec());
            self.store().satellite_seen(some.to_vec()).await.inspect_err(|_| rest())?;
        }
        match &self.inner.high_water {
            Some(mark) => mark.advance(self.store()).await,
            None => Ok(()),
        }
    }

    async fn end_overdue(&self) -> Result<()> {
        let (now, grace) = (self.source().steady(), self.settings().outcome_grace);
        for row in self.store().command_list_overdue(now, grace, AT_ONCE).await? {
            let status = match row.status {
                CommandStatus::Queued => CommandStatus::Expired,
                _ => CommandStatus::OutcomeUnknown,
            };
            // One that was handed over at the last moment is not overdue.
            self.end_without_satellite(&row, status).await?;
        }
        Ok(())
    }
}
