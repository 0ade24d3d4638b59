//! Which satellites have a link now, and by which way they are reached.

pub(crate) mod unexpected;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use hive_wire::agent::{ToAgent, close};
use hive_wire::{SatelliteId, Timestamp};
use tokio::sync::{Notify, OwnedMutexGuard};

use crate::commands::queue::LinkQueue;
use crate::link::{AgentLink, Close, LinkClosed, Outgoing};

/// One live link.
#[derive(Clone)]
pub(crate) struct Live {
    /// Tells this link from the satellite's earlier and later ones.
    pub(crate) epoch: u64,
    /// The journal behind it.
    pub(crate) journal_id: Arc<str>,
    /// The process behind it, where it tells.
    pub(crate) start_id: Option<Arc<str>>,
    /// Woken by the answer to a ping, and by the end of the link.
    answered: Arc<Notify>,
    /// The commands that wait for it.
    pub(crate) queue: Arc<LinkQueue>,
    link: Arc<dyn AgentLink>,
}

impl Live {
    pub(crate) fn send(&self, message: Outgoing) -> Result<(), LinkClosed> {
        self.link.send(message)
    }

    /// Sends what the next link would begin anew with: one that is gone need not have it.
    pub(crate) fn pass(&self, message: Outgoing) {
        self.send(message).ok();
    }

    /// Notes that the satellite has answered a ping.
    pub(crate) fn on_answer(&self) {
        self.answered.notify_waiters();
    }

    /// Asks whether somebody is there. False where nobody answers in time; also true where the link ends meanwhile.
    async fn is_answering(&self, ping: ToAgent, patience: Duration) -> bool {
        let mut answered = std::pin::pin!(self.answered.notified());
        answered.as_mut().enable();
        if self.send(Outgoing::Control(ping)).is_err() {
            return false;
        }
        tokio::time::timeout(patience, answered).await.is_ok()
    }

    pub(crate) async fn ready(&self) -> Result<(), LinkClosed> {
        self.link.ready().await
    }

    pub(crate) fn close(&self, code: u16, reason: &str) {
        self.link.close(closed(code, reason));
    }
}

/// A link whose satellite is not taken in yet. Nothing is sent over it but its answer.
#[derive(Clone)]
struct Joining {
    epoch: u64,
    link: Arc<dyn AgentLink>,
}

/// All links: those that are live, and those that are about to be. Of each a satellite has at most one.
#[derive(Default)]
struct Known {
    live: HashMap<SatelliteId, Live>,
    joining: HashMap<SatelliteId, Joining>,
}

/// All live links. A satellite has at most one: the newest.
#[derive(Default)]
pub(crate) struct Links {
    /// What satellites with a link say is wrong with them.
    problems: RwLock<HashMap<SatelliteId, Vec<String>>>,
    known: RwLock<Known>,
    turns: Mutex<HashMap<SatelliteId, Arc<tokio::sync::Mutex<()>>>>,
    /// The process that was last refused beside a satellite, and when that was told.
    conflicts: Mutex<HashMap<SatelliteId, (Box<str>, Timestamp)>>,
    epochs: AtomicU64,
    events: AtomicU64,
}

