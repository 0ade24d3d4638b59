//! Heartbeats: the latest of each satellite, in memory in front of the store.

use std::collections::HashMap;
use std::sync::Mutex;

use hive_wire::SatelliteId;
use hive_wire::agent::SystemInfo;
use hive_wire::api::SatelliteStatus;
use hive_wire::satellite_api::{HeartbeatRequest, HeartbeatResponse};
use serde_json::json;

use super::Satellites;
use crate::access::SatelliteIdentity;
use crate::store::Heartbeat;
use crate::sync::lock;
use crate::{Error, Result};

/// Heartbeats that are written in one transaction: commands that are stored meanwhile wait no longer than for one.
const BATCH: usize = 250;
/// Characters of the version that a heartbeat over HTTPS reports.
const MAX_VERSION: usize = 255;

/// Heartbeats that are not stored yet, the latest of each satellite.
#[derive(Default)]
pub(super) struct HeartbeatBuffer(Mutex<Buffered>);

#[derive(Default)]
struct Buffered {
    latest: HashMap<SatelliteId, Heartbeat>,
    /// On their way to the store.
    writing: HashMap<SatelliteId, Heartbeat>,
}

impl Buffered {
    fn add(&mut self, heartbeat: Heartbeat) {
        let heartbeat = match self.latest.remove(&heartbeat.id) {
            Some(before) => merged(before, heartbeat),
            None => heartbeat,
        };
        self.latest.insert(heartbeat.id, heartbeat);
    }
}

impl HeartbeatBuffer {
    fn add(&self, heartbeat: Heartbeat) {
        lock(&self.0).add(heartbeat);
    }

    /// Returns the heartbeat of a satellite that is not stored yet.
    pub(super) fn get(&self, id: SatelliteId) -> Option<Heartbeat> {
        let buffered = lock(&self.0);
        match (buffered.writing.get(&id).cloned(), buffered.latest.get(&id).cloned()) {
            (Some(writing), Some(latest)) => Some(merged(writing, latest)),
            (writing, latest) => latest.or(writing),
        }
    }

    /// Takes all, to be written.
    fn take(&self) -> Vec<Heartbeat> {
        let mut buffered = lock(&self.0);
        // Kept until they are written, so that readers find them all the time.
        buffered.writing = std::mem::take(&mut buffered.latest);
        buffered.writing.values().cloned().collect()
    }

    /// Notes that all that were taken are written, except for `rest`. Those are written later, unless newer ones came meanwhile.
    fn note_written(&self, rest: Vec<Heartbeat>) {
        let mut buffered = lock(&self.0);
        buffered.writing.clear();
        // The older ones go in first: `add` merges each newer one over them.
        let newer = std::mem::take(&mut buffered.latest);
        rest.into_iter().chain(newer.into_values()).for_each(|heartbeat| buffered.add(heartbeat));
    }
}

/// The newer heartbeat, with what only the older one reports.
fn merged(before: Heartbeat, heartbeat: Heartbeat) -> Heartbeat {
    Heartbeat {
        system: heartbeat.system.or(before.system),
        agent_version: heartbeat.agent_version.or(before.agent_version),
        ..heartbeat
    }
}

impl Satellites {
    /// Handles a heartbeat over HTTPS; with it a satellite also finds out at its start whether its key is still valid.
    ///
    /// # Errors
    /// `SatelliteNotFound` for another satellite's id.
    pub(crate) async fn heartbeat(
        &self,
        identity: &SatelliteIdentity,
        id: SatelliteId,
        heartbeat: HeartbeatRequest,
    ) -> Result<HeartbeatResponse> {
        let no_satellite = || Error::SatelliteNotFound(id.to_string());
        if identity.id != id {
            return Err(no_satellite());
        }
        let row = self.store.satellite_get(id).await?.ok_or_else(no_satellite)?;
        let is_activated = self.activate(&row).await?;
        let agent_version = heartbeat.version.map(|version| version.chars().take(MAX_VERSION).collect());
        self.note_heartbeat(id, None, agent_version);
        // The row was read before this call activated the satellite.
        let status = if is_activated { SatelliteStatus::Active } else { row.status };
        let status = json!(status).as_str().unwrap_or_default().to_owned();
        Ok(HeartbeatResponse { success: true, status, config_version: 0 })
    }

    /// Notes a heartbeat, to be written by the next [`flush_heartbeats`](Self::flush_heartbeats).
    pub(crate) fn note_heartbeat(&self, id: SatelliteId, system: Option<SystemInfo>, agent_version: Option<String>) {
        self.heartbeats.add(Heartbeat { id, at: self.context.now(), system, agent_version });
    }

    /// Writes the heartbeats that are not stored yet.
    pub(crate) async fn flush_heartbeats(&self) -> Result<()> {
        let heartbeats = self.heartbeats.take();
        for (written, batch) in heartbeats.chunks(BATCH).enumerate() {
            if let Err(error) = self.store.satellite_seen(batch.to_vec()).await {
                // The batch that failed included: it may be in the store already, and is stored a second time without
                // harm.
                self.heartbeats.note_written(heartbeats[written * BATCH..].to_vec());
                return Err(error.into());
            }
        }
        self.heartbeats.note_written(Vec::new());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::Timestamp;
    use hive_wire::agent::SystemInfo;
    use hive_wire::id::Seed;

    fn heartbeat(second: i64, version: Option<&str>) -> Heartbeat {
        Heartbeat {
            id: SatelliteId::new(Seed { unix_millis: 1, random: [1; 10] }),
            at: Timestamp::from_micros(second * 1_000_000),
            system: version.map(|_| SystemInfo::default()),
            agent_version: version.map(Into::into),
        }
    }

    #[test]
    fn a_heartbeat_is_known_until_it_is_written() {
        let buffer = HeartbeatBuffer::default();
        let check = |second: Option<i64>, version: Option<&str>| {
            let found = buffer.get(heartbeat(0, None).id);
            assert_eq!(found.as_ref().map(|heartbeat| heartbeat.at), second.map(|second| heartbeat(second, None).at));
            assert_eq!(found.and_then(|heartbeat| heartbeat.agent_version).as_deref(), version);
        };
        buffer.add(heartbeat(1, Some("1.0")));
        buffer.add(heartbeat(2, None));
        check(Some(2), Some("1.0"));
        let taken = buffer.take();
        check(Some(2), Some("1.0"));
        buffer.add(heartbeat(3, None));
        check(Some(3), Some("1.0"));
        buffer.note_written(taken);
        check(Some(3), Some("1.0"));
        assert_eq!(buffer.take().len(), 1);
        buffer.note_written(Vec::new());
        check(None, None);
    }
}
