//! Commands that wait for a place at their satellite, and who is next.
//!
//! [`window`] decides, and does no I/O. Each link has one [`LinkQueue`] around its window: a new command that finds a place is
//! stored as delivered and sent at once, any other is stored as queued, and one task at a time hands over what is queued
//! as places become free. All that must last is in the store: the next link begins with what is queued there. [`limits`]
//! counts what is open.

mod limits;
mod window;

use std::sync::{Mutex, MutexGuard};

use futures_util::{StreamExt, stream};
use hive_wire::agent::{ToAgent, close};
use hive_wire::api::{CommandStatus, Priority};
use hive_wire::{CommandId, SatelliteId, Timestamp};
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::dispatch::Prepared;
use crate::hive::Hive;
use crate::link::Outgoing;
use crate::links::Live;
use crate::satellites::registry;
use crate::store::{CommandRow, QueuePage, QueuedRow};
use crate::{Error, Result};
use window::{DeliveryWindow, PAGE, Page, Step};

pub(crate) use limits::{Full, OpenCounts};
pub(crate) use window::{Class, Waiting};

/// Commands that are handed over together: so many share one commit of the store.
const HAND_OVERS: usize = 64;

/// How urgent a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rank {
    Immediate,
    High,
    Normal,
    Low,
}

impl Rank {
    pub(crate) const ALL: [Self; 4] = [Self::Immediate, Self::High, Self::Normal, Self::Low];

    /// The rank a priority asks for. One of a newer version counts as normal.
    pub(crate) fn of(priority: &Priority) -> Self {
        match priority {
            Priority::Immediate => Self::Immediate,
            Priority::High => Self::High,
            Priority::Low => Self::Low,
            _ => Self::Normal,
        }
    }

    /// The rank that is stored as this number.
    pub(crate) fn stored(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Normal)
    }

    /// The number it is stored as.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    fn raised(self) -> Self {
        Self::ALL[(self as usize).saturating_sub(1)]
    }

    fn lowered(self) -> Self {
        Self::ALL[(self as usize + 1).min(Self::ALL.len() - 1)]
    }
}

/// The queue of one link.
pub(crate) struct LinkQueue {
    window: Mutex<DeliveryWindow>,
    /// Wakes whoever hands over, where that waits for a pause to end.
    changed: Notify,
}

impl LinkQueue {
    /// The queue of a satellite that takes so many commands at the same time.
    pub(crate) fn new(capacity: Option<u32>) -> Self {
        Self { window: Mutex::new(DeliveryWindow::new(capacity)), changed: Notify::new() }
    }

    fn window(&self) -> MutexGuard<'_, DeliveryWindow> {
        self.window.lock().expect("nothing panics while it holds this lock")
    }

    /// Gives a new command a place at once, where that is fair.
    pub(crate) fn reserve(&self, id: CommandId, class: Class, rank: Rank, now: Timestamp) -> bool {
        self.window().reserve(id, class, rank, now)
    }

    /// Notes that the satellite has a command, or is about to get it.
    pub(crate) fn begin(&self, id: CommandId, class: Class) {
        self.window().begin(id, class);
    }

    /// Frees the place of a command.
    pub(crate) fn end(&self, id: CommandId) {
        self.window().end(id);
    }

    /// Whether the caller is to begin handing over; somebody who does so already is woken.
    fn start(&self, now: Timestamp) -> bool {
        let mut window = self.window();
        let is_to_start = window.start(now);
        if !is_to_start && window.is_handing_over() {
            self.changed.notify_one();
        }
        is_to_start
    }
}

impl Waiting {
    /// A stored command that is queued.
    pub(crate) fn of(row: &CommandRow) -> Self {
        Self {
            id: row.id,
            class: Class::of(&row.command_type),
            rank: Rank::stored(row.priority),
            created_at: row.created_at,
            job: row.job_id,
        }
    }

    fn of_page(row: QueuedRow) -> Self {
        let QueuedRow { id, command_type, priority, created_at } = row;
        Self { id, class: Class::of(&command_type), rank: Rank::stored(priority), created_at, job: None }
    }
}

