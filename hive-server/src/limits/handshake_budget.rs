//! How many satellites may authenticate: at the same time, and per second.
//!
//! The rate is checked per address before it is checked in all, so that an address with too many attempts is refused at no
//! cost to others. A failed attempt costs its address more and the others nothing. After a restart thousands of satellites
//! connect at the same time: those that are refused get retry delays spread over the time it takes to admit all of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::token_bucket::{HandshakeRate, TokenBucket};

/// What a failed attempt costs its address, in handshakes.
const FAILURE_COST: f64 = 20.0;
/// Addresses with a bucket of their own. Above it full buckets are dropped, and all of them where none is full.
const MAX_ADDRESSES: usize = 16 * 1024;

/// Counts handshakes against the limits.
#[derive(Debug)]
pub(super) struct HandshakeBudget {
    /// Handshakes that may be in progress; 0 for no limit.
    max_concurrent: usize,
    in_progress: usize,
    rate: HandshakeRate,
    total: TokenBucket,
    /// Callers without a known address share one bucket.
    by_address: HashMap<Option<IpAddr>, TokenBucket>,
}

impl HandshakeBudget {
    /// `per_second` is 0 for no limit.
    pub(super) fn new(max_concurrent: usize, per_second: u32, now: Instant) -> Self {
        let rate = HandshakeRate::new(per_second, max_concurrent);
        Self { max_concurrent, in_progress: 0, rate, total: TokenBucket::full(rate, now), by_address: HashMap::new() }
    }

    /// Begins a handshake, or returns when to retry. `jitter` is a random number from 0 up to 1.
    pub(super) fn begin(&mut self, address: Option<IpAddr>, now: Instant, jitter: f64) -> Result<(), Duration> {
        let rate = self.rate;
        self.total.refill(rate, now);
        // The address first: one that is over its rate must take nothing from the total.
        if let Some(bucket) = self.bucket_of(address, now)
            && !bucket.has_token(rate)
        {
            return Err(bucket.retry_after(rate, jitter));
        }
        let is_crowded = self.max_concurrent > 0 && self.in_progress >= self.max_concurrent;
        if is_crowded || !self.total.has_token(rate) {
            return Err(self.total.retry_after(rate, jitter));
        }
        // Taken only by admitted handshakes: a refused caller that keeps trying must not lower the rate.
        self.total.take();
        if let Some(bucket) = self.bucket_of(address, now) {
            bucket.take();
        }
        self.in_progress += 1;
        Ok(())
    }

    /// Charges a failed attempt to its address and refunds the total.
    pub(super) fn charge_failure(&mut self, address: Option<IpAddr>, now: Instant) {
        let rate = self.rate;
        // Failures of one address must not use up the rate of the others.
        self.total.refund(rate);
        if let Some(bucket) = self.bucket_of(address, now) {
            bucket.charge(FAILURE_COST, rate);
        }
    }

    /// Ends a handshake that was begun.
    pub(super) fn end(&mut self) {
        self.in_progress = self.in_progress.saturating_sub(1);
    }

    /// The refilled bucket of an address; `None` where there is no rate limit.
    fn bucket_of(&mut self, address: Option<IpAddr>, now: Instant) -> Option<&mut TokenBucket> {
        let rate = self.rate;
        if !rate.is_limited() {
            return None;
        }
        if self.by_address.len() >= MAX_ADDRESSES && !self.by_address.contains_key(&address) {
            self.drop_full_buckets(now);
        }
        let bucket = self.by_address.entry(address).or_insert_with(|| TokenBucket::full(rate, now));
        bucket.refill(rate, now);
        Some(bucket)
    }

