//! Events of satellites, and the latest state of what changes often: published once, and read by each subscriber from a position
//! of its own.
//!
//! An event is published after the commit of what it reports. `event` is an event with the satellite's team and tags of that
//! moment, `subjects` where these come from, `bus` the numbered events that are kept, `subscription` the reading of one
//! subscriber. `state` is the state of a satellite's machine, a session, a command or a job, and `latest` keeps the latest of each.
//! `bus`, `subjects` and `latest` are plain structs without I/O. Whether a subscriber may see an event is decided by
//! [`may_see`](crate::access::may_see), which reads no database.

mod bus;
mod event;
mod latest;
mod state;
mod subjects;
mod subscription;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use hive_wire::api::{EventCursor, JobCounts, JobStatus, SatelliteEvent};
use hive_wire::ui::{SatelliteMetrics, UiEvent};
use hive_wire::{CommandId, JobId, SatelliteId, SessionId, TeamId};
use serde_json::Value;
use tokio::sync::watch;

use self::bus::EventBus;
use self::latest::LatestLog;
use self::state::{KEPT_WORK, WorkKey};
use self::subjects::Subjects;
use crate::access::Permission;
use crate::clock::ClockAndRng;
use crate::grants::AccessGrants;
use crate::sync::{read, write};

pub(crate) use bus::EventBatch;
pub(crate) use event::EventSubject;
pub use event::{EventItem, PublishedEvent};
pub(crate) use latest::LatestBatch;
pub(crate) use state::{MetricsState, WorkState};

/// Events that are kept for subscribers that are behind or come back.
const KEPT: usize = 10_000;
/// Bytes of the JSON of the events that are kept. Satellites decide how long their texts are.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// The events of this process's satellites.
pub(crate) struct Events {
    grants: Arc<AccessGrants>,
    state: RwLock<EventState>,
    /// Marked as changed by every event.
    published: watch::Sender<()>,
    /// Apart from the events: there are far more of these, and their readers come in steps.
    latest: RwLock<LatestStates>,
    /// Marked as changed by every state.
    state_changed: watch::Sender<()>,
}

struct EventState {
    bus: EventBus,
    subjects: Subjects,
}

struct LatestStates {
    /// Bounded by the number of satellites.
    metrics: LatestLog<SatelliteId, MetricsState>,
    work: LatestLog<WorkKey, WorkState>,
}

impl LatestStates {
    /// Replaces a state, unless it is one that comes after the new one: reports of a command come from several tasks.
    fn insert_work(&mut self, key: WorkKey, state: WorkState) {
        if self.work.get(key).is_none_or(|before| state.may_follow(&before)) {
            self.work.insert(key, state);
        }
    }
}

/// The positions of a reader in the latest states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StatePositions {
    pub(crate) metrics: u64,
    pub(crate) work: u64,
}

impl Events {
    pub(crate) fn new(grants: Arc<AccessGrants>, source: &ClockAndRng) -> Self {
        let bus = EventBus::new(u64::from_be_bytes(source.random()), KEPT, KEPT_BYTES);
        let state = RwLock::new(EventState { bus, subjects: Subjects::default() });
        let latest = LatestStates { metrics: LatestLog::new(usize::MAX), work: LatestLog::new(KEPT_WORK) };
        let (published, state_changed) = (watch::Sender::new(()), watch::Sender::new(()));
        Self { grants, state, published, latest: RwLock::new(latest), state_changed }
    }

    /// Notes team and tags of a satellite as they are in the store now. Returns what was noted before. The caller has the
    /// turn of the satellite's row.
    pub(crate) fn note_subject(&self, subject: EventSubject) -> Option<EventSubject> {
        write(&self.state).subjects.insert(subject)
    }

