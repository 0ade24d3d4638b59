//! The API keys of a satellite: in which order they are offered to the hive, and how long each is kept.
//!
//! A hive that was restored from a backup knows the key that was valid when the backup was made, and no later one.
//! Therefore every key that the hive accepted in the last 90 days is kept. A new key is a candidate until the hive has
//! accepted it; only then the others are older keys. Pure: [`identity`](crate::identity) writes the file,
//! [`registration`](crate::registration) asks the hive.

use std::time::Duration;

use hive_wire::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

/// How long a key is kept after it was last accepted.
const RETENTION: Duration = Duration::from_hours(90 * 24);
/// The largest number of accepted keys. Beyond it, the oldest is dropped.
const MAX_KEYS: usize = 10;
/// How old the stored time of the last acceptance may be before it is written again.
const REFRESH: Duration = Duration::from_hours(24);

/// A key, and the time at which it was last accepted, or received.
#[derive(Debug, Clone)]
pub(crate) struct DatedKey {
    pub(crate) api_key: SecretString,
    pub(crate) at: Timestamp,
}

impl DatedKey {
    fn is(&self, api_key: &SecretString) -> bool {
        self.api_key.expose_secret() == api_key.expose_secret()
    }
}

/// The keys of a satellite, at least one.
#[derive(Debug, Clone)]
pub(crate) struct StoredKeys {
    /// The accepted keys, the last accepted first.
    accepted: Vec<DatedKey>,
    /// The key that the hive issued last, until it is accepted.
    candidate: Option<DatedKey>,
}

impl StoredKeys {
    /// Returns these keys, `None` if there are none.
    pub(crate) fn of(mut accepted: Vec<DatedKey>, candidate: Option<DatedKey>) -> Option<Self> {
        // A file that was edited by hand may hold more.
        accepted.truncate(MAX_KEYS);
        let is_empty = accepted.is_empty() && candidate.is_none();
        (!is_empty).then_some(Self { accepted, candidate })
    }

    /// Returns a first key that was not accepted yet.
    pub(crate) fn with_candidate(api_key: SecretString, now: Timestamp) -> Self {
        Self { accepted: Vec::new(), candidate: Some(DatedKey { api_key, at: now }) }
    }

    /// Returns one key that was accepted before.
    pub(crate) fn with_accepted(key: DatedKey) -> Self {
        Self { accepted: vec![key], candidate: None }
    }

    /// Returns the accepted keys, the last accepted first.
    pub(crate) fn accepted(&self) -> &[DatedKey] {
        &self.accepted
    }

    /// Returns the key that was not accepted yet.
    pub(crate) fn candidate(&self) -> Option<&DatedKey> {
        self.candidate.as_ref()
    }

    /// Returns all keys in the order in which they are offered. A candidate comes first, unless the hive accepted an
    /// older key after it had issued the candidate.
    pub(crate) fn offer_order(&self) -> Vec<SecretString> {
        // The hive went back to an older key after it had issued this one, so it was probably restored and does not
        // know it.
        let is_behind =
            self.candidate.as_ref().is_some_and(|new| self.accepted.first().is_some_and(|last| last.at > new.at));
        let (first, last) = if is_behind { (None, self.candidate.as_ref()) } else { (self.candidate.as_ref(), None) };
        let all = first.into_iter().chain(&self.accepted).chain(last);
        all.map(|key| key.api_key.clone()).collect()
    }

    /// Returns the key to offer first.
    pub(crate) fn first(&self) -> SecretString {
        self.offer_order().swap_remove(0)
    }

    /// Adds a new key, which is offered first.
    pub(crate) fn add_candidate(&mut self, api_key: SecretString, now: Timestamp) {
        self.candidate = Some(DatedKey { api_key, at: now });
    }

    /// Notes that the hive has accepted a key. Returns whether the file should be written.
    pub(crate) fn accept(&mut self, api_key: &SecretString, now: Timestamp) -> bool {
        let place = self.accepted.iter().position(|key| key.is(api_key));
        let is_candidate = self.candidate.as_ref().is_some_and(|key| key.is(api_key));
        let is_stale = self.accepted.first().is_none_or(|last| now.since(last.at) >= REFRESH);
        if is_candidate {
            self.candidate = None;
        }
        if let Some(place) = place {
            self.accepted.remove(place);
        }
        self.accepted.insert(0, DatedKey { api_key: api_key.clone(), at: now });
        self.prune(now);
        // The file is not written for every handshake: flash disks wear out.
        is_candidate || place != Some(0) || is_stale
    }

    /// Adds the keys of an earlier file of the same satellite behind the others.
    pub(crate) fn add_older(&mut self, older: Self, now: Timestamp) {
        for key in older.accepted.into_iter().chain(older.candidate) {
            if !self.contains(&key.api_key) {
                self.accepted.push(key);
            }
        }
        self.prune(now);
    }