    fn drop_full_buckets(&mut self, now: Instant) {
        let rate = self.rate;
        self.by_address.retain(|_, bucket| {
            bucket.refill(rate, now);
            !bucket.is_full(rate)
        });
        // Memory stays bounded even if all addresses are in debt; the total rate still holds.
        if self.by_address.len() >= MAX_ADDRESSES {
            self.by_address.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::token_bucket::{MAX_RETRY_SPREAD, MIN_RETRY_DELAY};
    use super::*;
    use proptest::prelude::*;

    fn admitted(budget: &mut HandshakeBudget, now: Instant, count: usize) -> usize {
        (0..count).filter(|_| budget.begin(None, now, 0.5).is_ok()).count()
    }

    fn address(number: u32) -> Option<IpAddr> {
        std::net::Ipv4Addr::from_bits(number).to_string().parse().ok()
    }

    /// Makes this many attempts that fail if they are admitted. Returns how many were.
    fn failed(budget: &mut HandshakeBudget, address: Option<IpAddr>, now: Instant, count: usize) -> usize {
        let mut count_failed = 0;
        for _ in 0..count {
            if budget.begin(address, now, 0.5).is_ok() {
                count_failed += 1;
                budget.charge_failure(address, now);
                budget.end();
            }
        }
        count_failed
    }

    #[test]
    fn failed_attempts_cost_their_address_alone() {
        let mut now = Instant::now();
        let mut budget = HandshakeBudget::new(512, 1000, now);
        for _ in 0..10 {
            let count = failed(&mut budget, address(1), now, 10_000);
            assert!((1..=50).contains(&count), "{count} of 10,000 attempts were admitted");
            assert!(budget.begin(address(1), now, 1.0).unwrap_err() > MIN_RETRY_DELAY + Duration::from_secs(5));
            assert!(budget.total.queued < 1.0, "others do not wait for it");
            now += Duration::from_secs(1);
        }
        let others = (2..502).filter(|number| budget.begin(address(*number), now, 0.5).is_ok()).count();
        assert_eq!(others, 500, "the whole burst");
    }

    #[test]
    fn failed_attempts_of_many_addresses_leave_the_rate_to_the_others() {
        let now = Instant::now();
        let mut budget = HandshakeBudget::new(512, 1000, now);
        for number in 0..5000 {
            failed(&mut budget, address(number), now, 100);
        }
        let good = (10_000..10_400).filter(|number| budget.begin(address(*number), now, 0.5).is_ok()).count();
        assert_eq!(good, 400);
    }

    #[test]
    fn an_address_recovers_within_seconds() {
        let now = Instant::now();
        let mut budget = HandshakeBudget::new(512, 1000, now);
        let count = (0..500).filter(|_| budget.begin(address(1), now, 0.5).is_ok()).count();
        (0..count).for_each(|_| budget.charge_failure(address(1), now));
        assert!(budget.begin(address(1), now + Duration::from_millis(900), 0.5).is_err());
        assert!(budget.begin(address(1), now + Duration::from_millis(1100), 0.5).is_ok());
    }

    #[test]
    fn one_address_may_use_the_whole_rate() {
        let now = Instant::now();
        let mut budget = HandshakeBudget::new(0, 1000, now);
        let admit = |budget: &mut HandshakeBudget, now| {
            (0..2000).filter(|_| budget.begin(address(1), now, 0.5).is_ok()).count()
        };
        assert_eq!(admit(&mut budget, now), 500);
        assert_eq!(admit(&mut budget, now + Duration::from_millis(400)), 400);
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        let now = Instant::now();
        let mut budget = HandshakeBudget::new(0, 1000, now);
        for number in 0..3 * MAX_ADDRESSES as u32 {
            failed(&mut budget, address(number), now, 1);
        }
        assert!(budget.by_address.len() <= MAX_ADDRESSES);
        assert!(HandshakeBudget::new(1, 0, now).bucket_of(address(1), now).is_none(), "no rate, no buckets");
    }

    #[test]
    fn concurrent_handshakes_are_limited() {
        let now = Instant::now();
        let mut budget = HandshakeBudget::new(2, 0, now);
        assert_eq!(admitted(&mut budget, now, 5), 2);
        budget.end();
        assert_eq!(admitted(&mut budget, now, 5), 1);
    }

    #[test]
    fn no_more_than_the_rate_are_admitted() {
        let now = Instant::now();
        let mut budget = HandshakeBudget::new(0, 100, now);
        assert_eq!(admitted(&mut budget, now, 1000), 50);
        let later = now + Duration::from_millis(100);
        assert_eq!(admitted(&mut budget, later, 1000), 10);
        let much_later = now + Duration::from_hours(1);
        assert_eq!(admitted(&mut budget, much_later, 1000), 50, "unused tokens above the burst are lost");
    }

    #[test]
    fn zero_is_no_limit() {
        let now = Instant::now();
        assert_eq!(admitted(&mut HandshakeBudget::new(0, 0, now), now, 10_000), 10_000);
    }

    #[test]
    fn refused_callers_are_spread_over_the_time_they_need() {
        let now = Instant::now();
        let mut budget = HandshakeBudget::new(0, 1000, now);
        admitted(&mut budget, now, 10_000);
        let last = budget.begin(None, now, 1.0).unwrap_err();
        assert_eq!(last.as_secs(), 10, "9,500 are queued, and 1,000 are admitted per second");
        assert_eq!(budget.begin(None, now, 0.0).unwrap_err(), MIN_RETRY_DELAY);
        // After that time the queue is empty.
        let later = now + last;
        assert_eq!(admitted(&mut budget, later, 501), 500);
        assert!(budget.begin(None, later, 1.0).unwrap_err() < MIN_RETRY_DELAY + Duration::from_millis(10));
    }

    proptest! {
        #[test]
        fn retry_delays_are_bounded(count in 1usize..5000, rate in 1u32..100, jitter in 0.0f64..1.0) {
            let now = Instant::now();
            let mut budget = HandshakeBudget::new(1, rate, now);
            for _ in 0..count {
                if let Err(wait) = budget.begin(None, now, jitter) {
                    prop_assert!((MIN_RETRY_DELAY..=MIN_RETRY_DELAY + MAX_RETRY_SPREAD).contains(&wait));
                }
            }
        }
    }
}
