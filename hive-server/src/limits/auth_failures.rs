//! Limits what an address may cost by wrong credentials.
//!
//! Verifying a key or password takes CPU time on purpose. An address that sent many wrong ones gets no verification until
//! most of them are forgotten. Keys that were verified before are still accepted from a cache, so that one broken program does
//! not lock out others behind the same address.

use std::net::IpAddr;
use std::sync::Mutex;

use hive_core::hive::{VerifyMode, network_of};
use tokio::time::Instant;

use super::lock;
use super::rate_limiter::{Rate, RateLimiter};

/// The cost of failures that is tolerated, about a quarter of a second of CPU time, and how much of it is forgotten in a second.
/// An address is verified again within 10 seconds after the end of a flood.
const TOLERATED: Rate = Rate::per_second(100.0, 1000.0);
/// Addresses whose failures are counted.
const MAX_ADDRESSES: usize = 16 * 1024;

/// What a wrong credential costs the server.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FailureCost {
    /// The check of a key or token.
    Key,
    /// The check of a password, which takes a hundred times as long.
    Password,
}

impl FailureCost {
    fn score(self) -> f64 {
        match self {
            Self::Key => 1.0,
            Self::Password => 20.0,
        }
    }
}

/// Decides per address whether credentials are verified.
#[derive(Debug)]
pub(crate) struct AuthFailureLimiter(Mutex<RateLimiter<IpAddr>>);

impl Default for AuthFailureLimiter {
    fn default() -> Self {
        Self(Mutex::new(RateLimiter::new(MAX_ADDRESSES)))
    }
}

impl AuthFailureLimiter {
    /// Returns how credentials from this address are checked. Callers without a known address are not limited.
    pub(crate) fn verify_mode(&self, address: Option<IpAddr>) -> VerifyMode {
        let is_limited = address.is_some_and(|address| self.is_over_limit(address, Instant::now()));
        // Cached keys still work, so that an attack from a shared address does not lock out its other users.
        if is_limited { VerifyMode::CachedOnly } else { VerifyMode::Full }
    }

    /// Counts a wrong credential.
    pub(crate) fn record_failure(&self, address: Option<IpAddr>, cost: FailureCost) {
        if let Some(address) = address {
            self.record(address, cost, Instant::now());
        }
    }

    fn record(&self, address: IpAddr, cost: FailureCost, now: Instant) {
        lock(&self.0).charge(network_of(address), TOLERATED, cost.score(), now);
    }

    fn is_over_limit(&self, address: IpAddr, now: Instant) -> bool {
        lock(&self.0).retry_after(&network_of(address), 0.0, now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn address(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(number).into()
    }

    fn failures(count: usize, cost: FailureCost, now: Instant) -> AuthFailureLimiter {
        let limiter = AuthFailureLimiter::default();
        (0..count).for_each(|_| limiter.record(address(1), cost, now));
        limiter
    }

    #[test]
    fn mistakes_are_tolerated_and_floods_are_not() {
        let now = Instant::now();
        assert!(!failures(1000, FailureCost::Key, now).is_over_limit(address(1), now));
        assert!(failures(1001, FailureCost::Key, now).is_over_limit(address(1), now));
        assert!(!failures(50, FailureCost::Password, now).is_over_limit(address(1), now));
        assert!(failures(51, FailureCost::Password, now).is_over_limit(address(1), now));
        assert!(!failures(5000, FailureCost::Key, now).is_over_limit(address(2), now), "another address");
    }

    #[test]
    fn failures_are_forgotten_after_a_flood() {
        let now = Instant::now();
        let limiter = failures(100_000, FailureCost::Key, now);
        assert!(limiter.is_over_limit(address(1), now + Duration::from_secs(9)));
        assert!(!limiter.is_over_limit(address(1), now + Duration::from_secs(10)));
    }
}
