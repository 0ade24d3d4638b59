//! Of which satellites a client hears.

use std::collections::HashSet;

use hive_wire::SatelliteId;
use hive_wire::ui::{InitialSatellites, MAX_SUBSCRIBED, SatelliteSelector};

use crate::{Error, Result};

/// The subscriptions of one client.
#[derive(Debug)]
pub(super) struct SubscriptionFilter {
    /// Whether it hears of all satellites without subscribing.
    hears_all: bool,
    /// Whether it has subscribed to `*`.
    has_all: bool,
    ids: HashSet<SatelliteId>,
}

impl SubscriptionFilter {
    pub(super) fn new(initial: InitialSatellites) -> Self {
        Self { hears_all: initial == InitialSatellites::All, has_all: false, ids: HashSet::new() }
    }

    /// Whether the events of a satellite are for the client.
    pub(super) fn hears(&self, satellite: SatelliteId) -> bool {
        self.hears_all || self.is_subscribed(satellite)
    }

    /// Whether the metrics and commands of a satellite are for the client.
    pub(super) fn is_subscribed(&self, satellite: SatelliteId) -> bool {
        self.has_all || self.ids.contains(&satellite)
    }

    /// Whether it has subscribed to nothing.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_all && self.ids.is_empty()
    }

    /// Whether it hears of the satellites that it has subscribed to, and of no others.
    pub(super) fn is_limited(&self) -> bool {
        !self.hears_all
    }

    /// Subscribes. Returns what is new.
    ///
    /// # Errors
    /// `InvalidInput` where there would be more than [`MAX_SUBSCRIBED`] ids: nothing has changed then.
    pub(super) fn subscribe(&mut self, selectors: &[SatelliteSelector]) -> Result<Vec<SatelliteSelector>> {
        let mut seen = HashSet::new();
        // What is subscribed already is not sent its state again.
        let is_new = |selector: &SatelliteSelector| match selector {
            SatelliteSelector::All => !self.has_all,
            SatelliteSelector::One(id) => !self.ids.contains(id),
        };
        let new: Vec<_> =
            selectors.iter().copied().filter(|selector| is_new(selector) && seen.insert(*selector)).collect();
        let ids = new.iter().filter(|selector| matches!(selector, SatelliteSelector::One(_))).count();
        // Before anything is changed: a refused call leaves the subscriptions as they were.
        if self.ids.len() + ids > MAX_SUBSCRIBED {
            let rule = format!("at most {MAX_SUBSCRIBED} satellites of one socket; subscribe to * for more");
            return Err(Error::invalid("satellites", rule));
        }
        for selector in &new {
            match selector {
                SatelliteSelector::All => self.has_all = true,
                SatelliteSelector::One(id) => drop(self.ids.insert(*id)),
            }
        }
        Ok(new)
    }

    /// Takes subscriptions back. `*` is one of its own.
    pub(super) fn unsubscribe(&mut self, selectors: &[SatelliteSelector]) {
        for selector in selectors {
            match selector {
                SatelliteSelector::All => self.has_all = false,
                SatelliteSelector::One(id) => drop(self.ids.remove(id)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hive_wire::id::Seed;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn satellite(number: u16) -> SatelliteId {
        let mut random = [0; 10];
        random[8..].copy_from_slice(&number.to_be_bytes());
        SatelliteId::new(Seed { unix_millis: 1, random })
    }

    fn one(number: u16) -> SatelliteSelector {
        SatelliteSelector::One(satellite(number))
    }

    #[test]
    fn a_client_of_all_satellites_hears_of_each_and_is_subscribed_to_none() {
        let mut filter = SubscriptionFilter::new(InitialSatellites::All);
        assert!(filter.hears(satellite(1)) && !filter.is_subscribed(satellite(1)) && filter.is_empty());
        filter.subscribe(&[one(1)]).unwrap();
        assert!(filter.is_subscribed(satellite(1)) && !filter.is_subscribed(satellite(2)));
    }

    #[test]
    fn a_star_is_a_subscription_of_its_own() {
        let mut filter = SubscriptionFilter::new(InitialSatellites::None);
        // The same one twice in a call is new once.
        assert_eq!(filter.subscribe(&[SatelliteSelector::All, one(1), one(1)]).unwrap().len(), 2);
        filter.unsubscribe(&[one(1)]);
        assert!(filter.hears(satellite(1)));
        filter.subscribe(&[one(2)]).unwrap();
        filter.unsubscribe(&[SatelliteSelector::All]);
        assert!(!filter.hears(satellite(1)) && filter.hears(satellite(2)));
    }

    #[test]
    fn the_ids_of_a_socket_are_bounded() {
        let mut filter = SubscriptionFilter::new(InitialSatellites::None);
        let many: Vec<_> = (0..MAX_SUBSCRIBED as u16).map(one).collect();
        assert_eq!(filter.subscribe(&many).unwrap().len(), MAX_SUBSCRIBED);
        assert!(filter.subscribe(&many).unwrap().is_empty(), "nothing is new");
        let error = filter.subscribe(&[one(u16::MAX), SatelliteSelector::All]).unwrap_err();
        assert!(matches!(error, Error::InvalidInput { ref field, .. } if field == "satellites"), "{error}");
        assert!(!filter.hears(satellite(u16::MAX)), "nothing has changed");
        filter.subscribe(&[SatelliteSelector::All]).unwrap();
    }

    proptest! {
        #[test]
        fn the_last_word_about_a_satellite_counts(steps in vec((any::<bool>(), 0_u16..8), 0..60)) {
            let mut filter = SubscriptionFilter::new(InitialSatellites::None);
            let mut expected = [false; 8];
            for (is_subscribe, number) in steps {
                // The last number stands for the star.
                let selector = if number == 7 { SatelliteSelector::All } else { one(number) };
                if is_subscribe {
                    filter.subscribe(&[selector]).unwrap();
                } else {
                    filter.unsubscribe(&[selector]);
                }
                expected[usize::from(number)] = is_subscribe;
            }
            for number in 0..7 {
                prop_assert_eq!(filter.hears(satellite(number)), expected[7] || expected[usize::from(number)]);
            }
            prop_assert_eq!(filter.is_empty(), !expected.contains(&true));
        }
    }
}
