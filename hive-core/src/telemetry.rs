//! Telemetry: the heartbeats of satellites, in memory in front of a store of their own.
//!
//! A heartbeat is noted in memory and written later. Nobody waits for the store: a queue that is full drops its oldest heartbeats,
//! and a read that takes too long is answered from memory. No promise depends on what is stored here.

mod queue;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hive_wire::agent::Metrics;
use hive_wire::{SatelliteId, Timestamp};
use tracing::{debug, warn};

use crate::Result;
use crate::access::VisibleTeams;
use crate::context::ServiceContext;
use crate::store::{HeartbeatRow, TelemetryStore};
use crate::sync::lock;

use queue::TelemetryQueue;

/// Heartbeats in one transaction.
const BATCH: usize = 500;
/// How long a caller waits for the store, before it is answered from memory.
const READ_TIMEOUT: Duration = Duration::from_millis(500);

/// The telemetry of a hive since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TelemetryCounts {
    /// Heartbeats that were stored.
    pub written: u64,
    /// Heartbeats that were dropped, because the store did not keep up.
    pub dropped: u64,
    /// Heartbeats that are not stored yet.
    pub waiting: u64,
}

/// All telemetry.
pub(crate) struct Telemetry {
    store: Arc<dyn TelemetryStore>,
    noted: Mutex<Noted>,
    context: ServiceContext,
}

/// What is known without the store.
#[derive(Default)]
struct Noted {
    /// The last heartbeat of each satellite that this process has heard.
    latest: HashMap<SatelliteId, HeartbeatRow>,
    queue: TelemetryQueue,
    /// Removed satellites, whose telemetry is not deleted yet.
    removed: HashSet<SatelliteId>,
    written: u64,
    /// How many drops were logged.
    logged: u64,
}

impl Telemetry {
    pub(crate) fn new(store: Arc<dyn TelemetryStore>, context: ServiceContext) -> Self {
        Self { store, noted: Mutex::default(), context }
    }

    /// Notes a heartbeat that was just received, to be written by the next [`flush`](Self::flush).
    pub(crate) fn note(&self, heartbeat: HeartbeatRow) {
        let heartbeat = HeartbeatRow { metrics: heartbeat.metrics.map(finite), ..heartbeat };
        let mut noted = lock(&self.noted);
        if noted.removed.contains(&heartbeat.satellite_id) {
            return;
        }
        let metrics = heartbeat.metrics.clone();
        let before = noted.latest.get(&heartbeat.satellite_id).and_then(|before| before.metrics.clone());
        noted.latest.insert(heartbeat.satellite_id, HeartbeatRow { metrics: metrics.or(before), ..heartbeat.clone() });
        noted.queue.push(heartbeat);
    }

    /// Forgets a satellite that was removed.
    pub(crate) fn forget(&self, satellite: SatelliteId) {
        let mut noted = lock(&self.noted);
        noted.latest.remove(&satellite);
        noted.queue.remove(satellite);
        noted.removed.insert(satellite);
    }

    /// Writes what is not stored yet.
    pub(crate) async fn flush(&self) -> Result<()> {
        self.log_drops();
        loop {
            let batch = lock(&self.noted).queue.take(BATCH);
            if batch.is_empty() {
                break;
            }
            if let Err(error) = self.store.heartbeat_append(batch.clone()).await {
                lock(&self.noted).queue.put_back(batch);
                return Err(error.into());
            }
            lock(&self.noted).written += batch.len() as u64;
        }
        // After their last heartbeats.
        let removed: Vec<_> = lock(&self.noted).removed.iter().copied().collect();
        if !removed.is_empty() {
            self.store.telemetry_delete(removed.clone()).await?;
            lock(&self.noted).removed.retain(|satellite| !removed.contains(satellite));
        }
        Ok(())
    }

    fn log_drops(&self) {
        let mut noted = lock(&self.noted);
        let dropped = noted.queue.dropped() - noted.logged;
        noted.logged = noted.queue.dropped();
        drop(noted);
        if dropped > 0 {
            warn!(dropped, "heartbeats were dropped, because the telemetry store does not keep up");
        }
    }

