//! How far the journals of satellites have come, in memory in front of the store.
//!
//! A satellite tells it with each command that it starts. Writing each would cost as much as the command: the highest of each
//! satellite is kept here and written behind, with the next sweep.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use hive_wire::SatelliteId;

use crate::store::JournalPosition;

struct Position {
    journal_id: Arc<str>,
    highest: u64,
    is_written: bool,
}

/// The highest position of each satellite since this process began.
#[derive(Default)]
pub(crate) struct Positions(Mutex<HashMap<SatelliteId, Position>>);

impl Positions {
    /// Notes that the journal has come this far.
    pub(crate) fn note(&self, id: SatelliteId, journal_id: &Arc<str>, position: u64) {
        let mut positions = self.lock();
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
    pub(crate) fn highest(&self, id: SatelliteId, journal_id: &str) -> Option<u64> {
        self.lock().get(&id).filter(|known| *known.journal_id == *journal_id).map(|known| known.highest)
    }

    /// Forgets a satellite that is removed.
    pub(crate) fn forget(&self, id: SatelliteId) {
        self.lock().remove(&id);
    }

    /// Takes what is to be written.
    pub(crate) fn take_unwritten(&self) -> Vec<JournalPosition> {
        let mut positions = self.lock();
        let unwritten = positions.iter_mut().filter(|(_, position)| !position.is_written);
        unwritten
            .map(|(id, position)| {
                position.is_written = true;
                let Position { journal_id, highest, .. } = position;
                JournalPosition { satellite_id: *id, journal_id: journal_id.to_string(), position: *highest }
            })
            .collect()
    }

    /// Notes that these could not be written.
    pub(crate) fn put_back(&self, unwritten: &[JournalPosition]) {
        let mut positions = self.lock();
        for position in unwritten {
            if let Some(known) = positions.get_mut(&position.satellite_id) {
                known.is_written = false;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SatelliteId, Position>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;

    #[test]
    fn the_highest_position_is_written_once() {
        let id = SatelliteId::new(Seed { unix_millis: 1, random: [1; 10] });
        let (positions, journal, other): (_, Arc<str>, Arc<str>) = (Positions::default(), "j".into(), "k".into());
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
        positions.forget(id);
        assert_eq!(positions.highest(id, "k"), None);
    }
}
