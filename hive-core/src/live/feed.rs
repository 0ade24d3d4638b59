//! The stream of one client.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hive_wire::SatelliteId;
use hive_wire::api::EventCursor;
use hive_wire::ui::{
    CHANGED_INTERVAL_MS, InitialSatellites, MAX_SATELLITES, STATE_INTERVAL_MS, SatelliteSelector, UiEvent,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Live;
use super::filter::SubscriptionFilter;
use super::message::LiveMessage;
use super::pages::InitialPages;
use super::steps::{ChangeReports, StateSteps};
use crate::access::{Permission, Principal, may_see, visible_scope};
use crate::events::{EventBatch, StatePositions, WorkState};
use crate::grants::GrantGuard;
use crate::{Error, Result};

/// Sessions, commands and jobs that are read in one step. More wait for the next one.
const WORK_PER_STEP: usize = 256;

/// The stream of one client: the satellites that it may see, and then what changes. It ends when the right of the client ends.
///
/// Messages wait here only until they are taken, and nothing is read before that: a client that does not take them keeps its position
/// in the events of the hive, until a `resync` moves it.
pub struct LiveFeed {
    live: Arc<Live>,
    principal: Principal,
    grant: Arc<GrantGuard>,
    filter: SubscriptionFilter,
    pages: InitialPages,
    /// Messages of the events that were read last.
    ready: VecDeque<LiveMessage>,
    published: watch::Receiver<()>,
    position: EventCursor,
    state_changed: watch::Receiver<()>,
    states: StatePositions,
    steps: StateSteps,
    changes: ChangeReports,
    /// Satellites whose latest metrics the client is to get, because it has just subscribed to them.
    unsent_metrics: VecDeque<SatelliteId>,
}

/// The end of the right by which a feed was opened. What the client does besides reading has to end with it too.
#[derive(Debug)]
pub struct FeedEnd {
    grant: Arc<GrantGuard>,
}

impl FeedEnd {
    /// Waits until the right has ended, and returns the error of [`LiveFeed::next`]. Cancel-safe.
    pub async fn wait(&self) -> Error {
        self.grant.revoked().await.into()
    }
}

impl LiveFeed {
    pub(super) fn new(
        live: Arc<Live>,
        principal: Principal,
        grant: GrantGuard,
        initial: InitialSatellites,
        (position, states): (EventCursor, StatePositions),
        pages: InitialPages,
    ) -> Self {
        let (mut published, mut state_changed) = (live.events.watch_events(), live.events.watch_states());
        // What happened between the positions and now is read with the first look.
        published.mark_changed();
        state_changed.mark_changed();
        Self {
            live,
            principal,
            grant: Arc::new(grant),
            filter: SubscriptionFilter::new(initial),
            pages,
            ready: VecDeque::new(),
            published,
            position,
            state_changed,
            states,
            steps: StateSteps::new(Duration::from_millis(STATE_INTERVAL_MS)),
            changes: ChangeReports::new(Duration::from_millis(CHANGED_INTERVAL_MS)),
            unsent_metrics: VecDeque::new(),
        }
    }

    /// Waits for the next message. Cancel-safe.
    ///
    /// # Errors
    /// `AuthInvalid` when the credential is not valid any more, `Unavailable` when the caller's rights have changed or the hive stops.
    /// The feed has ended then.
    pub async fn next(&mut self) -> Result<LiveMessage> {
        loop {
            // Before each message: what was read before a right was lost is not sent after it.
            self.grant.check()?;
            if !self.pages.are_over() {
                // Events come behind the satellites that they are about.
                return self.pages.next(&self.live, &self.principal).await;
            }
            if let Some(message) = self.ready.pop_front() {
                return Ok(message);
            }
            self.read_events();
            self.read_states(Instant::now());
            if self.ready.is_empty() {
                match self.report_changes().await? {
                    Some(message) => return Ok(message),
                    None => self.wait().await?,
                }
            }
        }
    }

    /// Returns what tells when the right of the client ends, also while no message is taken.
    pub fn end(&self) -> FeedEnd {
        FeedEnd { grant: self.grant.clone() }
    }

    /// Subscribes to satellites. What the client has not subscribed to before follows with its latest metrics.
    ///
    /// # Errors
    /// `InvalidInput` for more satellites than a client may subscribe to.
    pub fn subscribe(&mut self, selectors: &[SatelliteSelector]) -> Result<()> {
        for selector in self.filter.subscribe(selectors)? {
            match selector {
                // From the first on: the log has one entry for each satellite.
                SatelliteSelector::All => self.states.metrics = 0,
                SatelliteSelector::One(id) => self.unsent_metrics.push_back(id),
            }
            self.steps.on_change();
        }
        Ok(())
    }

    /// Takes subscriptions back.
    pub fn unsubscribe(&mut self, selectors: &[SatelliteSelector]) {
        self.filter.unsubscribe(selectors);
    }

    /// Reads the events behind the position until there is one for the client.
    fn read_events(&mut self) {
        // Before the reading: an event that is published after it ends the next wait.
        self.published.mark_unchanged();
        // No further than to the first message: what follows stays in the bus, which is bounded for all readers.
        while self.ready.is_empty() {
            match self.live.events.read(&mut self.position) {
                EventBatch::Events(events) if events.is_empty() => return,
                EventBatch::Events(events) => {
                    for event in events.iter().filter(|event| may_see(&self.principal, event.as_ref())) {
                        if self.filter.hears(event.subject.satellite) {
                            self.ready.push_back(LiveMessage::of_satellite(event.published.clone()));
                        } else {
                            // The client sees the satellite and has not subscribed: it hears of the numbers alone.
                            self.changes.on_change(event.published.cursor().seq);
                        }
                    }
                }
                EventBatch::Resync(cursor) => {
                    // Which satellites had changes is lost, and the numbers may be other ones.
                    if self.filter.is_limited() {
                        self.changes.on_change(cursor.seq);
                    }
                    self.ready.push_back(UiEvent::Resync.into());
                }
            }
        }
    }

    /// Reads what changes often, where that is due.
    fn read_states(&mut self, now: Instant) {
        if !self.steps.is_due(now) {
            return;
        }
        self.state_changed.mark_unchanged();
        let before = self.states;
        // Asked before they are taken below.
        let has_unsent = !self.unsent_metrics.is_empty();
        self.read_metrics();
        self.read_work();
        self.steps.on_read(now, has_unsent || self.states != before);
    }

    fn read_metrics(&mut self) {
        if self.filter.is_empty() {
            // Skipped: the latest metrics follow when the client subscribes.
            self.states.metrics = self.live.events.state_positions().metrics;
            self.unsent_metrics.clear();
            return;
        }
        // Together with the changes at most one message's worth; the rest follows with the next step.
        let count = self.unsent_metrics.len().min(MAX_SATELLITES);
        let unsent = self.unsent_metrics.drain(..count);
        let mut metrics: Vec<_> = unsent.filter_map(|id| self.live.events.latest_metrics(id)).collect();
        metrics.extend(self.live.events.read_metrics(&mut self.states.metrics, MAX_SATELLITES - count).entries);
        let is_for_client = |satellite| self.filter.is_subscribed(satellite);
        metrics.retain(|state| is_for_client(state.satellite()) && may_see(&self.principal, state.as_ref()));
        self.ready.extend(LiveMessage::of_metrics(&metrics));
    }

    fn read_work(&mut self) {
        let batch = self.live.events.read_work(&mut self.states.work, WORK_PER_STEP);
        if batch.is_incomplete {
            self.ready.push_back(UiEvent::Resync.into());
        }
        for work in batch.entries {
            if self.hears_work(&work) && work.is_visible_to(&self.principal) {
                self.ready.push_back(LiveMessage::of_work(work));
            }
        }
    }

    fn hears_work(&self, work: &WorkState) -> bool {
        match (work.event(), work.satellite()) {
            // There may be thousands in a second.
            (UiEvent::CommandUpdated { satellite_id, .. }, _) => self.filter.is_subscribed(*satellite_id),
            (_, Some(satellite)) => self.filter.hears(satellite),
            (_, None) => true,
        }
    }

    /// Returns how many satellites there are now, where something has changed that the client does not hear of.
    async fn report_changes(&mut self) -> Result<Option<LiveMessage>> {
        if !self.changes.is_due(Instant::now()) {
            return Ok(None);
        }
        let scope = visible_scope(&self.principal, &Permission::SatellitesRead);
        let count = self.live.satellites.counts(&scope);
        let (counts, up_to) = self.live.counts.get(&scope, self.live.events.cursor().seq, count).await?;
        self.changes.on_report(Instant::now(), up_to);
        Ok(Some(UiEvent::SatellitesChanged { counts }.into()))
    }

    /// Waits until there may be something to read.
    async fn wait(&mut self) -> Result<()> {
        let wakes_at = self.steps.wakes_at().into_iter().chain(self.changes.wakes_at()).min();
        tokio::select! {
            biased;
            reason = self.grant.revoked() => Err(reason.into()),
            () = self.live.context.shutdown().cancelled() => Err(Error::unavailable("the server stops")),
            changed = self.published.changed() => changed.map_err(|_| Error::unavailable("the server stops")),
            // While it rests, the time wakes it.
            changed = self.state_changed.changed(), if self.steps.is_idle() => {
                self.steps.on_change();
                changed.map_err(|_| Error::unavailable("the server stops"))
            }
            // `select!` evaluates this also where the condition is false, so that it needs some time then.
            () = sleep_until(wakes_at.unwrap_or_else(Instant::now)), if wakes_at.is_some() => Ok(()),
        }
    }
}

impl std::fmt::Debug for LiveFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveFeed").field("filter", &self.filter).finish_non_exhaustive()
    }
}
