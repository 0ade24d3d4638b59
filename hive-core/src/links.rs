//! The links of satellites: which satellite has one, and how messages are sent over it.
//!
//! A satellite has at most one live link, the newest. This module knows nothing of what the links carry.

pub(crate) mod unexpected;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use hive_wire::agent::{ToAgent, close};
use hive_wire::stream::Lane;
use hive_wire::{SatelliteId, Timestamp};
use tokio::sync::Notify;

use self::unexpected::{UnexpectedKind, UnexpectedMessages};
use crate::link::{AgentLink, Close, LinkClosed, Outgoing};
use crate::sync::{KeyedMutex, KeyedMutexGuard, lock, read, write};
use crate::{Error, Result};

/// A live link.
#[derive(Clone)]
pub(crate) struct LinkHandle {
    pub(crate) satellite: SatelliteId,
    /// Distinguishes this link from earlier and later links of the satellite.
    pub(crate) epoch: u64,
    /// The journal behind it.
    pub(crate) journal_id: Arc<str>,
    /// The agent process behind it, where the agent reports its id.
    pub(crate) start_id: Option<Arc<str>>,
    /// The address from which it was opened; `None` where it is not known.
    pub(crate) ip: Option<Arc<str>>,
    /// Wakes those who wait for the answer to a ping, also when the link ends.
    answered: Arc<Notify>,
    link: Arc<dyn AgentLink>,
}

impl LinkHandle {
    /// Hands over a message without waiting.
    pub(crate) fn send(&self, message: impl Into<Outgoing>) -> Result<(), LinkClosed> {
        self.link.send(message.into())
    }

    /// Sends a message that the next link makes superfluous, so that it does not matter where this one is closed.
    pub(crate) fn send_best_effort(&self, message: impl Into<Outgoing>) {
        self.send(message).ok();
    }

    /// Notes that the satellite has answered a ping.
    pub(crate) fn on_answer(&self) {
        self.answered.notify_waiters();
    }

    /// Pings the satellite. False where it does not answer in time; true also where the link ends meanwhile.
    async fn is_answering(&self, ping: ToAgent, timeout: Duration) -> bool {
        let mut answered = std::pin::pin!(self.answered.notified());
        // Before the ping is sent: the answer may come before this future is polled.
        answered.as_mut().enable();
        if self.send(ping).is_err() {
            return false;
        }
        tokio::time::timeout(timeout, answered).await.is_ok()
    }

    /// Waits until at least half of the link's room for messages of a lane is free.
    pub(crate) async fn wait_for_capacity(&self, lane: Lane) -> Result<(), LinkClosed> {
        self.link.ready(lane).await
    }

    /// Waits until at least half of the link's room for commands is free, whatever their size.
    pub(crate) async fn wait_for_commands(&self) -> Result<(), LinkClosed> {
        self.link.ready(Lane::Commands).await?;
        self.link.ready(Lane::Bulk).await
    }

    pub(crate) fn close(&self, code: u16, reason: &str) {
        self.end(closed(code, reason));
    }

    pub(crate) fn end(&self, close: Close) {
        self.link.close(close);
    }
}

impl std::fmt::Debug for LinkHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkHandle")
            .field("satellite", &self.satellite)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// A link whose handshake is not accepted yet. Nothing is sent over it but the answer.
#[derive(Clone)]
struct Joining {
    epoch: u64,
    ip: Option<Arc<str>>,
    link: Arc<dyn AgentLink>,
}

#[derive(Default)]
struct LinkTable {
    live: HashMap<SatelliteId, LinkHandle>,
    joining: HashMap<SatelliteId, Joining>,
}

/// All links of this process.
#[derive(Default)]
pub(crate) struct Links {
    table: RwLock<LinkTable>,
    /// What satellites with a link report to be wrong with them.
    problems: RwLock<HashMap<SatelliteId, Vec<String>>>,
    handshakes: KeyedMutex<SatelliteId>,
    /// The process that was last refused beside a satellite, and when that was reported.
    conflicts: Mutex<HashMap<SatelliteId, (Box<str>, Timestamp)>>,
    unexpected: Mutex<UnexpectedMessages>,
    epochs: AtomicU64,
}

