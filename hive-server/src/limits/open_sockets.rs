//! Limits the sockets that are open at the same time, each of which holds memory for hours.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The sockets of one kind.
pub(crate) struct OpenSockets(Option<Arc<Semaphore>>);

/// An open socket. Dropping it makes room for another one.
#[derive(Debug)]
pub(crate) struct OpenSocket(#[expect(dead_code, reason = "held for its drop")] Option<OwnedSemaphorePermit>);

impl OpenSockets {
    /// A limit; 0 for none.
    pub(super) fn new(max_open: usize) -> Self {
        Self((max_open > 0).then(|| Arc::new(Semaphore::new(max_open.min(Semaphore::MAX_PERMITS)))))
    }

    /// Counts a socket; `None` where as many are open as may be.
    pub(crate) fn open(&self) -> Option<OpenSocket> {
        match &self.0 {
            None => Some(OpenSocket(None)),
            Some(room) => room.clone().try_acquire_owned().ok().map(|permit| OpenSocket(Some(permit))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_socket_makes_room() {
        let sockets = OpenSockets::new(2);
        let (first, second) = (sockets.open(), sockets.open());
        assert!(first.is_some() && second.is_some() && sockets.open().is_none());
        drop(first);
        assert!(sockets.open().is_some());
    }

    #[test]
    fn without_a_limit_there_is_always_room() {
        let sockets = OpenSockets::new(0);
        let open: Vec<_> = (0..10_000).map(|_| sockets.open()).collect();
        assert!(open.iter().all(Option::is_some));
    }
}
