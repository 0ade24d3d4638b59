//! How many satellites may prove who they are: at once, and in a second.
//!
//! The rate is counted by address before it is counted for all, so that an address which asks too often is refused without
//! cost to others. A failed attempt costs its address more and the others nothing. After a restart thousands come at the same
//! time. Those that are not let in are told when to try again, each another time, over as long as it takes to let in all
//! that were told so before them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// The part of a second whose handshakes may come all at once.
const BURST_SECONDS: f64 = 0.5;
/// What a failed attempt costs its address, in handshakes.
const FAILURE_COST: f64 = 20.0;
/// The part of a second that an address may owe for its failed attempts.
const DEBT_SECONDS: f64 = 1.0;
/// The shortest time to wait.
const SOON: Duration = Duration::from_secs(1);
/// The longest time to spread the waiting over: who waits longer looks lost.
const MAX_SPREAD: Duration = Duration::from_secs(30);
/// Addresses with a budget of their own. With one more, those that owe nothing are forgotten, or else all.
const MAX_ADDRESSES: usize = 16 * 1024;

/// Decides who is let in now.
#[derive(Debug)]
pub(super) struct Admission {
    /// Handshakes that may be under way; 0 for any number.
    at_once: usize,
    under_way: usize,
    rate: Rate,
    of_all: Budget,
    /// Callers whose address nobody tells count as one.
    of_address: HashMap<Option<IpAddr>, Budget>,
}

impl Admission {
    pub(super) fn new(at_once: usize, rate: u32, now: Instant) -> Self {
        let rate = Rate { per_second: f64::from(rate), at_once: at_once.max(1) as f64 };
        Self { at_once, under_way: 0, rate, of_all: Budget::full(rate, now), of_address: HashMap::new() }
    }

    /// Lets somebody in, or says when to come back. `roll` is a random number from 0 up to 1.
    pub(super) fn ask(&mut self, address: Option<IpAddr>, now: Instant, roll: f64) -> Result<(), Duration> {
        let rate = self.rate;
        self.of_all.pass_time(rate, now);
        if let Some(budget) = self.budget_of(address, now)
            && !budget.has_credit(rate)
        {
            return Err(budget.when_to_return(rate, roll));
        }
        let is_crowded = self.at_once > 0 && self.under_way >= self.at_once;
        if is_crowded || !self.of_all.has_credit(rate) {
            return Err(self.of_all.when_to_return(rate, roll));
        }
        self.of_all.credit -= 1.0;
        if let Some(budget) = self.budget_of(address, now) {
            budget.credit -= 1.0;
        }
        self.under_way += 1;
        Ok(())
    }

    /// Charges an attempt that failed to its address alone.
    pub(super) fn charge_failure(&mut self, address: Option<IpAddr>, now: Instant) {
        let rate = self.rate;
        self.of_all.refund(rate);
        if let Some(budget) = self.budget_of(address, now) {
            budget.credit = (budget.credit - FAILURE_COST).max(-rate.per_second * DEBT_SECONDS);
        }
    }

    /// Notes that somebody who was let in is done.
    pub(super) fn leave(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// The budget of an address as it is now; none where there is no rate to keep to.
    fn budget_of(&mut self, address: Option<IpAddr>, now: Instant) -> Option<&mut Budget> {
        let rate = self.rate;
        if !rate.is_limited() {
            return None;
        }
        if self.of_address.len() >= MAX_ADDRESSES && !self.of_address.contains_key(&address) {
            self.forget_addresses(now);
        }
        let budget = self.of_address.entry(address).or_insert_with(|| Budget::full(rate, now));
        budget.pass_time(rate, now);
        Some(budget)
    }

    fn forget_addresses(&mut self, now: Instant) {
        let rate = self.rate;
        self.of_address.retain(|_, budget| {
            budget.pass_time(rate, now);
            budget.credit < rate.burst()
        });
        if self.of_address.len() >= MAX_ADDRESSES {
            self.of_address.clear();
        }
    }
}

/// How many may come in a second.
#[derive(Debug, Clone, Copy)]
struct Rate {
    /// Handshakes of a second; 0 for any number.
    per_second: f64,
    at_once: f64,
}

impl Rate {
    fn is_limited(self) -> bool {
        self.per_second > 0.0
    }

    fn burst(self) -> f64 {
        (self.per_second * BURST_SECONDS).max(1.0)
    }

    /// Handshakes of a second, where no rate says so as many as may be under way.
    fn pace(self) -> f64 {
        if self.is_limited() { self.per_second } else { self.at_once }
    }
}

/// What is left of a rate.
#[derive(Debug, Clone, Copy)]
struct Budget {
    /// Handshakes that may begin now; below zero for an address whose attempts failed.
    credit: f64,
    /// Those that were told to come back and should not have been let in yet.
    waiting: f64,
    looked_at: Instant,
}

impl Budget {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { credit: rate.burst(), waiting: 0.0, looked_at: now }
    }

    fn pass_time(&mut self, rate: Rate, now: Instant) {
        let seconds = now.saturating_duration_since(self.looked_at).as_secs_f64();
        self.looked_at = now;
        self.credit = (self.credit + seconds * rate.per_second).min(rate.burst());
        self.waiting = (self.waiting - seconds * rate.pace()).max(0.0);
    }

