//! The set of unauthenticated connections, with a limit in all and per address.
//!
//! Over a limit the oldest connection is evicted, not the newest refused. A caller with valid credentials needs a moment to
//! send them and an idle connection stays open, so idle connections cannot starve new clients.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// The unauthenticated connections in the order in which they were opened. `T` is the handle that ends one.
pub(super) struct UnauthenticatedConnections<T> {
    /// The most connections; 0 for no limit.
    limit: usize,
    /// The most connections of one address; 0 for no limit.
    limit_per_address: usize,
    by_id: BTreeMap<u64, (IpAddr, T)>,
    by_address: HashMap<IpAddr, BTreeSet<u64>>,
    next_id: u64,
}

impl<T> UnauthenticatedConnections<T> {
    pub(super) fn new(limit: usize, limit_per_address: usize) -> Self {
        Self { limit, limit_per_address, by_id: BTreeMap::new(), by_address: HashMap::new(), next_id: 0 }
    }

    /// Adds a connection. Returns its id, and the handle of the connection that is evicted for it.
    pub(super) fn insert(&mut self, address: IpAddr, handle: T) -> (u64, Option<T>) {
        let id = self.next_id;
        self.next_id += 1;
        self.by_id.insert(id, (address, handle));
        let same_address = self.by_address.entry(address).or_default();
        same_address.insert(id);
        // The address's own limit first: an address above it must not evict the connections of others.
        let evicted = if is_over(same_address.len(), self.limit_per_address) {
            same_address.first().copied()
        } else if is_over(self.by_id.len(), self.limit) {
            self.by_id.keys().next().copied()
        } else {
            None
        };
        (id, evicted.and_then(|id| self.remove(id)))
    }

    /// Removes a connection and returns its handle; `None` if it was removed before.
    pub(super) fn remove(&mut self, id: u64) -> Option<T> {
        let (address, handle) = self.by_id.remove(&id)?;
        if let Some(same_address) = self.by_address.get_mut(&address) {
            same_address.remove(&id);
            if same_address.is_empty() {
                self.by_address.remove(&address);
            }
        }
        Some(handle)
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
    fn over_the_limit_the_oldest_is_evicted() {
        let mut connections = UnauthenticatedConnections::new(3, 0);
        for number in 0..3 {
            assert_eq!(connections.insert(address(number), number).1, None);
        }
        assert_eq!(connections.insert(address(9), 3).1, Some(0));
        assert_eq!(connections.insert(address(9), 4).1, Some(1));
    }

    #[test]
    fn an_address_over_its_limit_evicts_its_own_oldest() {
        let mut connections = UnauthenticatedConnections::new(10, 2);
        connections.insert(address(1), "another address");
        connections.insert(address(2), "first");
        connections.insert(address(2), "second");
        assert_eq!(connections.insert(address(2), "third").1, Some("first"));
    }

    #[test]
    fn a_removed_connection_makes_room_once() {
        let mut connections = UnauthenticatedConnections::new(1, 1);
        let (id, _) = connections.insert(address(1), "first");
        assert_eq!(connections.remove(id), Some("first"));
        assert_eq!(connections.remove(id), None);
        assert_eq!(connections.insert(address(1), "second").1, None);
        assert_eq!(connections.by_address.len(), 1);
    }

    #[test]
    fn without_a_limit_nothing_is_evicted() {
        let mut connections = UnauthenticatedConnections::new(0, 0);
        assert!((0..10_000).all(|number| connections.insert(address(1), number).1.is_none()));
    }
}