    /// Whether all keys of `other` are in this set.
    pub(crate) fn contains_all(&self, other: &Self) -> bool {
        other.offer_order().iter().all(|key| self.contains(key))
    }

    fn contains(&self, api_key: &SecretString) -> bool {
        self.accepted.iter().chain(&self.candidate).any(|key| key.is(api_key))
    }

    /// Drops old and surplus keys. The last accepted key is kept, however old it is.
    fn prune(&mut self, now: Timestamp) {
        let oldest = now.minus(RETENTION);
        let mut place = 0;
        self.accepted.retain(|key| {
            place += 1;
            // A machine that was off for a year must still find its key.
            place == 1 || key.at >= oldest
        });
        self.accepted.truncate(MAX_KEYS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn day(number: u32) -> Timestamp {
        Timestamp::from_micros(0).plus(DAY * number)
    }

    /// Keys that were accepted on these days.
    fn ring(keys: &[(&str, u32)]) -> StoredKeys {
        let mut ring = StoredKeys::with_candidate(keys[0].0.into(), day(0));
        for (key, accepted) in keys {
            ring.accept(&(*key).into(), day(*accepted));
        }
        ring
    }

    fn check(ring: &StoredKeys, offer_order: &[&str]) {
        let got: Vec<_> = ring.offer_order().iter().map(|key| key.expose_secret().to_owned()).collect();
        assert_eq!(got, offer_order);
        assert_eq!(ring.first().expose_secret(), offer_order[0]);
    }

    #[test]
    fn a_new_key_replaces_the_others_only_when_it_was_accepted() {
        let mut ring = ring(&[("old", 0)]);
        ring.add_candidate("new".into(), day(1));
        check(&ring, &["new", "old"]);
        assert_eq!(ring.accepted()[0].api_key.expose_secret(), "old");
        assert!(ring.accept(&"new".into(), day(1)));
        check(&ring, &["new", "old"]);
        assert!(ring.candidate().is_none());
        assert_eq!(ring.accepted().len(), 2);
    }

    #[test]
    fn the_key_that_was_accepted_last_is_offered_first() {
        let mut ring = ring(&[("a", 0), ("b", 1), ("c", 2)]);
        check(&ring, &["c", "b", "a"]);
        assert!(ring.accept(&"a".into(), day(3)), "a restored hive knows the first one");
        check(&ring, &["a", "c", "b"]);
        assert!(!ring.accept(&"a".into(), day(3)), "nothing has changed");
        assert!(ring.accept(&"a".into(), day(4)), "the time is written once a day");
    }

    #[test]
    fn a_candidate_that_a_restored_hive_does_not_know_is_kept_and_offered_last() {
        let mut ring = ring(&[("a", 0), ("b", 1)]);
        ring.add_candidate("new".into(), day(2));
        ring.accept(&"a".into(), day(3));
        check(&ring, &["a", "b", "new"]);
        ring.add_candidate("newer".into(), day(4));
        check(&ring, &["newer", "a", "b"]);
    }

    #[test]
    fn keys_are_kept_for_90_days_and_no_more_than_10() {
        let mut keys = ring(&[("a", 0), ("b", 10), ("c", 100)]);
        check(&keys, &["c", "b"]);
        keys.accept(&"c".into(), day(1000));
        check(&keys, &["c"]);
        let names: Vec<String> = (0..12).map(|number| format!("key-{number}")).collect();
        for name in &names {
            keys.accept(&name.as_str().into(), day(1000));
        }
        let newest: Vec<&str> = names.iter().rev().take(10).map(String::as_str).collect();
        check(&keys, &newest);
    }

    #[test]
    fn the_only_key_is_kept_however_old_it_is() {
        let mut keys = ring(&[("a", 0)]);
        keys.add_candidate("b".into(), day(1000));
        check(&keys, &["b", "a"]);
        let mut only = ring(&[("a", 0)]);
        only.add_older(ring(&[("z", 0)]), day(1000));
        check(&only, &["a"]);
    }

    #[test]
    fn keys_of_an_earlier_file_go_behind() {
        let mut keys = StoredKeys::with_candidate("new".into(), day(5));
        let earlier = ring(&[("a", 3), ("b", 4)]);
        assert!(!keys.contains_all(&earlier));
        keys.add_older(earlier.clone(), day(5));
        check(&keys, &["new", "b", "a"]);
        assert!(keys.contains_all(&earlier) && !earlier.contains_all(&keys));
    }

    #[test]
    fn a_ring_is_never_empty_and_never_printed() {
        assert!(StoredKeys::of(Vec::new(), None).is_none());
        assert!(!format!("{:?}", ring(&[("hunter2", 0)])).contains("hunter2"));
    }
}
