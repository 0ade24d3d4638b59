//! How far the journals of satellites have come, in memory in front of the store.
//!
//! A satellite reports it with each command that it starts. A write for each would cost as much as the command, so that the highest of
//! each satellite is kept here and written later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hive_wire::SatelliteId;

use super::Satellites;
use crate::Result;
use crate::links::LinkHandle;
use crate::store::JournalPosition;
use crate::sync::lock;

/// Positions that are written in one transaction: commands that are stored meanwhile wait no longer than for one.
const BATCH: usize = 250;

struct Position {
    journal_id: Arc<str>,
    highest: u64,
    is_written: bool,
}

/// The highest position of each satellite since this process began.
#[derive(Default)]
pub(super) struct JournalPositions(Mutex<HashMap<SatelliteId, Position>>);

impl JournalPositions {
    /// Notes that the journal has come this far.
    pub(super) fn note(&self, id: SatelliteId, journal_id: &Arc<str>, position: u64) {
        let mut positions = lock(&self.0);
        match positions.get_mut(&id).filter(|known| known.journal_id == *journal_id) {
            Some(known) if known.highest >= position => {}
            Some(known) => (known.highest, known.is_written) = (position, false),
            None => {
                let journal_id = journal_id.clone();
                positions.insert(id, Position { journal_id, highest: position, is_written: false });
            }
        }
    }

    /// Returns the highest position of this journal that was noted.
    pub(super) fn highest(&self, id: SatelliteId, journal_id: &str) -> Option<u64> {
        lock(&self.0).get(&id).filter(|known| *known.journal_id == *journal_id).map(|known| known.highest)
    }

    /// Drops the position of a satellite that is removed.
    pub(super) fn remove(&self, id: SatelliteId) {
        lock(&self.0).remove(&id);
    }

    /// Returns the positions that are to be written, which count as written from here on.
    pub(super) fn take_unwritten(&self) -> Vec<JournalPosition> {
        let mut positions = lock(&self.0);
        let unwritten = positions.iter_mut().filter(|(_, position)| !position.is_written);
        unwritten
            .map(|(id, position)| {
                // A higher position that is noted while these are written clears the mark again, and is written next
                // time.
                position.is_written = true;
                let Position { journal_id, highest, .. } = position;
                JournalPosition { satellite_id: *id, journal_id: journal_id.to_string(), position: *highest }
            })
            .collect()
    }

    /// Notes that these could not be written.
    pub(super) fn put_back(&self, unwritten: &[JournalPosition]) {
        let mut positions = lock(&self.0);
        for position in unwritten {
            if let Some(known) = positions.get_mut(&position.satellite_id) {
                known.is_written = false;
            }
        }
    }
}

impl Satellites {
    /// Notes that the journal behind a link has come this far.
    pub(crate) fn note_journal_position(&self, link: &LinkHandle, position: u64) {
        self.positions.note(link.satellite, &link.journal_id, position);
    }

    /// Writes the positions that are not stored yet.
    pub(crate) async fn flush_journal_positions(&self) -> Result<()> {
        let positions = self.positions.take_unwritten();
        for (written, batch) in positions.chunks(BATCH).enumerate() {
            if let Err(error) = self.store.satellite_journal_advance(batch.to_vec()).await {
                self.positions.put_back(&positions[written * BATCH..]);
                return Err(error.into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;

    #[test]
    fn the_highest_position_is_written_once() {
        let id = SatelliteId::new(Seed { unix_millis: 1, random: [1; 10] });
        let (positions, journal, other): (_, Arc<str>, Arc<str>) =
            (JournalPositions::default(), "j".into(), "k".into());
        for position in [3, 7, 5] {
            positions.note(id, &journal, position);
        }
        assert_eq!((positions.highest(id, "j"), positions.highest(id, "k")), (Some(7), None));
        let unwritten = positions.take_unwritten();
        assert_eq!(unwritten, [JournalPosition { satellite_id: id, journal_id: "j".into(), position: 7 }]);
        assert!(positions.take_unwritten().is_empty());
        positions.put_back(&unwritten);
        assert_eq!(positions.take_unwritten(), unwritten);
        positions.note(id, &journal, 7);
        assert!(positions.take_unwritten().is_empty(), "nothing new");
        positions.note(id, &other, 1);
        assert_eq!(positions.highest(id, "j"), None);
        assert_eq!(positions.take_unwritten().len(), 1);
        positions.remove(id);
        assert_eq!(positions.highest(id, "k"), None);
    }
}
