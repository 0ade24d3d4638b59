//! How long to wait before the next attempt to reach a server.
//!
//! The ceiling doubles with every attempt up to a cap, and the delay is a random part of it, so that thousands of peers
//! that lost the same server do not come back in step. Pure: the caller supplies the random number.

use std::time::Duration;

/// The first and the largest ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffLimits {
    /// The ceiling of the first delay.
    pub initial: Duration,
    /// The cap of all ceilings.
    pub max: Duration,
}

impl Default for BackoffLimits {
    /// The limits of a satellite: 1 second to 5 minutes.
    fn default() -> Self {
        Self { initial: Duration::from_secs(1), max: Duration::from_mins(5) }
    }
}

/// Counts failed attempts and computes the delay before the next one.
#[derive(Debug, Clone)]
pub struct Backoff {
    limits: BackoffLimits,
    failures: u32,
}

impl Backoff {
    /// A backoff before the first failure.
    pub fn new(limits: BackoffLimits) -> Self {
        Self { limits, failures: 0 }
    }

    /// The delay after one more failure: anything from 0 to the ceiling ("full jitter"). `roll` is a random number from 0
    /// up to 1. For many peers that dial one server.
    pub fn next_delay(&mut self, roll: f64) -> Duration {
        self.next_ceiling().mul_f64(roll.clamp(0.0, 1.0))
    }

    /// The delay after one more failure: at least half of the ceiling ("equal jitter"). For a person who waits and reads
    /// when the next attempt is.
    pub fn next_delay_from_half(&mut self, roll: f64) -> Duration {
        self.next_ceiling().mul_f64(0.5 + roll.clamp(0.0, 1.0) / 2.0)
    }

    /// The delay where the server named a minimum: the minimum plus a jittered part.
    pub fn next_delay_after(&mut self, at_least: Duration, roll: f64) -> Duration {
        at_least + self.next_delay(roll)
    }

    /// The delay after another peer with the same identity took over. It is near the cap, so that two of them do not evict
    /// each other continuously.
    pub fn longest_delay(&self, roll: f64) -> Duration {
        // From half the cap on: with full jitter one of two could come back at once.
        self.limits.max.mul_f64(0.5 + roll.clamp(0.0, 1.0) / 2.0)
    }

    /// Resets the ceiling after an attempt that succeeded.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    fn next_ceiling(&mut self) -> Duration {
        let doubled = self.limits.initial.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        // Beyond 31 doublings the shift would overflow; the cap is reached long before.
        self.failures = (self.failures + 1).min(31);
        doubled.min(self.limits.max)
    }
}
