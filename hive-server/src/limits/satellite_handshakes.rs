//! The unfinished handshakes of each satellite. A limit per satellite keeps one valid key from using up the server's limit.

use std::collections::{HashMap, VecDeque};

use hive_core::wire::SatelliteId;

/// Unfinished handshakes of one satellite: one that it has abandoned, and one that it tries instead. With one more, the
/// oldest is ended.
const MAX_PER_SATELLITE: usize = 2;

/// All unfinished handshakes. `T` is the handle that ends one.
#[derive(Debug)]
pub(super) struct SatelliteHandshakes<T> {
    by_satellite: HashMap<SatelliteId, VecDeque<(u64, T)>>,
    next_id: u64,
}

impl<T> Default for SatelliteHandshakes<T> {
    fn default() -> Self {
        Self { by_satellite: HashMap::new(), next_id: 0 }
    }
}

impl<T> SatelliteHandshakes<T> {
    /// Adds a handshake. Returns its id, and the handle of the one that is ended for it.
    pub(super) fn begin(&mut self, satellite: SatelliteId, handle: T) -> (u64, Option<T>) {
        let id = self.next_id;
        self.next_id += 1;
        let pending = self.by_satellite.entry(satellite).or_default();
        pending.push_back((id, handle));
        // The oldest: a satellite that connects again has abandoned it.
        let oldest = if pending.len() > MAX_PER_SATELLITE { pending.pop_front() } else { None };
        (id, oldest.map(|(_, handle)| handle))
    }

    /// Removes a handshake, if it is still there.
    pub(super) fn end(&mut self, satellite: SatelliteId, id: u64) {
        if let Some(pending) = self.by_satellite.get_mut(&satellite) {
            pending.retain(|(other, _)| *other != id);
            if pending.is_empty() {
                self.by_satellite.remove(&satellite);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_core::wire::id::Seed;

    fn satellite(number: u8) -> SatelliteId {
        SatelliteId::new(Seed { unix_millis: 1, random: [number; 10] })
    }

    #[test]
    fn the_oldest_of_three_is_ended() {
        let mut handshakes = SatelliteHandshakes::default();
        assert_eq!(handshakes.begin(satellite(1), "first").1, None);
        assert_eq!(handshakes.begin(satellite(1), "second").1, None);
        assert_eq!(handshakes.begin(satellite(1), "third").1, Some("first"));
        assert_eq!(handshakes.begin(satellite(2), "of another satellite").1, None);
        assert_eq!(handshakes.begin(satellite(1), "fourth").1, Some("second"));
    }

    #[test]
    fn a_finished_handshake_makes_room_once() {
        let mut handshakes = SatelliteHandshakes::default();
        let (first, _) = handshakes.begin(satellite(1), "first");
        let (second, _) = handshakes.begin(satellite(1), "second");
        handshakes.end(satellite(1), first);
        handshakes.end(satellite(1), first);
        assert_eq!(handshakes.begin(satellite(1), "third").1, None);
        assert_eq!(handshakes.begin(satellite(1), "fourth").1, Some("second"));
        handshakes.end(satellite(1), second);
        for id in 0..4 {
            handshakes.end(satellite(1), id);
        }
        assert!(handshakes.by_satellite.is_empty());
    }
}
