//! One lock a key, for steps that wait: two of the same key are done one after the other, those of others at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use tokio::sync::OwnedMutexGuard;

use super::lock;

/// The turns that are taken or waited for.
#[derive(Debug)]
pub(crate) struct Turns<K> {
    mutexes: Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self { mutexes: Mutex::default() }
    }
}

impl<K: Eq + Hash + Copy> Turns<K> {
    /// Waits until nobody else has the turn of this key. Those who wait get it in their order.
    pub(crate) async fn take(&self, key: K) -> TurnGuard<'_, K> {
        // The map is locked for the look-up alone: a turn may take as long as the answer to a ping.
        let mutex = lock(&self.mutexes).entry(key).or_default().clone();
        // Before it waits: a caller that is cancelled meanwhile leaves nothing behind.
        let mut turn = TurnGuard { turns: self, key, guard: None };
        turn.guard = Some(mutex.lock_owned().await);
        turn
    }
}

/// A turn. The next one waits until it is dropped.
#[derive(Debug)]
pub(crate) struct TurnGuard<'t, K: Eq + Hash> {
    turns: &'t Turns<K>,
    key: K,
    guard: Option<OwnedMutexGuard<()>>,
}

impl<K: Eq + Hash> Drop for TurnGuard<'_, K> {
    fn drop(&mut self) {
        let mut mutexes = lock(&self.turns.mutexes);
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
    async fn turns_of_one_key_come_one_after_the_other() {
        let turns = Turns::default();
        let first = turns.take(1).await;
        drop(turns.take(2).await);
        let mut waiting = std::pin::pin!(turns.take(1));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        drop(first);
        drop(waiting.await);
        assert!(turns.mutexes.lock().unwrap().is_empty(), "nothing is left of them");
    }

    #[tokio::test]
    async fn a_waiter_that_is_cancelled_leaves_nothing_behind() {
        let turns = Turns::default();
        let first = turns.take(1).await;
        let mut waiting = Box::pin(turns.take(1));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        drop(first);
        drop(waiting);
        assert!(turns.mutexes.lock().unwrap().is_empty());
    }
}
