//! How often one satellite may authenticate. Without this limit, one valid key could use up the rate of the whole server.

use std::collections::HashMap;
use std::time::Duration;

use hive_core::wire::SatelliteId;
use tokio::time::Instant;

/// Authentications that may come in one burst. A satellite behind a link that breaks again and again needs a few.
const BURST: f64 = 100.0;
/// Authentications per second after the burst.
const PER_SECOND: f64 = 10.0;
/// Satellites with a bucket. Above it full buckets are dropped, and all of them where none is full.
const MAX_SATELLITES: usize = 32 * 1024;

/// The authentications that each satellite may still make.
#[derive(Debug, Default)]
pub(super) struct SatelliteRates {
    by_satellite: HashMap<SatelliteId, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Negative if concurrent requests passed the check before the first of them was charged.
    tokens: f64,
    refilled_at: Instant,
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.refilled_at).as_secs_f64();
        self.refilled_at = now;
        self.tokens = (self.tokens + seconds * PER_SECOND).min(BURST);
    }
}

impl SatelliteRates {
    /// Returns when a satellite may authenticate again; `None` if it may do so now.
    pub(super) fn retry_after(&mut self, satellite: SatelliteId, now: Instant) -> Option<Duration> {
        let bucket = self.by_satellite.get_mut(&satellite)?;
        bucket.refill(now);
        (bucket.tokens < 1.0).then(|| Duration::from_secs_f64((1.0 - bucket.tokens) / PER_SECOND))
    }

    /// Counts an authentication that succeeded. A failed one is not counted here: a wrong key must not lock out the satellite
    /// that it names.
    pub(super) fn charge(&mut self, satellite: SatelliteId, now: Instant) {
        if self.by_satellite.len() >= MAX_SATELLITES && !self.by_satellite.contains_key(&satellite) {
            self.drop_full_buckets(now);
        }
        let bucket = self.by_satellite.entry(satellite).or_insert(Bucket { tokens: BURST, refilled_at: now });
        bucket.refill(now);
        // Bounded, so that a satellite that stops its flood is admitted again after a few seconds.
        bucket.tokens = (bucket.tokens - 1.0).max(-BURST);
    }

    fn drop_full_buckets(&mut self, now: Instant) {
        self.by_satellite.retain(|_, bucket| {
            bucket.refill(now);
            bucket.tokens < BURST
        });
        // Memory stays bounded even if all satellites are in debt.
        if self.by_satellite.len() >= MAX_SATELLITES {
            self.by_satellite.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_core::wire::id::Seed;

    fn satellite(number: u32) -> SatelliteId {
        let [a, b, c, d] = number.to_be_bytes();
        SatelliteId::new(Seed { unix_millis: 1, random: [a, b, c, d, 0, 0, 0, 0, 0, 0] })
    }

    /// Authenticates until it is refused. Returns how often that succeeded.
    fn admitted(rates: &mut SatelliteRates, satellite: SatelliteId, now: Instant) -> usize {
        (0..10_000)
            .take_while(|_| {
                let is_admitted = rates.retry_after(satellite, now).is_none();
                if is_admitted {
                    rates.charge(satellite, now);
                }
                is_admitted
            })
            .count()
    }

    #[test]
    fn a_flood_of_one_satellite_leaves_the_others_alone() {
        let (mut rates, now) = (SatelliteRates::default(), Instant::now());
        assert_eq!(admitted(&mut rates, satellite(1), now), 100);
        assert_eq!(admitted(&mut rates, satellite(2), now), 100);
        assert_eq!(admitted(&mut rates, satellite(1), now + Duration::from_secs(2)), 20);
    }

    #[test]
    fn a_refused_satellite_is_told_when_it_may_come_back() {
        let (mut rates, now) = (SatelliteRates::default(), Instant::now());
        // Concurrent requests: all of them were checked before the first was charged.
        (0..1000).for_each(|_| rates.charge(satellite(1), now));
        let retry_after = rates.retry_after(satellite(1), now).unwrap();
        assert!(retry_after < Duration::from_secs(11), "{retry_after:?}");
        assert_eq!(rates.retry_after(satellite(1), now + retry_after + Duration::from_millis(1)), None);
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        let (mut rates, now) = (SatelliteRates::default(), Instant::now());
        for number in 0..3 * MAX_SATELLITES as u32 {
            rates.charge(satellite(number), now);
        }
        assert!(rates.by_satellite.len() <= MAX_SATELLITES);
        rates.charge(satellite(u32::MAX), now + Duration::from_hours(1));
        assert!(rates.by_satellite.len() <= MAX_SATELLITES);
    }
}
