//! Team and tags of satellites, as the events of this process have announced them.
//!
//! An event is published where nobody can wait for the store, such as the end of a link. What is noted here was read from the
//! store in the satellite's turn: at its handshake, and with each change. A change that another process makes to the same
//! database is noted with the satellite's next link.

use std::collections::HashMap;

use hive_wire::SatelliteId;

use super::EventSubject;

/// The satellites that had a link or a change since the start: at most all that there are.
#[derive(Debug, Default)]
pub(super) struct Subjects {
    noted: HashMap<SatelliteId, EventSubject>,
}

impl Subjects {
    /// Notes a satellite. Returns what was noted before.
    pub(super) fn insert(&mut self, subject: EventSubject) -> Option<EventSubject> {
        self.noted.insert(subject.satellite, subject)
    }

    /// Returns a satellite as it was noted last.
    pub(super) fn get(&self, satellite: SatelliteId) -> EventSubject {
        self.noted.get(&satellite).cloned().unwrap_or_else(|| EventSubject::unknown(satellite))
    }

    /// Whether a satellite was noted, and not forgotten since.
    pub(super) fn contains(&self, satellite: SatelliteId) -> bool {
        self.noted.contains_key(&satellite)
    }

    /// Forgets a satellite.
    pub(super) fn remove(&mut self, satellite: SatelliteId) -> Option<EventSubject> {
        self.noted.remove(&satellite)
    }
}
