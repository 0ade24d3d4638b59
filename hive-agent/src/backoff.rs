//! How long to wait before the next attempt to reach the server.
//!
//! The ceiling doubles with every attempt up to a cap; the delay is anything below the ceiling (full jitter), so that
//! thousands of satellites that lost the same server do not come back in step. Pure: the caller brings the randomness.

use std::time::Duration;

/// The first and the largest ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The ceiling of the first delay.
    pub initial: Duration,
    /// The cap of all ceilings.
    pub max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { initial: Duration::from_secs(1), max: Duration::from_mins(5) }
    }
}

/// Counts the attempts that failed.
#[derive(Debug, Clone)]
pub struct Backoff {
    limits: Limits,
    failures: u32,
}

impl Backoff {
    /// Nothing has failed yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, failures: 0 }
    }

    /// The delay after one more failure. `roll` is a random number from 0 up to 1.
    pub fn next_delay(&mut self, roll: f64) -> Duration {
        let doubled = self.limits.initial.saturating_mul(1u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = (self.failures + 1).min(31);
        doubled.min(self.limits.max).mul_f64(roll.clamp(0.0, 1.0))
    }

    /// The delay where the server named the shortest one: that, and a jittered part on top.
    pub fn next_delay_after(&mut self, at_least: Duration, roll: f64) -> Duration {
        at_least + self.next_delay(roll)
    }

    /// The delay after another agent with the same identity took over: about the cap, so that two of them do not throw
    /// each other out all the time.
    pub fn longest_delay(&self, roll: f64) -> Duration {
        self.limits.max.mul_f64(0.5 + roll.clamp(0.0, 1.0) / 2.0)
    }

    /// Forgets the failures: the link was up.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ceilings(count: usize) -> Vec<u64> {
        let mut backoff = Backoff::new(Limits::default());
        (0..count).map(|_| backoff.next_delay(1.0).as_secs()).collect()
    }

    #[test]
    fn ceilings_double_up_to_the_cap() {
        assert_eq!(ceilings(11), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(*ceilings(100).last().unwrap(), 300);
    }

    #[test]
    fn a_link_that_was_up_starts_over() {
        let mut backoff = Backoff::new(Limits::default());
        backoff.next_delay(1.0);
        backoff.next_delay(1.0);
        backoff.reset();
        assert_eq!(backoff.next_delay(1.0), Duration::from_secs(1));
    }

    #[test]
    fn the_servers_delay_is_a_floor() {
        let mut backoff = Backoff::new(Limits::default());
        assert_eq!(backoff.next_delay_after(Duration::from_secs(7), 0.5), Duration::from_millis(7_500));
    }

    proptest! {
        #[test]
        fn jitter_covers_everything_below_the_ceiling(failures in 0usize..200, roll in 0.0f64..1.0) {
            let mut backoff = Backoff::new(Limits::default());
            for _ in 0..failures {
                backoff.next_delay(roll);
            }
            let ceiling = backoff.clone().next_delay(1.0);
            prop_assert_eq!(backoff.next_delay(roll), ceiling.mul_f64(roll));
            prop_assert!(ceiling <= Duration::from_mins(5));
        }
    }
}
