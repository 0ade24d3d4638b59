//! Events of satellites: published once, and read by each subscriber from a position of its own.
//!
//! An event is published after the commit of what it reports. `event` is an event with the satellite's team and tags of that
//! moment, `subjects` where these come from, `bus` the numbered events that are kept, `subscription` the reading of one
//! subscriber. `bus` and `subjects` are plain structs without I/O. Whether a subscriber may see an event is decided by
//! [`may_see`](crate::access::may_see), which reads no database.

mod bus;
mod event;
mod subjects;
mod subscription;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use hive_wire::SatelliteId;
use hive_wire::api::{EventCursor, SatelliteEvent};
use serde_json::Value;
use tokio::sync::watch;

use self::bus::{EventBatch, EventBus};
use self::subjects::Subjects;
use crate::clock::ClockAndRng;
use crate::grants::AccessGrants;
use crate::sync::{read, write};

pub(crate) use event::EventSubject;
pub use event::{EventItem, PublishedEvent};

/// Events that are kept for subscribers that are behind or come back.
const KEPT: usize = 10_000;

/// The events of this process's satellites.
pub(crate) struct Events {
    grants: Arc<AccessGrants>,
    state: RwLock<EventState>,
    /// Marked as changed by every event.
    published: watch::Sender<()>,
}

struct EventState {
    bus: EventBus,
    subjects: Subjects,
}

impl Events {
    pub(crate) fn new(grants: Arc<AccessGrants>, source: &ClockAndRng) -> Self {
        let bus = EventBus::new(u64::from_be_bytes(source.random()), KEPT);
        let state = RwLock::new(EventState { bus, subjects: Subjects::default() });
        Self { grants, state, published: watch::Sender::new(()) }
    }

    /// Notes team and tags of a satellite as they are in the store now. Returns what was noted before. The caller has the
    /// turn of the satellite's row.
    pub(crate) fn note_subject(&self, subject: EventSubject) -> Option<EventSubject> {
        write(&self.state).subjects.insert(subject)
    }

    /// Forgets a satellite that was removed. Returns what was noted of it.
    pub(crate) fn forget_subject(&self, satellite: SatelliteId) -> Option<EventSubject> {
        write(&self.state).subjects.remove(satellite)
    }

    /// Publishes an event of a satellite to those who may see the satellite now. It is fine that nobody subscribes.
    pub(crate) fn publish(&self, satellite: SatelliteId, event: impl FnOnce(u64) -> SatelliteEvent) {
        self.with(|EventState { bus, subjects }| bus.publish(subjects.get(satellite), None, event));
    }

    /// Publishes a change of a satellite's record, and that the satellite is removed to those who lose sight of it by that.
    pub(crate) fn publish_change(&self, before: EventSubject, now: EventSubject, changes: BTreeMap<String, Value>) {
        let id = now.satellite;
        self.with(|EventState { bus, .. }| {
            bus.publish(now.clone(), None, |seq| SatelliteEvent::Updated { seq, id, changes });
            if before != now {
                bus.publish(before, Some(now), |seq| SatelliteEvent::Removed { seq, id });
            }
        });
    }

    /// Publishes that a satellite was removed to those who could see it.
    pub(crate) fn publish_removal(&self, former: EventSubject) {
        let id = former.satellite;
        self.with(|state| state.bus.publish(former, None, |seq| SatelliteEvent::Removed { seq, id }));
    }

    fn with(&self, publish: impl FnOnce(&mut EventState)) {
        publish(&mut write(&self.state));
        self.published.send_replace(());
    }

    fn cursor(&self) -> EventCursor {
        read(&self.state).bus.cursor()
    }

    fn read(&self, position: &mut EventCursor) -> EventBatch {
        read(&self.state).bus.read(position)
    }
}
