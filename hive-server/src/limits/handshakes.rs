//! Handshakes under way, by satellite: a satellite has room for two, so that one with a valid key cannot hold all there are.

use std::collections::{HashMap, VecDeque};

use hive_core::wire::SatelliteId;

/// Handshakes of one satellite that may be under way: the one that it has given up, and the one it tries instead. With one
/// more, the oldest ends.
const MAX_PER_SATELLITE: usize = 2;

/// All handshakes under way. `T` is the way to end one.
#[derive(Debug)]
pub(super) struct Handshakes<T> {
    of_satellite: HashMap<SatelliteId, VecDeque<(u64, T)>>,
    next: u64,
}

impl<T> Default for Handshakes<T> {
    fn default() -> Self {
        Self { of_satellite: HashMap::new(), next: 0 }
    }
}

impl<T> Handshakes<T> {
    /// Begins one: its number, and the one that has to end for it.
    pub(super) fn begin(&mut self, satellite: SatelliteId, handshake: T) -> (u64, Option<T>) {
        let number = self.next;
        self.next += 1;
        let under_way = self.of_satellite.entry(satellite).or_default();
        under_way.push_back((number, handshake));
        let oldest = if under_way.len() > MAX_PER_SATELLITE { under_way.pop_front() } else { None };
        (number, oldest.map(|(_, handshake)| handshake))
    }

    /// Ends one; nothing where it had to end before.
    pub(super) fn end(&mut self, satellite: SatelliteId, number: u64) {
        if let Some(under_way) = self.of_satellite.get_mut(&satellite) {
            under_way.retain(|(other, _)| *other != number);
            if under_way.is_empty() {
                self.of_satellite.remove(&satellite);
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
    fn the_oldest_of_three_ends() {
        let mut handshakes = Handshakes::default();
        assert_eq!(handshakes.begin(satellite(1), "first").1, None);
        assert_eq!(handshakes.begin(satellite(1), "second").1, None);
        assert_eq!(handshakes.begin(satellite(1), "third").1, Some("first"));
        assert_eq!(handshakes.begin(satellite(2), "another's").1, None);
        assert_eq!(handshakes.begin(satellite(1), "fourth").1, Some("second"));
    }

    #[test]
    fn one_that_ended_makes_room_once() {
        let mut handshakes = Handshakes::default();
        let (first, _) = handshakes.begin(satellite(1), "first");
        let (second, _) = handshakes.begin(satellite(1), "second");
        handshakes.end(satellite(1), first);
        handshakes.end(satellite(1), first);
        assert_eq!(handshakes.begin(satellite(1), "third").1, None);
        assert_eq!(handshakes.begin(satellite(1), "fourth").1, Some("second"));
        handshakes.end(satellite(1), second);
        for number in 0..4 {
            handshakes.end(satellite(1), number);
        }
        assert!(handshakes.of_satellite.is_empty());
    }
}
