//! How satellites describe themselves: the latest of each satellite, in memory in front of the store.
//!
//! A description comes with every handshake. When a whole fleet connects at once, its descriptions are written in few transactions.

use std::collections::HashMap;
use std::sync::Mutex;

use hive_wire::SatelliteId;

use super::Satellites;
use crate::Result;
use crate::store::SatelliteDescription;
use crate::sync::lock;

/// Descriptions that are written in one transaction: commands that are stored meanwhile wait no longer than for one.
const BATCH: usize = 250;

/// Descriptions that are not stored yet, the latest of each satellite.
#[derive(Default)]
pub(super) struct DescriptionBuffer(Mutex<Buffered>);

#[derive(Default)]
struct Buffered {
    latest: HashMap<SatelliteId, SatelliteDescription>,
    /// On their way to the store.
    writing: HashMap<SatelliteId, SatelliteDescription>,
}

impl Buffered {
    fn add(&mut self, description: SatelliteDescription) {
        let description = match self.latest.remove(&description.id) {
            Some(before) => merged(before, description),
            None => description,
        };
        self.latest.insert(description.id, description);
    }
}

impl DescriptionBuffer {
    fn add(&self, description: SatelliteDescription) {
        lock(&self.0).add(description);
    }

    /// Returns the description of a satellite that is not stored yet.
    pub(super) fn get(&self, id: SatelliteId) -> Option<SatelliteDescription> {
        let buffered = lock(&self.0);
        match (buffered.writing.get(&id).cloned(), buffered.latest.get(&id).cloned()) {
            (Some(writing), Some(latest)) => Some(merged(writing, latest)),
            (writing, latest) => latest.or(writing),
        }
    }

    /// Takes all, to be written.
    fn take(&self) -> Vec<SatelliteDescription> {
        let mut buffered = lock(&self.0);
        // Kept until they are written, so that readers find them all the time.
        buffered.writing = std::mem::take(&mut buffered.latest);
        buffered.writing.values().cloned().collect()
    }

    /// Notes that all that were taken are written, except for `rest`. Those are written later, unless newer ones came meanwhile.
    fn note_written(&self, rest: Vec<SatelliteDescription>) {
        let mut buffered = lock(&self.0);
        buffered.writing.clear();
        // The older ones go in first: `add` merges each newer one over them.
        let newer = std::mem::take(&mut buffered.latest);
        rest.into_iter().chain(newer.into_values()).for_each(|description| buffered.add(description));
    }
}

/// The newer description, with what only the older one has.
fn merged(before: SatelliteDescription, description: SatelliteDescription) -> SatelliteDescription {
    SatelliteDescription {
        id: description.id,
        system: description.system.or(before.system),
        agent_version: description.agent_version.or(before.agent_version),
    }
}

impl Satellites {
    /// Notes a description, to be written by the next [`flush_descriptions`](Self::flush_descriptions).
    pub(super) fn note_description(&self, description: SatelliteDescription) {
        self.descriptions.add(description);
    }

    /// Writes the descriptions that are not stored yet.
    pub(crate) async fn flush_descriptions(&self) -> Result<()> {
        let descriptions = self.descriptions.take();
        for (written, batch) in descriptions.chunks(BATCH).enumerate() {
            if let Err(error) = self.store.satellite_describe(batch.to_vec()).await {
                // The batch that failed included: it may be in the store already, and is stored a second time without
                // harm.
                self.descriptions.note_written(descriptions[written * BATCH..].to_vec());
                return Err(error.into());
            }
        }
        self.descriptions.note_written(Vec::new());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::agent::SystemInfo;
    use hive_wire::id::Seed;

    fn description(uptime_seconds: Option<u64>, version: Option<&str>) -> SatelliteDescription {
        SatelliteDescription {
            id: SatelliteId::new(Seed { unix_millis: 1, random: [1; 10] }),
            system: uptime_seconds.map(|uptime_seconds| SystemInfo { uptime_seconds, ..SystemInfo::default() }),
            agent_version: version.map(Into::into),
        }
    }

    #[test]
    fn a_description_is_known_until_it_is_written() {
        let buffer = DescriptionBuffer::default();
        let check = |uptime: Option<u64>, version: Option<&str>| {
            let found = buffer.get(description(None, None).id);
            let system = found.as_ref().and_then(|found| found.system.as_ref());
            assert_eq!(system.map(|system| system.uptime_seconds), uptime);
            assert_eq!(found.and_then(|found| found.agent_version).as_deref(), version);
        };
        buffer.add(description(Some(1), Some("1.0")));
        buffer.add(description(Some(2), None));
        check(Some(2), Some("1.0"));
        let taken = buffer.take();
        check(Some(2), Some("1.0"));
        buffer.add(description(Some(3), None));
        check(Some(3), Some("1.0"));
        buffer.note_written(taken);
        check(Some(3), Some("1.0"));
        assert_eq!(buffer.take().len(), 1);
        buffer.note_written(Vec::new());
        check(None, None);
    }
}
