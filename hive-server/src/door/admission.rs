//! How many satellites may prove who they are: at once, and in a second.
//!
//! After a restart thousands come at the same time. Those that are not let in are told when to try again, each another
//! time, over as long as it takes to let in all that were told so before them.

use std::time::Duration;

use tokio::time::Instant;

/// The part of a second whose handshakes may come all at once.
const BURST_SECONDS: f64 = 0.5;
/// The shortest time to wait.
const SOON: Duration = Duration::from_secs(1);
/// The longest time to spread the waiting over: who waits longer looks lost.
const MAX_SPREAD: Duration = Duration::from_secs(30);

/// Decides who is let in now.
#[derive(Debug)]
pub(super) struct Admission {
    /// Handshakes that may be under way; 0 for any number.
    at_once: usize,
    /// Handshakes of a second; 0 for any number.
    rate: f64,
    under_way: usize,
    /// Handshakes that may begin now.
    credit: f64,
    /// Those that were told to come back and should not have been let in yet.
    waiting: f64,
    looked_at: Instant,
}

impl Admission {
    pub(super) fn new(at_once: usize, rate: u32, now: Instant) -> Self {
        let rate = f64::from(rate);
        let credit = (rate * BURST_SECONDS).max(1.0);
        Self { at_once, rate, under_way: 0, credit, waiting: 0.0, looked_at: now }
    }

    /// Lets somebody in, or says when to come back. `roll` is a random number from 0 up to 1.
    pub(super) fn ask(&mut self, now: Instant, roll: f64) -> Result<(), Duration> {
        self.pass_time(now);
        let is_too_fast = self.rate > 0.0 && self.credit < 1.0;
        let is_crowded = self.at_once > 0 && self.under_way >= self.at_once;
        if is_too_fast || is_crowded {
            self.waiting += 1.0;
            return Err(self.when_to_return(roll));
        }
        self.credit -= 1.0;
        self.under_way += 1;
        Ok(())
    }

    /// Notes that somebody who was let in is done.
    pub(super) fn leave(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    fn pass_time(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.looked_at).as_secs_f64();
        self.looked_at = now;
        self.credit = (self.credit + seconds * self.rate).min((self.rate * BURST_SECONDS).max(1.0));
        self.waiting = (self.waiting - seconds * self.pace()).max(0.0);
    }

    /// Handshakes of a second, where no rate says so as many as may be under way.
    fn pace(&self) -> f64 {
        if self.rate > 0.0 { self.rate } else { self.at_once.max(1) as f64 }
    }

    fn when_to_return(&self, roll: f64) -> Duration {
        let spread = Duration::from_secs_f64((self.waiting / self.pace()).min(MAX_SPREAD.as_secs_f64()));
        SOON + spread.mul_f64(roll)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn let_in(admission: &mut Admission, now: Instant, count: usize) -> usize {
        (0..count).filter(|_| admission.ask(now, 0.5).is_ok()).count()
    }

    #[test]
    fn no_more_than_allowed_are_under_way() {
        let now = Instant::now();
        let mut admission = Admission::new(2, 0, now);
        assert_eq!(let_in(&mut admission, now, 5), 2);
        admission.leave();
        assert_eq!(let_in(&mut admission, now, 5), 1);
    }

    #[test]
    fn no_more_than_the_rate_are_let_in() {
        let now = Instant::now();
        let mut admission = Admission::new(0, 100, now);
        assert_eq!(let_in(&mut admission, now, 1000), 50);
        let later = now + Duration::from_millis(100);
        assert_eq!(let_in(&mut admission, later, 1000), 10);
        let much_later = now + Duration::from_hours(1);
        assert_eq!(let_in(&mut admission, much_later, 1000), 50, "what was not used is not saved up");
    }

    #[test]
    fn zero_is_no_limit() {
        let now = Instant::now();
        assert_eq!(let_in(&mut Admission::new(0, 0, now), now, 10_000), 10_000);
    }

    #[test]
    fn a_crowd_is_spread_over_the_time_it_needs() {
        let now = Instant::now();
        let mut admission = Admission::new(0, 1000, now);
        let_in(&mut admission, now, 10_000);
        let last = admission.ask(now, 1.0).unwrap_err();
        assert_eq!(last.as_secs(), 10, "9,500 wait, and 1,000 are let in a second");
        assert_eq!(admission.ask(now, 0.0).unwrap_err(), SOON);
        // When that time is over, nobody waits any more.
        let later = now + last;
        assert_eq!(let_in(&mut admission, later, 501), 500);
        assert!(admission.ask(later, 1.0).unwrap_err() < SOON + Duration::from_millis(10));
    }

    proptest! {
        #[test]
        fn nobody_waits_for_ever(count in 1usize..5000, rate in 1u32..100, roll in 0.0f64..1.0) {
            let now = Instant::now();
            let mut admission = Admission::new(1, rate, now);
            for _ in 0..count {
                if let Err(wait) = admission.ask(now, roll) {
                    prop_assert!((SOON..=SOON + MAX_SPREAD).contains(&wait));
                }
            }
        }
    }
}
