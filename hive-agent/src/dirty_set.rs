//! Who has news for the link.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Those that have come further since the link last looked. It holds each once, so it is never larger than their number,
/// and a busy one costs no more than a quiet one.
#[derive(Debug)]
pub(crate) struct Board<Id> {
    marked: Mutex<BTreeSet<Id>>,
    news: Notify,
}

impl<Id> Default for Board<Id> {
    fn default() -> Self {
        Self { marked: Mutex::default(), news: Notify::new() }
    }
}

impl<Id: Ord> Board<Id> {
    /// Says that one has come further.
    pub(crate) fn mark(&self, id: Id) {
        self.marked.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        self.news.notify_one();
    }

    /// Waits for those that have come further, and takes them. For one reader at a time; cancel-safe.
    pub(crate) async fn take(&self) -> BTreeSet<Id> {
        loop {
            let marked = std::mem::take(&mut *self.marked.lock().unwrap_or_else(PoisonError::into_inner));
            if !marked.is_empty() {
                return marked;
            }
            self.news.notified().await;
        }
    }
}