    /// Forgets a satellite that was removed. Returns what was noted of it.
    pub(crate) fn forget_subject(&self, satellite: SatelliteId) -> Option<EventSubject> {
        write(&self.latest).metrics.remove(satellite);
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

    /// Notes what a satellite of this team has just reported of its machine.
    pub(crate) fn note_metrics(&self, team: Option<TeamId>, metrics: SatelliteMetrics) {
        // A heartbeat may come after the removal of its satellite, which nothing would forget again.
        if !read(&self.state).subjects.contains(metrics.id) {
            return;
        }
        let subject = self.subject_of(metrics.id, team);
        self.note(|latest| latest.metrics.insert(metrics.id, MetricsState::new(metrics, subject)));
    }

    /// Notes that a session of this team was opened or has ended.
    pub(crate) fn note_session(&self, id: SessionId, satellite: SatelliteId, team: Option<TeamId>, event: UiEvent) {
        let state = WorkState::of_satellite(event, self.subject_of(satellite, team), Permission::SessionsOpen);
        self.note(|latest| latest.insert_work(WorkKey::Session(id), state));
    }

    /// Notes the status of a command of this team. Whoever sees the satellite sees it: there is nothing in it of what was run.
    pub(crate) fn note_command(&self, id: CommandId, satellite: SatelliteId, team: Option<TeamId>, event: UiEvent) {
        let state = WorkState::of_satellite(event, self.subject_of(satellite, team), Permission::SatellitesRead);
        self.note(|latest| latest.insert_work(WorkKey::Command(id), state));
    }

    /// Notes how far a job is. `teams` are those of all of its satellites.
    pub(crate) fn note_job(&self, id: JobId, teams: Arc<[Option<TeamId>]>, status: JobStatus, counts: JobCounts) {
        let state = WorkState::of_job(id, teams, status, counts);
        self.note(|latest| latest.insert_work(WorkKey::Job(id), state));
    }

    /// A satellite with the team that what is noted belongs to, which may not be its team any more, and its tags of now.
    fn subject_of(&self, satellite: SatelliteId, team: Option<TeamId>) -> EventSubject {
        EventSubject { team, ..read(&self.state).subjects.get(satellite) }
    }

    fn note(&self, change: impl FnOnce(&mut LatestStates)) {
        change(&mut write(&self.latest));
        self.state_changed.send_replace(());
    }

    /// Returns the positions behind the latest states.
    pub(crate) fn state_positions(&self) -> StatePositions {
        let latest = read(&self.latest);
        StatePositions { metrics: latest.metrics.position(), work: latest.work.position() }
    }

    /// Returns metrics behind a position, and moves the position behind them.
    pub(crate) fn read_metrics(&self, position: &mut u64, limit: usize) -> LatestBatch<MetricsState> {
        read(&self.latest).metrics.read(position, limit)
    }

    /// Returns the latest metrics of a satellite.
    pub(crate) fn latest_metrics(&self, satellite: SatelliteId) -> Option<Arc<MetricsState>> {
        read(&self.latest).metrics.get(satellite)
    }

    /// Returns sessions, commands and jobs behind a position, and moves the position behind them.
    pub(crate) fn read_work(&self, position: &mut u64, limit: usize) -> LatestBatch<WorkState> {
        read(&self.latest).work.read(position, limit)
    }

    /// Wakes with every event.
    pub(crate) fn watch_events(&self) -> watch::Receiver<()> {
        self.published.subscribe()
    }

    /// Wakes with every state.
    pub(crate) fn watch_states(&self) -> watch::Receiver<()> {
        self.state_changed.subscribe()
    }

    fn with(&self, publish: impl FnOnce(&mut EventState)) {
        publish(&mut write(&self.state));
        self.published.send_replace(());
    }

    /// Returns the position behind the last event.
    pub(crate) fn cursor(&self) -> EventCursor {
        read(&self.state).bus.cursor()
    }

    /// Returns the next events behind a position, and moves the position behind them.
    pub(crate) fn read(&self, position: &mut EventCursor) -> EventBatch {
        read(&self.state).bus.read(position)
    }
}