    /// Returns how much was written and dropped.
    pub(crate) fn counts(&self) -> TelemetryCounts {
        let noted = lock(&self.noted);
        let (dropped, waiting) = (noted.queue.dropped(), noted.queue.len() as u64);
        TelemetryCounts { written: noted.written, dropped, waiting }
    }

    /// Returns when these satellites were last heard of. Those that are not known are left out.
    pub(crate) async fn last_seen(&self, satellites: &[SatelliteId]) -> HashMap<SatelliteId, Timestamp> {
        let (mut seen, asked) = self.noted_times(satellites);
        match self.stored_times(&asked).await {
            Ok(stored) => {
                for (satellite, at) in stored {
                    let last = seen.entry(satellite).or_insert(at);
                    *last = (*last).max(at);
                }
            }
            // Housekeeping logs that the store fails.
            Err(error) => debug!(%error, "some satellites are shown without their last heartbeat"),
        }
        seen
    }

    /// Returns when a satellite was last heard of. `None` if it is not known.
    ///
    /// # Errors
    /// If neither this process has heard of it nor the store can tell.
    pub(crate) async fn last_heartbeat(&self, satellite: SatelliteId) -> Result<Option<Timestamp>> {
        let (seen, asked) = self.noted_times(&[satellite]);
        let noted = seen.get(&satellite).copied();
        match self.stored_times(&asked).await {
            Ok(stored) => Ok(stored.first().map(|(_, at)| *at).max(noted)),
            Err(error) if noted.is_none() => Err(error),
            Err(_) => Ok(noted),
        }
    }

    /// Returns the times that are noted, and the satellites of which another server may have heard later.
    fn noted_times(&self, satellites: &[SatelliteId]) -> (HashMap<SatelliteId, Timestamp>, Vec<SatelliteId>) {
        let recent = self.context.now().minus(self.context.settings().heartbeat_timeout);
        let noted = lock(&self.noted);
        let time_of = |satellite: &SatelliteId| Some((*satellite, noted.latest.get(satellite)?.at));
        let seen: HashMap<_, _> = satellites.iter().filter_map(time_of).collect();
        let asked = satellites.iter().filter(|satellite| seen.get(satellite).is_none_or(|at| *at < recent));
        let asked = asked.copied().collect();
        (seen, asked)
    }

    async fn stored_times(&self, satellites: &[SatelliteId]) -> Result<Vec<(SatelliteId, Timestamp)>> {
        if satellites.is_empty() {
            return Ok(Vec::new());
        }
        let read = tokio::time::timeout(READ_TIMEOUT, self.store.heartbeat_times(satellites)).await;
        Ok(read.map_err(|elapsed| crate::Error::Unavailable(elapsed.into()))??)
    }

    /// Returns the last heartbeat of a satellite, with the last metrics that it reported.
    pub(crate) async fn latest(&self, satellite: SatelliteId) -> Result<Option<HeartbeatRow>> {
        let noted = lock(&self.noted).latest.get(&satellite).cloned();
        if noted.as_ref().is_some_and(|noted| noted.metrics.is_some()) {
            return Ok(noted);
        }
        let stored = self.store.heartbeat_latest(satellite).await?;
        Ok(match (noted, stored) {
            (Some(noted), Some(stored)) => Some(HeartbeatRow { metrics: stored.metrics, ..noted }),
            (noted, stored) => noted.or(stored),
        })
    }

    /// Lists up to `limit` stored heartbeats of a satellite before a time, newest first.
    pub(crate) async fn history(
        &self,
        satellite: SatelliteId,
        visible: &VisibleTeams,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<HeartbeatRow>> {
        Ok(self.store.heartbeat_list(satellite, visible, before, limit).await?)
    }
}

/// Replaces numbers that JSON cannot store. A number of a satellite can be too large for its type.
pub(crate) fn finite(mut metrics: Metrics) -> Metrics {
    let percents = [&mut metrics.cpu_percent, &mut metrics.memory_percent, &mut metrics.disk_percent];
    percents.into_iter().filter(|number| !number.is_finite()).for_each(|number| *number = 0.0);
    metrics.load_average.iter_mut().filter(|number| !number.is_finite()).for_each(|number| *number = 0.0);
    metrics
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests;