impl Links {
    /// Waits until no other handshake of this satellite is being handled.
    pub(crate) async fn lock_handshake(&self, id: SatelliteId) -> KeyedMutexGuard<'_, SatelliteId> {
        self.handshakes.lock(id).await
    }

    /// Registers a link that is not live yet, so that whatever revokes its key from here on closes it.
    pub(crate) fn join(&self, id: SatelliteId, link: Arc<dyn AgentLink>, ip: Option<&str>) -> JoiningLink<'_> {
        let epoch = self.epochs.fetch_add(1, Ordering::Relaxed);
        let joining = Joining { epoch, ip: ip.map(Into::into), link };
        let before = write(&self.table).joining.insert(id, joining);
        if let Some(before) = before {
            before.link.close(closed(close::REPLACED, "a newer link took over"));
        }
        JoiningLink { links: self, id, epoch }
    }

    /// Pings the satellite over its link. True where it answers in time, and still has this link then.
    pub(crate) async fn is_answering(&self, id: SatelliteId, ping: ToAgent, timeout: Duration) -> bool {
        let Some(live) = self.get(id) else { return false };
        let has_answered = live.is_answering(ping, timeout).await;
        // The end of the link wakes this as well, so that being woken alone proves nothing.
        has_answered && self.get(id).is_some_and(|now| now.epoch == live.epoch)
    }

    /// Notes that a process was refused beside the satellite. True where that is to be reported: at most once an interval.
    pub(crate) fn is_new_conflict(&self, id: SatelliteId, start_id: &str, now: Timestamp, interval: Duration) -> bool {
        let mut conflicts = lock(&self.conflicts);
        let is_reported = conflicts
            .get(&id)
            .is_some_and(|(process, reported_at)| **process == *start_id && now.since(*reported_at) < interval);
        if !is_reported {
            conflicts.insert(id, (start_id.into(), now));
        }
        !is_reported
    }

    /// Removes a link, unless a newer one has replaced it. Returns whether the satellite is offline by that.
    pub(crate) fn remove(&self, link: &LinkHandle) -> bool {
        let removed = {
            let mut table = write(&self.table);
            let is_current = table.live.get(&link.satellite).is_some_and(|live| live.epoch == link.epoch);
            if is_current { table.live.remove(&link.satellite) } else { None }
        };
        let Some(removed) = removed else { return false };
        self.set_problems(link.satellite, Vec::new());
        removed.answered.notify_waiters();
        true
    }

    /// Sets what a satellite reports to be wrong with it.
    pub(crate) fn set_problems(&self, id: SatelliteId, reported: Vec<String>) {
        let mut problems = write(&self.problems);
        if reported.is_empty() {
            problems.remove(&id);
        } else {
            problems.insert(id, reported);
        }
    }

    pub(crate) fn problems(&self, id: SatelliteId) -> Vec<String> {
        read(&self.problems).get(&id).cloned().unwrap_or_default()
    }

    pub(crate) fn get(&self, id: SatelliteId) -> Option<LinkHandle> {
        read(&self.table).live.get(&id).cloned()
    }

    pub(crate) fn is_online(&self, id: SatelliteId) -> bool {
        read(&self.table).live.contains_key(&id)
    }

    /// Closes a satellite's link, also one that is not live yet.
    pub(crate) fn close(&self, id: SatelliteId, code: u16, reason: &str) {
        let (live, joining) = {
            let mut table = write(&self.table);
            // Removed, so that `admit` does not find it any more. A live link is removed when it has ended.
            (table.live.get(&id).cloned(), table.joining.remove(&id))
        };
        if let Some(live) = live {
            live.close(code, reason);
        }
        if let Some(joining) = joining {
            joining.link.close(closed(code, reason));
        }
    }

    /// Closes the links of satellites that may not connect from where they are, also those that are not live yet.
    pub(crate) fn close_refused(&self, is_allowed: impl Fn(SatelliteId, Option<&str>) -> bool, reason: &str) {
        let refused: Vec<_> = {
            let table = read(&self.table);
            let live = table.live.values().map(|live| (live.satellite, &live.ip));
            let joining = table.joining.iter().map(|(id, joining)| (*id, &joining.ip));
            live.chain(joining).filter(|(id, ip)| !is_allowed(*id, ip.as_deref())).map(|(id, _)| id).collect()
        };
        for id in refused {
            self.close(id, close::GOING_AWAY, reason);
        }
    }

    /// Closes all links. The satellites are asked to reconnect one after the other, `rate` of them a second.
    pub(crate) fn close_all(&self, reason: &str, rate: u32) {
        for (place, live) in read(&self.table).live.values().enumerate() {
            let retry_after_ms = Some(place as u64 * 1000 / u64::from(rate.max(1)));
            live.link.close(Close { code: close::GOING_AWAY, reason: reason.into(), retry_after_ms });
        }
    }

    /// Notes a message that a satellite had no reason to send.
    ///
    /// # Errors
    /// `InvalidInput` where these are too many: the link is to be closed.
    pub(crate) fn note_unexpected(
        &self,
        satellite: SatelliteId,
        kind: UnexpectedKind,
        about: impl std::fmt::Display,
        now: Timestamp,
    ) -> Result<()> {
        unexpected::note(&self.unexpected, satellite, kind, about, now)
    }

    /// Logs how many unexpected messages of the minutes before were not logged one by one.
    pub(crate) fn log_suppressed_messages(&self, now: Timestamp) {
        unexpected::log_suppressed(&self.unexpected, now);
    }
}