    fn has_credit(&self, rate: Rate) -> bool {
        !rate.is_limited() || self.credit >= 1.0
    }

    fn refund(&mut self, rate: Rate) {
        self.credit = (self.credit + 1.0).min(rate.burst());
    }

    /// Counts one more who has to wait, and says when to come back.
    fn when_to_return(&mut self, rate: Rate, roll: f64) -> Duration {
        self.waiting += 1.0;
        let spread = Duration::from_secs_f64((self.waiting / rate.pace()).min(MAX_SPREAD.as_secs_f64()));
        SOON + spread.mul_f64(roll)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn let_in(admission: &mut Admission, now: Instant, count: usize) -> usize {
        (0..count).filter(|_| admission.ask(None, now, 0.5).is_ok()).count()
    }

    fn address(number: u32) -> Option<IpAddr> {
        std::net::Ipv4Addr::from_bits(number).to_string().parse().ok()
    }

    /// Lets an address ask this often and fail each time it is let in; how often it was.
    fn fail(admission: &mut Admission, address: Option<IpAddr>, now: Instant, count: usize) -> usize {
        let mut failed = 0;
        for _ in 0..count {
            if admission.ask(address, now, 0.5).is_ok() {
                failed += 1;
                admission.charge_failure(address, now);
                admission.leave();
            }
        }
        failed
    }

    #[test]
    fn an_address_that_fails_is_refused_and_costs_the_others_nothing() {
        let mut now = Instant::now();
        let mut admission = Admission::new(512, 1000, now);
        for _ in 0..10 {
            let failed = fail(&mut admission, address(1), now, 10_000);
            assert!((1..=50).contains(&failed), "{failed} of 10,000 attempts were looked at");
            assert!(admission.ask(address(1), now, 1.0).unwrap_err() > SOON + Duration::from_secs(5));
            assert!(admission.of_all.waiting < 1.0, "nobody else waits for it");
            now += Duration::from_secs(1);
        }
        let others = (2..502).filter(|number| admission.ask(address(*number), now, 0.5).is_ok()).count();
        assert_eq!(others, 500, "all that may come at once");
    }

    #[test]
    fn many_addresses_that_fail_leave_the_budget_to_those_who_do_not() {
        let now = Instant::now();
        let mut admission = Admission::new(512, 1000, now);
        for number in 0..5000 {
            fail(&mut admission, address(number), now, 100);
        }
        let good = (10_000..10_400).filter(|number| admission.ask(address(*number), now, 0.5).is_ok()).count();
        assert_eq!(good, 400);
    }

    #[test]
    fn an_address_is_forgiven_within_seconds() {
        let now = Instant::now();
        let mut admission = Admission::new(512, 1000, now);
        let under_way = (0..500).filter(|_| admission.ask(address(1), now, 0.5).is_ok()).count();
        (0..under_way).for_each(|_| admission.charge_failure(address(1), now));
        assert!(admission.ask(address(1), now + Duration::from_millis(900), 0.5).is_err());
        assert!(admission.ask(address(1), now + Duration::from_millis(1100), 0.5).is_ok());
    }

    #[test]
    fn a_fleet_behind_one_address_has_the_whole_rate() {
        let now = Instant::now();
        let mut admission = Admission::new(0, 1000, now);
        let come =
            |admission: &mut Admission, now| (0..2000).filter(|_| admission.ask(address(1), now, 0.5).is_ok()).count();
        assert_eq!(come(&mut admission, now), 500);
        assert_eq!(come(&mut admission, now + Duration::from_millis(400)), 400);
    }

    #[test]
    fn addresses_take_no_more_room_than_there_is() {
        let now = Instant::now();
        let mut admission = Admission::new(0, 1000, now);
        for number in 0..3 * MAX_ADDRESSES as u32 {
            fail(&mut admission, address(number), now, 1);
        }
        assert!(admission.of_address.len() <= MAX_ADDRESSES);
        assert!(Admission::new(1, 0, now).budget_of(address(1), now).is_none(), "no rate, nothing to remember");
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
        let last = admission.ask(None, now, 1.0).unwrap_err();
        assert_eq!(last.as_secs(), 10, "9,500 wait, and 1,000 are let in a second");
        assert_eq!(admission.ask(None, now, 0.0).unwrap_err(), SOON);
        // When that time is over, nobody waits any more.
        let later = now + last;
        assert_eq!(let_in(&mut admission, later, 501), 500);
        assert!(admission.ask(None, later, 1.0).unwrap_err() < SOON + Duration::from_millis(10));
    }

    proptest! {
        #[test]
        fn nobody_waits_for_ever(count in 1usize..5000, rate in 1u32..100, roll in 0.0f64..1.0) {
            let now = Instant::now();
            let mut admission = Admission::new(1, rate, now);
            for _ in 0..count {
                if let Err(wait) = admission.ask(None, now, roll) {
                    prop_assert!((SOON..=SOON + MAX_SPREAD).contains(&wait));
                }
            }
        }
    }
}
