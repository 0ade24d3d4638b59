//! The latest state of each of many things, which readers follow at their own pace.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

/// The latest state by key. A reader that is behind skips what was replaced meanwhile: the number of entries is bounded by the
/// number of keys, and by `max_kept`.
#[derive(Debug)]
pub(super) struct LatestLog<K, V> {
    last_version: u64,
    by_version: BTreeMap<u64, (K, Arc<V>)>,
    versions: HashMap<K, u64>,
    max_kept: usize,
    /// The version of the newest entry that was evicted.
    evicted: u64,
}

/// What a reader gets.
#[derive(Debug)]
pub(crate) struct LatestBatch<V> {
    /// The next entries, the oldest first.
    pub(crate) entries: Vec<Arc<V>>,
    /// Whether an entry was evicted that the reader had not read.
    pub(crate) is_incomplete: bool,
}

impl<K: Eq + Hash + Copy, V> LatestLog<K, V> {
    /// A log of so many keys. With more, the one that has not changed for longest is evicted.
    pub(super) fn new(max_kept: usize) -> Self {
        Self { last_version: 0, by_version: BTreeMap::new(), versions: HashMap::new(), max_kept, evicted: 0 }
    }

    /// Returns the position behind the last entry.
    pub(super) fn position(&self) -> u64 {
        self.last_version
    }

    /// Replaces the state of a key.
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.remove(key);
        self.last_version += 1;
        self.by_version.insert(self.last_version, (key, Arc::new(value)));
        self.versions.insert(key, self.last_version);
        if self.by_version.len() > self.max_kept
            && let Some((version, (key, _))) = self.by_version.pop_first()
        {
            self.versions.remove(&key);
            self.evicted = version;
        }
    }

    /// Forgets a key. Its readers miss nothing: somebody else reports that the thing is gone.
    pub(super) fn remove(&mut self, key: K) {
        if let Some(version) = self.versions.remove(&key) {
            self.by_version.remove(&version);
        }
    }

    /// Returns the state of a key.
    pub(super) fn get(&self, key: K) -> Option<Arc<V>> {
        let version = self.versions.get(&key)?;
        self.by_version.get(version).map(|(_, value)| value.clone())
    }

    /// Returns up to `limit` entries behind a position, and moves the position behind them.
    pub(super) fn read(&self, position: &mut u64, limit: usize) -> LatestBatch<V> {
        let is_incomplete = *position < self.evicted;
        let mut entries = Vec::new();
        for (version, (_, value)) in self.by_version.range(*position + 1..).take(limit) {
            entries.push(value.clone());
            *position = *version;
        }
        // What was evicted is reported once.
        *position = (*position).max(self.evicted);
        LatestBatch { entries, is_incomplete }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn read_all(log: &LatestLog<u8, u32>, position: &mut u64) -> (Vec<u32>, bool) {
        let (mut all, mut is_incomplete) = (Vec::new(), false);
        loop {
            let batch = log.read(position, 3);
            is_incomplete |= batch.is_incomplete;
            if batch.entries.is_empty() {
                return (all, is_incomplete);
            }
            all.extend(batch.entries.iter().map(|entry| **entry));
        }
    }

    #[test]
    fn a_reader_gets_the_latest_state_of_each_key_once() {
        let mut log = LatestLog::new(10);
        for (key, value) in [(1, 10), (2, 20), (1, 11), (3, 30), (1, 12)] {
            log.insert(key, value);
        }
        let mut position = 0;
        assert_eq!(read_all(&log, &mut position), (vec![20, 30, 12], false));
        assert_eq!(read_all(&log, &mut position), (vec![], false));
        log.insert(2, 21);
        log.remove(3);
        assert_eq!(read_all(&log, &mut position), (vec![21], false));
        assert_eq!((log.get(2).as_deref(), log.get(3)), (Some(&21), None));
    }

    #[test]
    fn an_eviction_that_was_not_read_is_reported_once() {
        let mut log = LatestLog::new(2);
        let (mut ahead, mut behind) = (0, 0);
        log.insert(1, 10);
        assert_eq!(read_all(&log, &mut ahead), (vec![10], false));
        log.insert(2, 20);
        log.insert(3, 30);
        assert_eq!(read_all(&log, &mut ahead), (vec![20, 30], false));
        assert_eq!(read_all(&log, &mut behind), (vec![20, 30], true));
        assert_eq!(read_all(&log, &mut behind), (vec![], false));
    }

    proptest! {
        #[test]
        fn a_reader_ends_where_the_log_is(steps in vec((0_u8..20, any::<u32>(), any::<bool>()), 0..200)) {
            let mut log = LatestLog::new(20);
            let (mut position, mut known) = (0, HashMap::new());
            let mut expected = HashMap::new();
            for (key, value, is_read) in steps {
                // The key is part of the value, so that a reader knows it.
                let value = value / 32 * 32 + u32::from(key);
                log.insert(key, value);
                expected.insert(key, value);
                if is_read {
                    let batch = log.read(&mut position, 3);
                    known.extend(batch.entries.iter().map(|value| ((**value % 32) as u8, **value)));
                }
            }
            let (rest, is_incomplete) = read_all(&log, &mut position);
            known.extend(rest.into_iter().map(|value| ((value % 32) as u8, value)));
            prop_assert_eq!(known, expected);
            prop_assert!(!is_incomplete, "no more keys than are kept");
        }
    }
}
