//! The ids with progress that the link has not handled yet.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// A set of ids that changed since the link last looked. Each id is in it once, so its size is bounded, and an id that
/// changes often costs no more than one that changes once.
#[derive(Debug)]
pub(crate) struct DirtySet<Id> {
    marked: Mutex<BTreeSet<Id>>,
    changed: Notify,
}

impl<Id> Default for DirtySet<Id> {
    fn default() -> Self {
        Self { marked: Mutex::default(), changed: Notify::new() }
    }
}

impl<Id: Ord> DirtySet<Id> {
    /// Adds an id.
    pub(crate) fn mark(&self, id: Id) {
        self.marked.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        // `notify_one` stores a permit, so a reader that checks the set at this moment does not miss the change.
        self.changed.notify_one();
    }

    /// Waits until the set is not empty, and takes all ids. For one reader at a time. Cancel-safe.
    pub(crate) async fn take(&self) -> BTreeSet<Id> {
        loop {
            // Checked before waiting: ids may have been added since the last call.
            let marked = std::mem::take(&mut *self.marked.lock().unwrap_or_else(PoisonError::into_inner));
            if !marked.is_empty() {
                return marked;
            }
            self.changed.notified().await;
        }
    }
}
