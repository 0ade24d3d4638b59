//! How a service reports to services above it, which it does not know.

use std::sync::{Arc, RwLock, Weak};

use crate::sync::{read, write};

/// The observers of a service, in the order in which they were added.
///
/// They are held weakly: a service above owns the one below, and the two must not keep each other alive.
pub(crate) struct Observers<O: ?Sized>(RwLock<Vec<Weak<O>>>);

impl<O: ?Sized> Default for Observers<O> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<O: ?Sized> Observers<O> {
    /// Adds an observer. It sees what happens from here on.
    pub(crate) fn add(&self, observer: Weak<O>) {
        write(&self.0).push(observer);
    }

    /// Returns the observers that are still there. No lock is held while they are called.
    pub(crate) fn all(&self) -> Vec<Arc<O>> {
        read(&self.0).iter().filter_map(Weak::upgrade).collect()
    }
}
