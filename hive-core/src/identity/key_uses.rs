//! When API keys are used. A use is noted in memory; housekeeping stores it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use hive_wire::{ApiKeyId, Timestamp};

use super::service::IdentityService;
use crate::Result;
use crate::sync::lock;

/// How often uses are stored: the last one of each key, in one transaction.
pub(crate) const STORE_INTERVAL: Duration = Duration::from_mins(1);

/// The last use of each key since uses were stored.
#[derive(Default)]
pub(super) struct KeyUses(Mutex<HashMap<ApiKeyId, Timestamp>>);

impl KeyUses {
    /// Notes a use. It costs a lock and no write.
    pub(super) fn note(&self, key: ApiKeyId, now: Timestamp) {
        lock(&self.0).insert(key, now);
    }

    /// Returns the last use that is not stored yet.
    pub(super) fn get(&self, key: ApiKeyId) -> Option<Timestamp> {
        lock(&self.0).get(&key).copied()
    }

    fn take(&self) -> HashMap<ApiKeyId, Timestamp> {
        std::mem::take(&mut *lock(&self.0))
    }

    /// Puts uses back that could not be stored. Later ones stay.
    fn put_back(&self, uses: HashMap<ApiKeyId, Timestamp>) {
        let mut noted = lock(&self.0);
        for (key, at) in uses {
            noted.entry(key).or_insert(at);
        }
    }
}

impl IdentityService {
    /// Stores when keys were used.
    pub(crate) async fn store_key_uses(&self) -> Result<()> {
        let uses = self.key_uses.take();
        if uses.is_empty() {
            return Ok(());
        }
        let stored = self.store.api_key_note_used(uses.iter().map(|(key, at)| (*key, *at)).collect()).await;
        if stored.is_err() {
            self.key_uses.put_back(uses);
        }
        Ok(stored?)
    }
}

#[cfg(test)]
mod tests {
    use hive_wire::id::Seed;

    use super::*;

    #[test]
    fn the_last_use_of_a_key_is_kept_until_it_is_stored() {
        let key = ApiKeyId::new(Seed { unix_millis: 1, random: [1; 10] });
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let uses = KeyUses::default();
        uses.note(key, at(1));
        uses.note(key, at(2));
        let taken = uses.take();
        assert_eq!((taken.get(&key), uses.get(key)), (Some(&at(2)), None));
        uses.note(key, at(3));
        uses.put_back(taken);
        assert_eq!(uses.get(key), Some(at(3)), "a failed write brings back no earlier use");
    }
}
