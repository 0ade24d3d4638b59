//! Limits the open connections of unauthenticated callers, and the time until they must be authenticated.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hive_core::hive::network_of;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::lock;
use super::unauthenticated::UnauthenticatedConnections;
use crate::config::Limits;

/// An upper bound of the timeout, so that adding it to an instant never overflows.
const MAX_TIMEOUT: Duration = Duration::from_hours(24);

/// Registers connections until their callers are authenticated.
pub(crate) struct ConnectionLimiter {
    open: Arc<Mutex<UnauthenticatedConnections<CancellationToken>>>,
    timeout: Duration,
}

impl ConnectionLimiter {
    pub(super) fn new(limits: &Limits) -> Self {
        let open = UnauthenticatedConnections::new(limits.max_unauthenticated, limits.max_unauthenticated_per_address);
        Self { open: Arc::new(Mutex::new(open)), timeout: limits.handshake_timeout.min(MAX_TIMEOUT) }
    }

    /// Registers an unauthenticated connection. Over a limit, the oldest one is evicted.
    pub(crate) fn admit(&self, address: IpAddr) -> UnauthenticatedConnection {
        let evicted = CancellationToken::new();
        let (id, oldest) = lock(&self.open).insert(network_of(address), evicted.clone());
        // Outside of the lock: cancelling wakes the task of the evicted connection.
        if let Some(oldest) = oldest {
            oldest.cancel();
        }
        UnauthenticatedConnection(Arc::new(Registered {
            open: Arc::clone(&self.open),
            id,
            evicted,
            authenticated: CancellationToken::new(),
            deadline: self.deadline(),
        }))
    }

    /// When the caller of a connection that opens now must be authenticated.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }
}

/// A connection, or a request through a trusted proxy, whose caller is not authenticated. Dropping the last clone removes it
/// from the limiter.
#[derive(Clone)]
pub(crate) struct UnauthenticatedConnection(Arc<Registered>);

struct Registered {
    open: Arc<Mutex<UnauthenticatedConnections<CancellationToken>>>,
    id: u64,
    evicted: CancellationToken,
    authenticated: CancellationToken,
    deadline: Instant,
}

impl UnauthenticatedConnection {
    /// Removes the connection from the limiter: its caller is authenticated.
    pub(crate) fn mark_authenticated(&self) {
        // Before the removal: an eviction in between must not close the connection.
        self.0.authenticated.cancel();
        lock(&self.0.open).remove(self.0.id);
    }

    /// When the caller must be authenticated.
    pub(crate) fn deadline(&self) -> Instant {
        self.0.deadline
    }

    /// Waits until the connection has to be closed, because it was evicted or its deadline is over. Never returns for an
    /// authenticated caller.
    pub(crate) async fn evicted_or_timed_out(&self) {
        tokio::select! {
            // Authentication first: an eviction that came at the same time must not end an authenticated connection.
            biased;
            () = self.0.authenticated.cancelled() => std::future::pending().await,
            () = self.0.evicted.cancelled() => {}
            () = sleep_until(self.0.deadline) => {}
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.open).remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn an_authenticated_connection_is_not_evicted() {
        let limiter = ConnectionLimiter::new(&Limits { max_unauthenticated: 1, ..Limits::default() });
        let first = limiter.admit([127, 0, 0, 1].into());
        let second = limiter.admit([127, 0, 0, 1].into());
        first.evicted_or_timed_out().await;
        second.mark_authenticated();
        let third = limiter.admit([127, 0, 0, 1].into());
        assert!(third.evicted_or_timed_out().now_or_never().is_none(), "the limit is not reached");
        let _fourth = limiter.admit([127, 0, 0, 1].into());
        third.evicted_or_timed_out().await;
        assert!(second.evicted_or_timed_out().now_or_never().is_none(), "the authenticated one has to go");
    }
}