impl Links {
    /// Waits until no other handshake of this satellite is being looked at.
    pub(crate) async fn turn(&self, id: SatelliteId) -> Turn<'_> {
        let mutex = {
            let mut turns = self.turns.lock().expect("nothing panics while it holds this lock");
            turns.entry(id).or_default().clone()
        };
        Turn { links: self, id, guard: Some(mutex.lock_owned().await) }
    }

    /// Registers a link that is not live yet, so that whoever kills its key from here on ends it.
    pub(crate) fn join(&self, id: SatelliteId, link: Arc<dyn AgentLink>) -> JoiningLink<'_> {
        let epoch = self.epochs.fetch_add(1, Ordering::Relaxed);
        let before = self.write().joining.insert(id, Joining { epoch, link });
        if let Some(before) = before {
            before.link.close(closed(close::REPLACED, "a newer link took over"));
        }
        JoiningLink { links: self, id, epoch }
    }

    /// Asks the satellite's link for a sign of life. True where it answers within `patience`, and is still there then.
    pub(crate) async fn is_answering(&self, id: SatelliteId, ping: ToAgent, patience: Duration) -> bool {
        let Some(live) = self.get(id) else { return false };
        let has_answered = live.is_answering(ping, patience).await;
        has_answered && self.get(id).is_some_and(|now| now.epoch == live.epoch)
    }

    /// Notes that a process was refused beside the satellite. True where that is to be told: at most once an interval.
    pub(crate) fn is_new_conflict(&self, id: SatelliteId, start_id: &str, now: Timestamp, interval: Duration) -> bool {
        let mut conflicts = self.conflicts.lock().expect("nothing panics while it holds this lock");
        let is_told = conflicts.get(&id).is_some_and(|(told, at)| **told == *start_id && now < at.plus(interval));
        if !is_told {
            conflicts.insert(id, (start_id.into(), now));
        }
        !is_told
    }

    /// Forgets the link, unless a newer one has taken its place. Says whether the satellite is offline by that.
    pub(crate) fn forget(&self, id: SatelliteId, epoch: u64) -> bool {
        let mut known = self.write();
        let is_current = known.live.get(&id).is_some_and(|live| live.epoch == epoch);
        let forgotten = if is_current { known.live.remove(&id) } else { None };
        drop(known);
        if let Some(forgotten) = forgotten {
            self.set_problems(id, Vec::new());
            forgotten.answered.notify_waiters();
        }
        is_current
    }

    /// Takes a satellite's word on what is wrong with it.
    pub(crate) fn set_problems(&self, id: SatelliteId, told: Vec<String>) {
        let mut problems = self.problems.write().expect("nothing panics while it holds this lock");
        if told.is_empty() {
            problems.remove(&id);
        } else {
            problems.insert(id, told);
        }
    }

    pub(crate) fn problems(&self, id: SatelliteId) -> Vec<String> {
        self.problems.read().expect("nothing panics while it holds this lock").get(&id).cloned().unwrap_or_default()
    }

    pub(crate) fn get(&self, id: SatelliteId) -> Option<Live> {
        self.read().live.get(&id).cloned()
    }

    pub(crate) fn is_online(&self, id: SatelliteId) -> bool {
        self.read().live.contains_key(&id)
    }

    /// Ends a satellite's link, also one that is not live yet.
    pub(crate) fn close(&self, id: SatelliteId, code: u16, reason: &str) {
        let (live, joining) = {
            let mut known = self.write();
            (known.live.get(&id).cloned(), known.joining.remove(&id))
        };
        if let Some(live) = live {
            live.close(code, reason);
        }
        if let Some(joining) = joining {
            joining.link.close(closed(code, reason));
        }
    }

    /// Ends all links, asking the satellites to come back one after the other, `rate` of them a second.
    pub(crate) fn close_all(&self, reason: &str, rate: u32) {
        for (place, link) in self.read().live.values().enumerate() {
            let retry_after_ms = Some(place as u64 * 1000 / u64::from(rate.max(1)));
            link.link.close(Close { code: close::GOING_AWAY, reason: reason.into(), retry_after_ms });
        }
    }

    /// The number of the next event.
    pub(crate) fn next_event(&self) -> u64 {
        self.events.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().expect("nothing panics while it holds this lock")
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().expect("nothing panics while it holds this lock")
    }
}

/// A link on its way to be live. Dropped before, it is forgotten.
pub(crate) struct JoiningLink<'l> {
    links: &'l Links,
    id: SatelliteId,
    epoch: u64,
}

impl JoiningLink<'_> {
    /// Makes this the satellite's link and ends the one before. None where it was ended meanwhile.
    pub(crate) fn admit(self, journal_id: Arc<str>, start_id: Option<Arc<str>>, capacity: Option<u32>) -> Option<Live> {
        let mut known = self.links.write();
        let joining = known.joining.remove(&self.id)?;
        if joining.epoch != self.epoch {
            known.joining.insert(self.id, joining);
            return None;
        }
        let Joining { epoch, link } = joining;
        let queue = Arc::new(LinkQueue::new(capacity));
        let live = Live { epoch, journal_id, start_id, answered: Arc::default(), queue, link };
        let before = known.live.insert(self.id, live.clone());
        drop(known);
        if let Some(before) = before {
            before.close(close::REPLACED, "a newer link took over");
        }
        Some(live)
    }
}

