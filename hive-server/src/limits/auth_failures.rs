//! Limits what an address may cost by wrong credentials.
//!
//! Verifying a key or password takes CPU time on purpose. An address that sent many wrong ones gets no verification until
//! its score has decayed. Keys that were verified before are still accepted from a cache, so that one broken program does
//! not lock out others behind the same address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use hive_core::hive::{VerifyMode, network_of};
use tokio::time::Instant;

use super::lock;

/// The score up to which an address is verified: about a quarter of a second of CPU time.
const MAX_SCORE: f64 = 1000.0;
/// By how much a score decays in a second.
const DECAY_PER_SECOND: f64 = 100.0;
/// Addresses that have a score. Above it, decayed scores are dropped, and all of them where none has decayed.
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
#[derive(Debug, Default)]
pub(crate) struct AuthFailureLimiter(Mutex<FailureScores>);

impl AuthFailureLimiter {
    /// Returns how credentials from this address are checked. Callers without a known address are not limited.
    pub(crate) fn verify_mode(&self, address: Option<IpAddr>) -> VerifyMode {
        let is_limited =
            address.is_some_and(|address| lock(&self.0).is_over_limit(network_of(address), Instant::now()));
        // Cached keys still work, so that an attack from a shared address does not lock out its other users.
        if is_limited { VerifyMode::CachedOnly } else { VerifyMode::Full }
    }

    /// Counts a wrong credential.
    pub(crate) fn record_failure(&self, address: Option<IpAddr>, cost: FailureCost) {
        if let Some(address) = address {
            lock(&self.0).record(network_of(address), cost, Instant::now());
        }
    }
}

/// The scores of addresses with recent failures.
#[derive(Debug, Default)]
struct FailureScores(HashMap<IpAddr, Score>);

#[derive(Debug, Clone, Copy)]
struct Score {
    value: f64,
    at: Instant,
}

impl Score {
    fn decayed(self, now: Instant) -> f64 {
        let decay = now.saturating_duration_since(self.at).as_secs_f64() * DECAY_PER_SECOND;
        (self.value - decay).max(0.0)
    }
}

impl FailureScores {
    fn record(&mut self, address: IpAddr, cost: FailureCost, now: Instant) {
        if self.0.len() >= MAX_ADDRESSES && !self.0.contains_key(&address) {
            self.drop_decayed(now);
        }
        let score = self.0.entry(address).or_insert(Score { value: 0.0, at: now });
        // At most twice the limit, so that an address is verified again within 10 seconds after the end of a flood.
        let value = (score.decayed(now) + cost.score()).min(2.0 * MAX_SCORE);
        *score = Score { value, at: now };
    }

    fn is_over_limit(&self, address: IpAddr, now: Instant) -> bool {
        self.0.get(&address).is_some_and(|score| score.decayed(now) > MAX_SCORE)
    }

    fn drop_decayed(&mut self, now: Instant) {
        self.0.retain(|_, score| score.decayed(now) > 0.0);
        if self.0.len() >= MAX_ADDRESSES {
            self.0.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn address(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(number).into()
    }

    fn failures(count: usize, cost: FailureCost, now: Instant) -> FailureScores {
        let mut scores = FailureScores::default();
        (0..count).for_each(|_| scores.record(address(1), cost, now));
        scores
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
    fn a_score_decays_after_a_flood() {
        let now = Instant::now();
        let scores = failures(100_000, FailureCost::Key, now);
        assert!(scores.is_over_limit(address(1), now + Duration::from_secs(9)));
        assert!(!scores.is_over_limit(address(1), now + Duration::from_secs(10)));
    }

    #[test]
    fn the_number_of_scores_is_bounded() {
        let now = Instant::now();
        let mut scores = FailureScores::default();
        for number in 0..3 * MAX_ADDRESSES as u32 {
            scores.record(address(number), FailureCost::Key, now);
        }
        assert!(scores.0.len() <= MAX_ADDRESSES);
    }
}
