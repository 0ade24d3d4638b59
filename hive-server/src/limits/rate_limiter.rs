//! The one rate limiter of the server: a token bucket for each key, in bounded memory. It has no I/O and no clock.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    per_second: f64,
    /// How often it may happen at once, after a pause.
    burst: f64,
}

impl Rate {
    pub(super) const fn per_second(per_second: f64, burst: f64) -> Self {
        Self { per_second, burst }
    }

    pub(super) fn per_minute(per_minute: u32, burst: u32) -> Self {
        Self { per_second: f64::from(per_minute) / 60.0, burst: f64::from(burst.max(1)) }
    }
}

/// What each key may still do.
#[derive(Debug)]
pub(super) struct RateLimiter<K> {
    buckets: HashMap<K, Bucket>,
    /// Above it full buckets are dropped, and all of them where none is full.
    max_keys: usize,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    rate: Rate,
    /// Negative if more was charged than there was.
    tokens: f64,
    refilled_at: Instant,
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.refilled_at).as_secs_f64();
        self.refilled_at = now;
        self.tokens = (self.tokens + seconds * self.rate.per_second).min(self.rate.burst);
    }
}

impl<K: Copy + Eq + Hash> RateLimiter<K> {
    pub(super) fn new(max_keys: usize) -> Self {
        Self { buckets: HashMap::new(), max_keys }
    }

    /// Charges one token if there is one; otherwise returns when there will be one.
    pub(super) fn admit(&mut self, key: K, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.admit_all(&[(key, rate)], now)
    }

    /// Charges one token to each of these keys if all have one; otherwise charges none, and returns when all will have one.
    pub(super) fn admit_all(&mut self, keys: &[(K, Rate)], now: Instant) -> Result<(), Duration> {
        let waits = keys.iter().filter_map(|(key, _)| self.retry_after(key, 1.0, now)).max();
        if let Some(wait) = waits {
            return Err(wait);
        }
        for (key, rate) in keys {
            self.charge(*key, *rate, 1.0, now);
        }
        Ok(())
    }

    /// Returns when a key will have this many tokens; `None` if it has them now.
    pub(super) fn retry_after(&mut self, key: &K, needed: f64, now: Instant) -> Option<Duration> {
        let bucket = self.buckets.get_mut(key)?;
        bucket.refill(now);
        let missing = needed - bucket.tokens;
        (missing > 0.0).then(|| Duration::from_secs_f64(missing / bucket.rate.per_second))
    }

    /// Charges tokens, also where there are fewer. The debt is bounded by the burst, so that a key recovers soon after a flood.
    pub(super) fn charge(&mut self, key: K, rate: Rate, tokens: f64, now: Instant) {
        if self.buckets.len() >= self.max_keys && !self.buckets.contains_key(&key) {
            self.drop_full_buckets(now);
        }
        let bucket = self.buckets.entry(key).or_insert(Bucket { rate, tokens: rate.burst, refilled_at: now });
        bucket.refill(now);
        // The rate of a key may change while it is in use.
        bucket.rate = rate;
        bucket.tokens = (bucket.tokens - tokens).max(-rate.burst);
    }

    fn drop_full_buckets(&mut self, now: Instant) {
        self.buckets.retain(|_, bucket| {
            bucket.refill(now);
            bucket.tokens < bucket.rate.burst
        });
        // Memory stays bounded even if all keys are in debt.
        if self.buckets.len() >= self.max_keys {
            self.buckets.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate::per_second(10.0, 100.0);

    /// Does it until it is refused. Returns how often that succeeded.
    fn admitted(limiter: &mut RateLimiter<u32>, key: u32, now: Instant) -> usize {
        (0..10_000).take_while(|_| limiter.admit(key, RATE, now).is_ok()).count()
    }

    #[test]
    fn a_flood_of_one_key_leaves_the_others_alone() {
        let (mut limiter, now) = (RateLimiter::new(1000), Instant::now());
        assert_eq!(admitted(&mut limiter, 1, now), 100);
        assert_eq!(admitted(&mut limiter, 2, now), 100);
        assert_eq!(admitted(&mut limiter, 1, now + Duration::from_secs(2)), 20);
    }

    #[test]
    fn a_refused_key_is_told_when_it_may_come_back() {
        let (mut limiter, now) = (RateLimiter::new(1000), Instant::now());
        // Concurrent requests: all of them were checked before the first was charged.
        (0..1000).for_each(|_| limiter.charge(1, RATE, 1.0, now));
        let retry_after = limiter.retry_after(&1, 1.0, now).unwrap();
        assert!(retry_after < Duration::from_secs(11), "{retry_after:?}");
        assert_eq!(limiter.retry_after(&1, 1.0, now + retry_after + Duration::from_millis(1)), None);
    }

    #[test]
    fn a_rate_may_change_while_it_is_in_use() {
        let (mut limiter, now) = (RateLimiter::new(1000), Instant::now());
        assert_eq!(admitted(&mut limiter, 1, now), 100);
        limiter.charge(1, Rate::per_minute(60, 60), 0.0, now);
        assert_eq!(limiter.retry_after(&1, 1.0, now), Some(Duration::from_secs(1)));
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        let (mut limiter, now) = (RateLimiter::new(1000), Instant::now());
        (0..3000).for_each(|key| limiter.charge(key, RATE, 1.0, now));
        assert!(limiter.buckets.len() <= 1000);
        limiter.charge(3000, RATE, 1.0, now + Duration::from_hours(1));
        assert_eq!(limiter.buckets.len(), 1, "the full ones were dropped");
    }
}