impl Hive {
    /// Takes in a command that is queued in the store, and hands over what has a place. False where the link is gone.
    pub(crate) fn enqueue(&self, satellite: SatelliteId, live: &Live, waiting: Waiting) -> bool {
        let is_taken = live.queue.window().offer(waiting);
        self.start_hand_over(satellite, live);
        is_taken
    }

    /// Opens the queue of a link, when all that the satellite has already is noted.
    pub(crate) async fn open_queue(&self, satellite: SatelliteId, live: &Live) -> Result<()> {
        let rows = self.store().command_list_queued(satellite, None, PAGE as u32).await?;
        live.queue.window().open(rows.into_iter().map(Waiting::of_page).collect());
        self.start_hand_over(satellite, live);
        Ok(())
    }

    /// Ends the queue of a link: what is queued is in the store, and jobs take their turns back.
    pub(crate) fn close_queue(&self, live: &Live) {
        let left = live.queue.window().close();
        live.queue.changed.notify_one();
        self.give_back(left);
    }

    fn give_back(&self, waiting: impl IntoIterator<Item = Waiting>) {
        for Waiting { id, job, .. } in waiting {
            if let Some(job) = job {
                self.inner.jobs.returned(job, id);
            }
        }
    }

    /// Takes in how many commands a satellite takes at the same time from here on.
    pub(crate) fn set_capacity(&self, satellite: SatelliteId, live: &Live, capacity: u32) {
        live.queue.window().set_capacity(capacity);
        self.start_hand_over(satellite, live);
    }

    /// Takes in that a command has ended: another has its place.
    pub(crate) fn free_place(&self, satellite: SatelliteId, id: CommandId) {
        if let Some(live) = self.inner.links.get(satellite) {
            live.queue.end(id);
            self.start_hand_over(satellite, &live);
        }
    }

    /// Hands over what is queued and has a place, unless somebody does already. Where that fails the link is closed: the
    /// next one starts anew.
    pub(crate) fn start_hand_over(&self, satellite: SatelliteId, live: &Live) {
        if !live.queue.start(self.source().steady()) {
            return;
        }
        let (hive, live) = (self.clone(), live.clone());
        self.inner.tasks.spawn(self.inner.shutdown.clone().run_until_cancelled_owned(async move {
            if let Err(error) = hive.hand_over_queued(satellite, &live).await {
                warn!(satellite.id = %satellite, error = %error, "queued commands not delivered");
                live.close(close::GOING_AWAY, "the server cannot deliver now");
            }
        }));
    }

