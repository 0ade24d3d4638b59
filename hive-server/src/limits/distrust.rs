//! Which addresses have shown many wrong credentials lately.
//!
//! A key costs time to check, on purpose. Who shows more wrong ones than a mistake explains is not checked any more, until
//! time has passed; keys that were checked before are still known from the same address, so that one bad program does not
//! lock out its neighbours.

use std::collections::HashMap;
use std::net::IpAddr;

use tokio::time::Instant;

/// What an address may have against it before it is distrusted: about a quarter of a second of checking.
const TOLERATED: f64 = 1000.0;
/// What is forgiven in a second.
const FORGIVEN: f64 = 100.0;
/// Addresses that are remembered. Then those are forgotten that have nothing against them any more, or else all.
const REMEMBERED: usize = 16 * 1024;

/// What somebody did.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Offence {
    /// Showed a wrong key or token.
    Key,
    /// Tried a wrong password, which costs a hundred times as much to check.
    Password,
}

impl Offence {
    fn weight(self) -> f64 {
        match self {
            Self::Key => 1.0,
            Self::Password => 20.0,
        }
    }
}

/// What each address has against it.
#[derive(Debug, Default)]
pub(super) struct Distrust(HashMap<IpAddr, Record>);

#[derive(Debug, Clone, Copy)]
struct Record {
    weight: f64,
    at: Instant,
}

impl Record {
    fn weight_now(self, now: Instant) -> f64 {
        let forgiven = now.saturating_duration_since(self.at).as_secs_f64() * FORGIVEN;
        (self.weight - forgiven).max(0.0)
    }
}

impl Distrust {
    /// Notes an offence.
    pub(super) fn note(&mut self, address: IpAddr, offence: Offence, now: Instant) {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&address) {
            self.make_room(now);
        }
        let record = self.0.entry(address).or_insert(Record { weight: 0.0, at: now });
        // No more than twice what is tolerated, so that a flood is forgiven soon after its end.
        let weight = (record.weight_now(now) + offence.weight()).min(2.0 * TOLERATED);
        *record = Record { weight, at: now };
    }

    /// Whether the address has more against it than is tolerated.
    pub(super) fn is_over(&self, address: IpAddr, now: Instant) -> bool {
        self.0.get(&address).is_some_and(|record| record.weight_now(now) > TOLERATED)
    }

    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, record| record.weight_now(now) > 0.0);
        if self.0.len() >= REMEMBERED {
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

    fn noted(count: usize, offence: Offence, now: Instant) -> Distrust {
        let mut distrust = Distrust::default();
        (0..count).for_each(|_| distrust.note(address(1), offence, now));
        distrust
    }

    #[test]
    fn mistakes_are_tolerated_and_floods_are_not() {
        let now = Instant::now();
        assert!(!noted(1000, Offence::Key, now).is_over(address(1), now));
        assert!(noted(1001, Offence::Key, now).is_over(address(1), now));
        assert!(!noted(50, Offence::Password, now).is_over(address(1), now));
        assert!(noted(51, Offence::Password, now).is_over(address(1), now));
        assert!(!noted(5000, Offence::Key, now).is_over(address(2), now), "another address");
    }

    #[test]
    fn a_flood_is_forgiven_when_it_ends() {
        let now = Instant::now();
        let distrust = noted(100_000, Offence::Key, now);
        assert!(distrust.is_over(address(1), now + Duration::from_secs(9)));
        assert!(!distrust.is_over(address(1), now + Duration::from_secs(10)));
    }

    #[test]
    fn many_addresses_take_no_more_room_than_there_is() {
        let now = Instant::now();
        let mut distrust = Distrust::default();
        for number in 0..3 * REMEMBERED as u32 {
            distrust.note(address(number), Offence::Key, now);
        }
        assert!(distrust.0.len() <= REMEMBERED);
    }
}
