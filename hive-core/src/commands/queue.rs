//! Commands that wait for a slot at their satellite, and which of them is next.
//!
//! [`window`] decides and does no I/O. Each link has one [`LinkQueue`] around its window: a new command that finds a slot is stored as
//! delivered and sent at once. Any other is stored as queued, and one task at a time hands over what is queued as slots become
//! free. The store holds the queue: the next link begins with what is queued there. [`limits`] counts what is open.

mod limits;
mod window;

use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::{StreamExt, stream};
use hive_wire::agent::close;
use hive_wire::api::Priority;
use hive_wire::{CommandId, SatelliteId, Timestamp};
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::warn;

use super::dispatch::PreparedCommand;
use super::links::CommandLink;
use super::{CommandEvent, Commands};
use crate::links::LinkHandle;
use crate::store::{CommandRow, QueuePage, QueuedCommandRow};
use crate::sync::lock;
use crate::{Error, Result};
use window::{DeliveryWindow, PAGE, PageQuery, QueueStep};

pub(crate) use limits::{FullQueue, OpenCommandCounts};
pub(crate) use window::{CommandClass, QueuedCommand};

/// Commands that are handed over together: so many share one commit of the store.
const BATCH: usize = 64;

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
    /// Wakes the task that hands over, where it waits for a pause to end.
    changed: Notify,
}

impl LinkQueue {
    /// The queue of a satellite that runs so many commands at the same time.
    pub(crate) fn new(capacity: Option<u32>) -> Self {
        Self { window: Mutex::new(DeliveryWindow::new(capacity)), changed: Notify::new() }
    }

    pub(super) fn window(&self) -> MutexGuard<'_, DeliveryWindow> {
        lock(&self.window)
    }

    /// Gives a new command a slot at once, where no queued command has to go first.
    pub(crate) fn reserve(&self, id: CommandId, class: CommandClass, rank: Rank, now: Timestamp) -> bool {
        self.window().reserve(id, class, rank, now)
    }

    /// Notes that the satellite has a command, or is about to get it.
    pub(crate) fn begin(&self, id: CommandId, class: CommandClass) {
        self.window().begin(id, class);
    }

    /// Frees the slot of a command.
    pub(crate) fn end(&self, id: CommandId) {
        self.window().end(id);
    }

    /// Returns whether the caller is to begin handing over. A task that does so already is woken.
    fn start(&self, now: Timestamp) -> bool {
        let mut window = self.window();
        // Under one lock: a task that is about to end is either woken by this change, or has ended and another one
        // starts.
        let is_to_start = window.start(now);
        if !is_to_start && window.is_handing_over() {
            self.changed.notify_one();
        }
        is_to_start
    }
}

impl QueuedCommand {
    /// A stored command that is queued.
    pub(crate) fn of(row: &CommandRow) -> Self {
        Self {
            id: row.id,
            class: CommandClass::of(&row.command_type),
            rank: Rank::stored(row.priority),
            created_at: row.created_at,
            job: row.job_id,
        }
    }

    fn of_page(row: QueuedCommandRow) -> Self {
        let QueuedCommandRow { id, command_type, priority, created_at } = row;
        Self { id, class: CommandClass::of(&command_type), rank: Rank::stored(priority), created_at, job: None }
    }
}

impl Commands {
    /// Opens the queue of a link that is live from now on. [`start_delivery`](Self::start_delivery) fills it.
    pub(crate) fn open_link(&self, handle: LinkHandle, capacity: Option<u32>) -> CommandLink {
        self.links.open(handle, capacity)
    }

    /// Closes the queue of a link. What is queued is in the store; jobs take the turns of their commands back.
    pub(crate) fn close_link(&self, link: &CommandLink) {
        // First, so that no new command finds the link while its queue is emptied.
        self.links.close(link);
        let left = link.queue.window().close();
        link.queue.changed.notify_one();
        self.return_turns(left);
    }

    /// Sets how many commands a satellite runs at the same time from here on.
    pub(crate) fn set_capacity(self: &Arc<Self>, link: &CommandLink, capacity: u32) {
        link.queue.window().set_capacity(capacity);
        self.start_hand_over(link);
    }

    /// Queues a command that is queued in the store, and hands over what has a slot. False where the link is closed.
    pub(super) fn enqueue(self: &Arc<Self>, link: &CommandLink, command: QueuedCommand) -> bool {
        let is_queued = link.queue.window().offer(command);
        self.start_hand_over(link);
        is_queued
    }

    /// Fills the queue of a link, when all that the satellite has already is noted.
    pub(super) async fn fill_queue(self: &Arc<Self>, link: &CommandLink) -> Result<()> {
        let rows = self.store.command_list_queued(link.satellite(), None, PAGE as u32).await?;
        link.queue.window().open(rows.into_iter().map(QueuedCommand::of_page).collect());
        self.start_hand_over(link);
        Ok(())
    }

    /// Frees the slot of a command that has ended; another one gets it.
    pub(super) fn free_slot(self: &Arc<Self>, satellite: SatelliteId, id: CommandId) {
        if let Some(link) = self.links.get(satellite) {
            link.queue.end(id);
            self.start_hand_over(&link);
        }
    }