    async fn hand_over_queued(&self, satellite: SatelliteId, live: &Live) -> Result<()> {
        loop {
            let step = live.queue.window().next(self.source().steady(), HAND_OVERS);
            match step {
                Step::Idle => return Ok(()),
                Step::Wait(until) => {
                    let pause = sleep(until.since(self.source().steady()));
                    tokio::select! {
                        () = pause => {}
                        () = live.queue.changed.notified() => {}
                    }
                }
                Step::Read(page) => {
                    let rows = self.read_page(satellite, page).await?;
                    live.queue.window().page(page, rows);
                }
                Step::HandOver(turns) => {
                    if !self.hand_over_turns(satellite, live, turns).await? {
                        live.queue.window().stop();
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn read_page(&self, satellite: SatelliteId, page: Page) -> Result<Vec<Waiting>> {
        let Page { class, rank, after } = page;
        let page = QueuePage { is_power: class == Class::Power, priority: rank.number(), after };
        let insistence = self.insist();
        loop {
            let rows = self.store().command_list_queued(satellite, Some(page), PAGE as u32).await.map_err(Error::from);
            if !insistence.wants_another(&rows).await {
                return Ok(rows?.into_iter().map(Waiting::of_page).collect());
            }
        }
    }

    /// Hands over commands that have their places. False where the satellite cannot be given anything now.
    async fn hand_over_turns(&self, satellite: SatelliteId, live: &Live, turns: Vec<Waiting>) -> Result<bool> {
        if !self.is_usable_now(satellite).await? || live.ready().await.is_err() {
            for waiting in &turns {
                live.queue.end(waiting.id);
                // A job waits for satellites that cannot be used by itself.
                if waiting.job.is_none() {
                    live.queue.window().offer(*waiting);
                }
            }
            self.give_back(turns);
            return Ok(false);
        }
        // In their order, and many of them in one commit.
        let jobs: Vec<_> = turns.iter().map(|waiting| waiting.job).collect();
        let prepared: Vec<_> = turns.into_iter().map(|waiting| self.take_turn(live, waiting)).collect();
        let mut prepared = stream::iter(prepared).buffered(HAND_OVERS).zip(stream::iter(jobs));
        while let Some((prepared, job)) = prepared.next().await {
            let Some(prepared) = prepared? else { continue };
            let id = prepared.id;
            self.hand_to_link(prepared, live).await?;
            if job.is_some_and(|job| self.inner.jobs.is_stopped(job)) {
                // The cancel may have come before the command did.
                live.pass(Outgoing::Control(ToAgent::CommandCancel { id }));
            }
        }
        Ok(true)
    }

    async fn is_usable_now(&self, satellite: SatelliteId) -> Result<bool> {
        let insistence = self.insist();
        loop {
            let row = self.store().satellite_get(satellite).await.map_err(Error::from);
            if !insistence.wants_another(&row).await {
                return Ok(row?.is_some_and(|row| registry::is_usable(&row.status)));
            }
        }
    }

    async fn take_turn(&self, live: &Live, waiting: Waiting) -> Result<Option<Prepared>> {
        let insistence = self.insist();
        loop {
            live.queue.begin(waiting.id, waiting.class);
            let prepared = self.prepare_by_id(waiting.id, live).await;
            if !insistence.wants_another(&prepared).await {
                return prepared.inspect_err(|_| self.give_back([waiting]));
            }
        }
    }

    async fn prepare_by_id(&self, id: CommandId, live: &Live) -> Result<Option<Prepared>> {
        match self.store().command_get(id).await? {
            Some(row) => self.prepare(row, live, None).await,
            None => Ok(None),
        }
    }

    /// Takes back a command that its satellite cannot take now, and did not start: it is queued again, or over.
    pub(crate) fn start_taking_back(&self, satellite: SatelliteId, id: CommandId, live: &Live) {
        let (hive, live) = (self.clone(), live.clone());
        self.inner.tasks.spawn(self.inner.shutdown.clone().run_until_cancelled_owned(async move {
            let insistence = hive.insist();
            let taken = loop {
                let taken = hive.take_back(satellite, id, &live).await;
                if !insistence.wants_another(&taken).await {
                    break taken;
                }
            };
            if let Err(error) = taken {
                warn!(command.id = %id, error = %error, "a command that was sent back is not queued again");
                live.close(close::GOING_AWAY, "the server cannot deliver now");
            }
        }));
    }

    async fn take_back(&self, satellite: SatelliteId, id: CommandId, live: &Live) -> Result<()> {
        let row = self.store().command_get(id).await?.filter(|row| row.satellite_id == satellite);
        let Some(row) = row else {
            warn!(satellite.id = %satellite, command.id = %id, "a command was sent back that this satellite was not given");
            return Ok(());
        };
        if !self.store().command_requeue(id, self.source().now()).await? {
            debug!(command.id = %id, "a command that was sent back had started or ended before");
            return Ok(());
        }
        let now = self.source().steady();
        live.queue.window().sent_back(id, now);
        let row = CommandRow { status: CommandStatus::Queued, journal_id: None, ..row };
        let is_cancelled =
            self.inner.running.is_cancelled(id) || row.job_id.is_some_and(|job| self.inner.jobs.is_stopped(job));
        let end = match () {
            () if is_cancelled => Some(CommandStatus::Cancelled),
            () if row.expires_at <= now => Some(CommandStatus::Expired),
            () => None,
        };
        if let Some(status) = end {
            return self.end_without_satellite(&row, status).await.map(drop);
        }
        let waiting = Waiting::of(&row);
        let is_taken = self.inner.links.get(satellite).is_some_and(|live| self.enqueue(satellite, &live, waiting));
        if !is_taken {
            self.give_back([waiting]);
        }
        Ok(())
    }
}
