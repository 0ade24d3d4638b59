//! A mutex for each key, for steps that wait: two of one key run one after the other, those of different keys at the same time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use tokio::sync::OwnedMutexGuard;

use super::lock;

/// The mutexes that are locked or waited for. The others take no memory.
#[derive(Debug)]
pub(crate) struct KeyedMutex<K> {
    mutexes: Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>,
}

impl<K> Default for KeyedMutex<K> {
    fn default() -> Self {
        Self { mutexes: Mutex::default() }
    }
}

impl<K: Eq + Hash + Copy> KeyedMutex<K> {
    /// Locks the mutex of this key. Waiting callers get it in the order of their calls.
    pub(crate) async fn lock(&self, key: K) -> KeyedMutexGuard<'_, K> {
        // The map is locked for the look-up alone: a holder may wait as long as the answer to a ping takes.
        let mutex = lock(&self.mutexes).entry(key).or_default().clone();
        // Before it waits: a caller that is cancelled meanwhile leaves nothing behind.
        let mut held = KeyedMutexGuard { mutexes: self, key, guard: None };
        held.guard = Some(mutex.lock_owned().await);
        held
    }
}

/// A locked mutex of one key. Dropping it unlocks it.
#[derive(Debug)]
pub(crate) struct KeyedMutexGuard<'m, K: Eq + Hash> {
    mutexes: &'m KeyedMutex<K>,
    key: K,
    guard: Option<OwnedMutexGuard<()>>,
}

impl<K: Eq + Hash> Drop for KeyedMutexGuard<'_, K> {
    fn drop(&mut self) {
        let mut mutexes = lock(&self.mutexes.mutexes);
        drop(self.guard.take());
        // Nobody else holds it or waits for it: under the lock of the map nobody can begin to.
        if mutexes.get(&self.key).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            mutexes.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn holders_of_one_key_come_one_after_the_other() {
        let mutexes = KeyedMutex::default();
        let first = mutexes.lock(1).await;
        drop(mutexes.lock(2).await);
        let mut waiting = std::pin::pin!(mutexes.lock(1));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        drop(first);
        drop(waiting.await);
        assert!(mutexes.mutexes.lock().unwrap().is_empty(), "nothing is left of them");
    }

    #[tokio::test]
    async fn a_waiter_that_is_cancelled_leaves_nothing_behind() {
        let mutexes = KeyedMutex::default();
        let first = mutexes.lock(1).await;
        let mut waiting = Box::pin(mutexes.lock(1));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        drop(first);
        drop(waiting);
        assert!(mutexes.mutexes.lock().unwrap().is_empty());
    }
}
