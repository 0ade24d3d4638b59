//! Which satellites have a link now, and by which way they are reached.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use hive_wire::SatelliteId;
use hive_wire::agent::close;

use crate::link::{AgentLink, Close, LinkClosed, Outgoing};

/// One live link.
#[derive(Clone)]
pub(super) struct Live {
    /// Tells this link from the satellite's earlier and later ones.
    pub(super) epoch: u64,
    /// The journal behind it.
    pub(super) journal_id: Arc<str>,
    link: Arc<dyn AgentLink>,
}

impl Live {
    pub(super) fn send(&self, message: Outgoing) -> Result<(), LinkClosed> {
        self.link.send(message)
    }

    /// Sends what the next link would begin anew with: one that is gone need not have it.
    pub(super) fn pass(&self, message: Outgoing) {
        self.send(message).ok();
    }

    pub(super) async fn ready(&self) -> Result<(), LinkClosed> {
        self.link.ready().await
    }

    pub(super) fn close(&self, code: u16, reason: &str) {
        self.link.close(Close { code, reason: reason.into(), retry_after_ms: None });
    }
}

/// All live links. A satellite has at most one: the newest.
#[derive(Default)]
pub(super) struct Links {
    live: RwLock<HashMap<SatelliteId, Live>>,
    /// What satellites with a link say is wrong with them.
    problems: RwLock<HashMap<SatelliteId, Vec<String>>>,
    epochs: AtomicU64,
    events: AtomicU64,
}

impl Links {
    /// Makes this the satellite's link and ends the one before.
    pub(super) fn open(&self, id: SatelliteId, journal_id: Arc<str>, link: Arc<dyn AgentLink>) -> Live {
        let live = Live { epoch: self.epochs.fetch_add(1, Ordering::Relaxed), journal_id, link };
        let before = self.live.write().expect("nothing panics while it holds this lock").insert(id, live.clone());
        if let Some(before) = before {
            before.close(close::REPLACED, "a newer link took over");
        }
        live
    }

    /// Forgets the link, unless a newer one has taken its place. Says whether the satellite is offline by that.
    pub(super) fn forget(&self, id: SatelliteId, epoch: u64) -> bool {
        let mut live = self.live.write().expect("nothing panics while it holds this lock");
        let is_current = live.get(&id).is_some_and(|live| live.epoch == epoch);
        if is_current {
            live.remove(&id);
            self.set_problems(id, Vec::new());
        }
        is_current
    }

    /// Takes a satellite's word on what is wrong with it.
    pub(super) fn set_problems(&self, id: SatelliteId, told: Vec<String>) {
        let mut problems = self.problems.write().expect("nothing panics while it holds this lock");
        if told.is_empty() {
            problems.remove(&id);
        } else {
            problems.insert(id, told);
        }
    }

    pub(super) fn problems(&self, id: SatelliteId) -> Vec<String> {
        self.problems.read().expect("nothing panics while it holds this lock").get(&id).cloned().unwrap_or_default()
    }

    pub(super) fn get(&self, id: SatelliteId) -> Option<Live> {
        self.live.read().expect("nothing panics while it holds this lock").get(&id).cloned()
    }

    pub(super) fn is_online(&self, id: SatelliteId) -> bool {
        self.live.read().expect("nothing panics while it holds this lock").contains_key(&id)
    }

    /// Ends a satellite's link.
    pub(super) fn close(&self, id: SatelliteId, reason: &str) {
        if let Some(live) = self.get(id) {
            live.close(close::GOING_AWAY, reason);
        }
    }

    /// Ends all links, asking the satellites to come back one after the other, `rate` of them a second.
    pub(super) fn close_all(&self, reason: &str, rate: u32) {
        let live = self.live.read().expect("nothing panics while it holds this lock");
        for (place, link) in live.values().enumerate() {
            let retry_after_ms = Some(place as u64 * 1000 / u64::from(rate.max(1)));
            link.link.close(Close { code: close::GOING_AWAY, reason: reason.into(), retry_after_ms });
        }
    }

    /// The number of the next event.
    pub(super) fn next_event(&self) -> u64 {
        self.events.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::ChannelLink;
    use hive_wire::id::Seed;

    #[tokio::test]
    async fn satellites_are_asked_to_come_back_one_after_the_other() {
        let links = Links::default();
        let mut ends = Vec::new();
        for number in 0..50 {
            let (link, end) = ChannelLink::pair();
            links.open(SatelliteId::new(Seed { unix_millis: 1, random: [number; 10] }), "j".into(), link);
            ends.push(end);
        }
        links.close_all("the server stops", 100);
        let mut told = Vec::new();
        for end in &mut ends {
            told.extend(end.next().await.unwrap_err().retry_after_ms);
        }
        told.sort_unstable();
        assert_eq!(told, (0..50).map(|place| place * 10).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn an_old_link_never_unregisters_the_new_one() {
        let links = Links::default();
        let id = SatelliteId::new(Seed { unix_millis: 1, random: [1; 10] });
        let (old, mut old_end) = ChannelLink::pair();
        let old = links.open(id, "j".into(), old);
        let (new, _new_end) = ChannelLink::pair();
        let new = links.open(id, "j".into(), new);
        assert_eq!(old_end.next().await.unwrap_err().code, close::REPLACED);
        assert!(!links.forget(id, old.epoch));
        assert!(links.is_online(id));
        assert!(links.forget(id, new.epoch));
        assert!(!links.is_online(id));
    }
}