/// A link that is not live yet. Dropped before it is admitted, it is removed.
pub(crate) struct JoiningLink<'l> {
    links: &'l Links,
    id: SatelliteId,
    epoch: u64,
}

impl JoiningLink<'_> {
    /// Makes this the satellite's link and closes the one before. None where it was closed meanwhile.
    pub(crate) fn admit(self, journal_id: Arc<str>, start_id: Option<Arc<str>>) -> Option<LinkHandle> {
        let mut table = write(&self.links.table);
        let joining = table.joining.remove(&self.id)?;
        // A newer link of the satellite is joining: it stays.
        if joining.epoch != self.epoch {
            table.joining.insert(self.id, joining);
            return None;
        }
        let Joining { epoch, ip, link } = joining;
        let live = LinkHandle { satellite: self.id, epoch, journal_id, start_id, ip, answered: Arc::default(), link };
        let before = table.live.insert(self.id, live.clone());
        // The links are foreign code (`AgentLink`), which is not called under the lock.
        drop(table);
        if let Some(before) = before {
            before.close(close::REPLACED, "a newer link took over");
        }
        Some(live)
    }
}

impl Drop for JoiningLink<'_> {
    fn drop(&mut self) {
        let mut table = write(&self.links.table);
        if table.joining.get(&self.id).is_some_and(|joining| joining.epoch == self.epoch) {
            table.joining.remove(&self.id);
        }
    }
}

/// The error of a satellite that breaks the protocol. Its link is to be closed.
pub(crate) fn protocol_violation(rule: impl ToString) -> Error {
    Error::invalid("link", rule.to_string())
}

fn closed(code: u16, reason: &str) -> Close {
    Close { code, reason: reason.into(), retry_after_ms: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{ChannelLink, LinkEnd};
    use hive_wire::id::Seed;

    fn open(links: &Links, id: SatelliteId) -> (LinkHandle, LinkEnd) {
        let (link, end) = ChannelLink::pair();
        (links.join(id, link, None).admit("j".into(), None).unwrap(), end)
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
        let mut delays = Vec::new();
        for end in &mut ends {
            delays.extend(end.next().await.unwrap_err().retry_after_ms);
        }
        delays.sort_unstable();
        assert_eq!(delays, (0..50).map(|place| place * 10).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn an_old_link_never_unregisters_the_new_one() {
        let links = Links::default();
        let id = id(1);
        let (old, mut old_end) = open(&links, id);
        let (new, _new_end) = open(&links, id);
        assert_eq!(old_end.next().await.unwrap_err().code, close::REPLACED);
        assert!(!links.remove(&old));
        assert!(links.is_online(id));
        assert!(links.remove(&new));
        assert!(!links.is_online(id));
    }

    #[tokio::test]
    async fn a_link_that_is_ended_before_it_is_live_never_is() {
        let links = Links::default();
        let (link, mut end) = ChannelLink::pair();
        let joining = links.join(id(1), link, None);
        assert!(!links.is_online(id(1)), "nothing is handed to it yet");
        links.close(id(1), close::AUTH_FAILED, "another key");
        assert!(joining.admit("j".into(), None).is_none());
        assert_eq!(end.next().await.unwrap_err().code, close::AUTH_FAILED);
        let (link, _end) = ChannelLink::pair();
        drop(links.join(id(1), link, None));
        assert!(links.table.read().unwrap().joining.is_empty() && !links.is_online(id(1)));
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
        let (is_there, _) = tokio::join!(ask(), async { links.remove(&live) });
        assert!(!is_there, "it has gone meanwhile");
    }
}
