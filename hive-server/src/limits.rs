//! Limits on callers: on what they may use before they are authenticated, and on how often they call afterwards.
//!
//! - [`connections`] bounds the open connections of unauthenticated callers;
//! - [`handshakes`] bounds the satellites that authenticate at the same time and per second, and of each satellite how often
//!   it authenticates and how many unfinished handshakes it has;
//! - [`auth_failures`] stops expensive verification for addresses that sent many wrong credentials;
//! - [`open_sockets`] bounds the sockets of people that are open at the same time;
//! - [`requests`] bounds the calls of a login or of an API key, the commands of a login on a satellite, the wrong passwords of an
//!   address, and the names that a caller finds to be in use. [`rate_class`] says which of them an operation of the route table is
//!   under, and [`refusals`] counts what was refused.
//!
//! Each module has a decision without I/O ([`unauthenticated`], [`handshake_budget`], [`satellite_handshakes`],
//! [`call_rates`], [`rate_limiter`]) behind a lock. The address of a caller is that of its socket, or the one that a trusted proxy forwards.
//! IPv6 addresses count by their network of 64 bits, because one host usually owns all of it.

mod auth_failures;
mod call_rates;
mod connections;
mod handshake_budget;
mod handshakes;
mod open_sockets;
mod paced_count;
mod rate_class;
mod rate_limiter;
mod refusals;
mod requests;
mod satellite_handshakes;
mod token_bucket;
mod unauthenticated;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use self::auth_failures::{AuthFailureLimiter, FailureCost};
pub(crate) use self::connections::{ConnectionLimiter, UnauthenticatedConnection};
pub(crate) use self::handshakes::{HandshakeGuard, HandshakeLimiter, HandshakePermit};
pub(crate) use self::open_sockets::OpenSockets;
pub(crate) use self::paced_count::PacedCount;
pub(crate) use self::rate_class::RateClass;
pub use self::refusals::RefusedCalls;
pub(crate) use self::requests::{CommandTarget, NameCaller, RequestLimiter};
use crate::config::Limits;

/// The limiters of one server.
pub(crate) struct Limiters {
    pub(crate) connections: ConnectionLimiter,
    pub(crate) handshakes: HandshakeLimiter,
    pub(crate) auth_failures: AuthFailureLimiter,
    pub(crate) requests: RequestLimiter,
    pub(crate) ui_sockets: OpenSockets,
}

impl Limiters {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            connections: ConnectionLimiter::new(limits),
            handshakes: HandshakeLimiter::new(limits),
            auth_failures: AuthFailureLimiter::default(),
            requests: RequestLimiter::new(limits.rates.clone()),
            ui_sockets: OpenSockets::new(limits.max_ui_sockets),
        }
    }
}

/// Locks a mutex. It ignores poisoning, as everywhere in the workspace: with it, one failed request would stop all others.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
