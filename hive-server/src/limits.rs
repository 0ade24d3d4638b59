//! Limits on what callers may use before they are authenticated.
//!
//! - [`connections`] bounds the open connections of unauthenticated callers;
//! - [`handshakes`] bounds the satellites that authenticate at the same time and per second, and of each satellite how often
//!   it authenticates and how many unfinished handshakes it has;
//! - [`auth_failures`] stops expensive verification for addresses that sent many wrong credentials.
//!
//! Each module has a decision without I/O ([`unauthenticated`], [`handshake_budget`], [`satellite_handshakes`],
//! [`satellite_rates`], `FailureScores`) behind a lock. The address of a caller is that of its socket, or the one that a trusted proxy forwards.
//! IPv6 addresses count by their network of 64 bits, because one host usually owns all of it.

mod auth_failures;
mod connections;
mod handshake_budget;
mod handshakes;
mod satellite_handshakes;
mod satellite_rates;
mod token_bucket;
mod unauthenticated;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use self::auth_failures::{AuthFailureLimiter, FailureCost};
pub(crate) use self::connections::{ConnectionLimiter, UnauthenticatedConnection};
pub(crate) use self::handshakes::{HandshakeGuard, HandshakeLimiter, HandshakePermit};
use crate::config::Limits;

/// The limiters of one server.
pub(crate) struct Limiters {
    pub(crate) connections: ConnectionLimiter,
    pub(crate) handshakes: HandshakeLimiter,
    pub(crate) auth_failures: AuthFailureLimiter,
}

impl Limiters {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            connections: ConnectionLimiter::new(limits),
            handshakes: HandshakeLimiter::new(limits),
            auth_failures: AuthFailureLimiter::default(),
        }
    }
}

/// Locks a mutex. It ignores poisoning, as everywhere in the workspace: with it, one failed request would stop all others.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