impl Drop for JoiningLink<'_> {
    fn drop(&mut self) {
        let mut known = self.links.write();
        if known.joining.get(&self.id).is_some_and(|joining| joining.epoch == self.epoch) {
            known.joining.remove(&self.id);
        }
    }
}

/// The right to look at a handshake of this satellite. The next one waits for its end.
pub(crate) struct Turn<'l> {
    links: &'l Links,
    id: SatelliteId,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = self.links.turns.lock().expect("nothing panics while it holds this lock");
        drop(self.guard.take());
        // Nobody else holds or awaits it: under the lock of the map nobody can begin to.
        if turns.get(&self.id).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            turns.remove(&self.id);
        }
    }
}

fn closed(code: u16, reason: &str) -> Close {
    Close { code, reason: reason.into(), retry_after_ms: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{ChannelLink, LinkEnd};
    use hive_wire::id::Seed;

    fn open(links: &Links, id: SatelliteId) -> (Live, LinkEnd) {
        let (link, end) = ChannelLink::pair();
        (links.join(id, link).admit("j".into(), None, None).unwrap(), end)
    }

    fn id(number: u8) -> SatelliteId {
        SatelliteId::new(Seed { unix_millis: 1, random: [number; 10] })
    }

    #[tokio::test]
    async fn satellites_are_asked_to_come_back_one_after_the_other() {
        let links = Links::default();
        let mut ends = Vec::new();
        for number in 0..50 {
            ends.push(open(&links, id(number)).1);
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
        let id = id(1);
        let (old, mut old_end) = open(&links, id);
        let (new, _new_end) = open(&links, id);
        assert_eq!(old_end.next().await.unwrap_err().code, close::REPLACED);
        assert!(!links.forget(id, old.epoch));
        assert!(links.is_online(id));
        assert!(links.forget(id, new.epoch));
        assert!(!links.is_online(id));
    }

    #[tokio::test]
    async fn a_link_that_is_ended_before_it_is_live_never_is() {
        let links = Links::default();
        let (link, mut end) = ChannelLink::pair();
        let joining = links.join(id(1), link);
        assert!(!links.is_online(id(1)), "nothing is handed to it yet");
        links.close(id(1), close::AUTH_FAILED, "another key");
        assert!(joining.admit("j".into(), None, None).is_none());
        assert_eq!(end.next().await.unwrap_err().code, close::AUTH_FAILED);
        let (link, _end) = ChannelLink::pair();
        drop(links.join(id(1), link));
        assert!(links.read().joining.is_empty() && !links.is_online(id(1)));
    }

    #[tokio::test]
    async fn handshakes_of_one_satellite_are_looked_at_one_by_one() {
        let links = Links::default();
        let first = links.turn(id(1)).await;
        drop(links.turn(id(2)).await);
        let waiting = links.turn(id(1));
        let mut waiting = std::pin::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        drop(first);
        drop(waiting.await);
        assert!(links.turns.lock().unwrap().is_empty(), "nothing is left of them");
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_answers_or_it_does_not() {
        let links = Links::default();
        let ping = || ToAgent::HeartbeatPing { timestamp: Timestamp::from_micros(0), sent_at: None };
        let ask = || links.is_answering(id(1), ping(), Duration::from_secs(2));
        assert!(!ask().await, "there is none");
        let (live, _end) = open(&links, id(1));
        assert!(!ask().await, "it is silent");
        let (is_there, ()) = tokio::join!(ask(), async { live.on_answer() });
        assert!(is_there);
        let (is_there, _) = tokio::join!(ask(), async { links.forget(id(1), live.epoch) });
        assert!(!is_there, "it has gone meanwhile");
    }
}