    /// Reports to jobs that the turns of their commands came to nothing.
    pub(super) fn return_turns(&self, commands: impl IntoIterator<Item = QueuedCommand>) {
        for QueuedCommand { id, job, .. } in commands {
            if let Some(job) = job {
                self.emit(&CommandEvent::TurnReturned { job, id });
            }
        }
    }

    /// Starts to hand over what is queued and has a slot, unless a task does so already. Where that fails, the link is closed and
    /// the next one starts anew.
    pub(super) fn start_hand_over(self: &Arc<Self>, link: &CommandLink) {
        if !link.queue.start(self.context.steady()) {
            return;
        }
        let (commands, link) = (self.clone(), link.clone());
        self.context.spawn_until_shutdown(async move {
            if let Err(error) = commands.hand_over_queued(&link).await {
                warn!(satellite.id = %link.satellite(), error = %error, "queued commands not delivered");
                link.handle.close(close::GOING_AWAY, "the server cannot deliver now");
            }
        });
    }

    async fn hand_over_queued(self: &Arc<Self>, link: &CommandLink) -> Result<()> {
        loop {
            // A statement of its own: in the head of the `match` the lock would be held across the awaits below.
            let step = link.queue.window().next(self.context.steady(), BATCH);
            match step {
                QueueStep::Idle => return Ok(()),
                QueueStep::Wait(until) => {
                    let pause = sleep(until.since(self.context.steady()));
                    tokio::select! {
                        () = pause => {}
                        () = link.queue.changed.notified() => {}
                    }
                }
                QueueStep::Read(page) => {
                    let rows = self.read_page(link.satellite(), page).await?;
                    link.queue.window().page(page, rows);
                }
                QueueStep::HandOver(batch) => {
                    // The rest stays queued until `on_usable` reports a change of the satellite.
                    if !self.hand_over_batch(link, batch).await? {
                        link.queue.window().stop();
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn read_page(&self, satellite: SatelliteId, page: PageQuery) -> Result<Vec<QueuedCommand>> {
        let PageQuery { class, rank, after } = page;
        let page = QueuePage { is_power: class == CommandClass::Power, priority: rank.number(), after };
        let retry = self.context.retry_window();
        loop {
            let rows = self.store.command_list_queued(satellite, Some(page), PAGE as u32).await.map_err(Error::from);
            if !retry.should_retry(&rows).await {
                return Ok(rows?.into_iter().map(QueuedCommand::of_page).collect());
            }
        }
    }

    /// Hands over commands that have their slots. False where the satellite accepts nothing now.
    async fn hand_over_batch(self: &Arc<Self>, link: &CommandLink, batch: Vec<QueuedCommand>) -> Result<bool> {
        if !self.accepts_commands_now(link.satellite()).await? || link.handle.wait_for_commands().await.is_err() {
            for command in &batch {
                link.queue.end(command.id);
                // Jobs wait by themselves for satellites that cannot be used.
                if command.job.is_none() {
                    link.queue.window().offer(*command);
                }
            }
            self.return_turns(batch);
            return Ok(false);
        }
        // In their order, and many of them in one commit.
        let commands: Vec<_> = batch.iter().map(|command| (command.id, command.job)).collect();
        let prepared: Vec<_> = batch.into_iter().map(|command| self.prepare_queued(link, command)).collect();
        let mut prepared = stream::iter(prepared).buffered(BATCH).zip(stream::iter(commands));
        while let Some((prepared, (id, job))) = prepared.next().await {
            let Some(prepared) = self.pass_over_unreadable(link, id, prepared)?.flatten() else { continue };
            self.send_prepared(prepared, link).await?;
            if self.is_of_cancelled_job(job) {
                // The job may have been cancelled before the command was sent.
                link.send_cancel(id);
            }
        }
        Ok(true)
    }

    async fn accepts_commands_now(&self, satellite: SatelliteId) -> Result<bool> {
        let retry = self.context.retry_window();
        loop {
            let row = self.satellite_store.satellite_get(satellite).await.map_err(Error::from);
            if !retry.should_retry(&row).await {
                return Ok(row?.is_some_and(|row| row.status.accepts_commands()));
            }
        }
    }

    async fn prepare_queued(
        self: &Arc<Self>,
        link: &CommandLink,
        command: QueuedCommand,
    ) -> Result<Option<PreparedCommand>> {
        let retry = self.context.retry_window();
        loop {
            // Anew with each attempt: a failed one has freed the slot.
            link.queue.begin(command.id, command.class);
            let prepared = self.prepare_by_id(command.id, link).await;
            if !retry.should_retry(&prepared).await {
                return prepared.inspect_err(|_| self.return_turns([command]));
            }
        }
    }

    async fn prepare_by_id(self: &Arc<Self>, id: CommandId, link: &CommandLink) -> Result<Option<PreparedCommand>> {
        match self.store.command_get(id).await? {
            Some(row) => self.prepare(row, link, None).await,
            None => Ok(None),
        }
    }
}
