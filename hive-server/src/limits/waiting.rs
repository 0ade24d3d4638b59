//! Who stands at the door: unknown connections, in all and of each address.
//!
//! Where there are too many, the oldest goes and not the newest: who has something to show needs an instant, who only takes
//! up room has stood there for long. So nobody can lock others out by standing in the door.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// The unknown ones, by their arrival. `T` is the way to send one away.
pub(super) struct Waiting<T> {
    /// How many there may be; 0 for any number.
    limit: usize,
    limit_per_address: usize,
    all: BTreeMap<u64, (IpAddr, T)>,
    of_address: HashMap<IpAddr, BTreeSet<u64>>,
    next: u64,
}

impl<T> Waiting<T> {
    pub(super) fn new(limit: usize, limit_per_address: usize) -> Self {
        Self { limit, limit_per_address, all: BTreeMap::new(), of_address: HashMap::new(), next: 0 }
    }

    /// Takes somebody in: their place, and who must go for them.
    pub(super) fn enter(&mut self, address: IpAddr, guest: T) -> (u64, Option<T>) {
        let place = self.next;
        self.next += 1;
        self.all.insert(place, (address, guest));
        let neighbours = self.of_address.entry(address).or_default();
        neighbours.insert(place);
        let oldest = if is_over(neighbours.len(), self.limit_per_address) {
            neighbours.first().copied()
        } else if is_over(self.all.len(), self.limit) {
            self.all.keys().next().copied()
        } else {
            None
        };
        (place, oldest.and_then(|place| self.leave(place)))
    }

    /// Gives up a place; nothing where it was given up before.
    pub(super) fn leave(&mut self, place: u64) -> Option<T> {
        let (address, guest) = self.all.remove(&place)?;
        if let Some(neighbours) = self.of_address.get_mut(&address) {
            neighbours.remove(&place);
            if neighbours.is_empty() {
                self.of_address.remove(&address);
            }
        }
        Some(guest)
    }
}

fn is_over(count: usize, limit: usize) -> bool {
    limit != 0 && count > limit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn the_oldest_goes_where_there_are_too_many() {
        let mut waiting = Waiting::new(3, 0);
        for guest in 0..3 {
            assert_eq!(waiting.enter(address(guest), guest).1, None);
        }
        assert_eq!(waiting.enter(address(9), 3).1, Some(0));
        assert_eq!(waiting.enter(address(9), 4).1, Some(1));
    }

    #[test]
    fn an_address_with_too_many_pays_itself() {
        let mut waiting = Waiting::new(10, 2);
        waiting.enter(address(1), "somebody else");
        waiting.enter(address(2), "first");
        waiting.enter(address(2), "second");
        assert_eq!(waiting.enter(address(2), "third").1, Some("first"));
    }

    #[test]
    fn who_left_makes_room_once() {
        let mut waiting = Waiting::new(1, 1);
        let (place, _) = waiting.enter(address(1), "first");
        assert_eq!(waiting.leave(place), Some("first"));
        assert_eq!(waiting.leave(place), None);
        assert_eq!(waiting.enter(address(1), "second").1, None);
        assert_eq!(waiting.of_address.len(), 1);
    }

    #[test]
    fn without_a_limit_all_may_stay() {
        let mut waiting = Waiting::new(0, 0);
        assert!((0..10_000).all(|guest| waiting.enter(address(1), guest).1.is_none()));
    }
}
