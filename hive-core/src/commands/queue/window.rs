//! Which of a satellite's queued commands are handed over next. Pure decisions; `queue.rs` carries them out.
//!
//! A satellite runs a number of commands at the same time. Further ones stay queued in the store, and the first page of each
//! priority is held here. The order is priority, then age; a command that has waited for [`AGEING`] counts as one priority
//! higher. Some slots are for immediate commands alone, and changes of power have slots of their own, so that running programs
//! do not keep them waiting.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hive_wire::agent::DEFAULT_CAPACITY;
use hive_wire::api::CommandType;
use hive_wire::{CommandId, JobId, Timestamp};

use super::Rank;

/// Queued commands of one priority that are held in memory; more of them are read when these are gone.
pub(crate) const PAGE: usize = 256;
/// Slots that only immediate commands take; of a satellite with few slots, half of them.
const RESERVED: usize = 16;
/// Changes of power that are handed over at the same time, whatever else runs.
const POWER_SLOTS: usize = 16;
/// A command that has waited for so long counts as one priority higher.
const AGEING: Duration = Duration::from_mins(1);
/// How long nothing is handed over to a satellite that sent a command back, unless one of its commands ends.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// Commands that share their slots at the satellite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CommandClass {
    Process,
    Power,
}

impl CommandClass {
    const ALL: [Self; 2] = [Self::Power, Self::Process];

    pub(crate) fn of(kind: &CommandType) -> Self {
        match kind {
            CommandType::Power => Self::Power,
            _ => Self::Process,
        }
    }
}

/// The order by age. The id decides between commands of the same age.
pub(crate) type QueueKey = (Timestamp, CommandId);

/// A command that waits for a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueuedCommand {
    pub(crate) id: CommandId,
    pub(crate) class: CommandClass,
    pub(crate) rank: Rank,
    pub(crate) created_at: Timestamp,
    /// The job that gave it its turn. It is not read with a page of the store.
    pub(crate) job: Option<JobId>,
}

impl QueuedCommand {
    fn key(&self) -> QueueKey {
        (self.created_at, self.id)
    }

    /// Returns the priority that it has by now.
    fn rank_at(&self, now: Timestamp) -> Rank {
        if now.since(self.created_at) >= AGEING { self.rank.raised() } else { self.rank }
    }
}

/// A page that is to be read: the oldest [`PAGE`] of one class and rank behind a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageQuery {
    pub(crate) class: CommandClass,
    pub(crate) rank: Rank,
    pub(crate) after: Option<QueueKey>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QueueStep {
    /// Read this page, and give it to [`DeliveryWindow::page`].
    Read(PageQuery),
    /// Hand these over. Each has its slot.
    HandOver(Vec<QueuedCommand>),
    /// Do nothing until this time.
    Wait(Timestamp),
    /// Do nothing until something changes.
    Idle,
}

/// Whether the store has commands that are not held here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unread {
    Nothing,
    /// There may be some after this key.
    Behind(Option<QueueKey>),
}

/// The queued commands of one class and rank.
#[derive(Debug)]
struct RankQueue {
    waiting: BTreeMap<QueueKey, QueuedCommand>,
    unread: Unread,
}

impl RankQueue {
    fn insert(&mut self, waiting: QueuedCommand) {
        let key = waiting.key();
        let is_read_later = match self.unread {
            // No page of the store contains commands of jobs: one that is not held here would be lost.
            _ if waiting.job.is_some() => false,
            Unread::Behind(after) => after.is_none_or(|after| key > after),
            Unread::Nothing if self.waiting.len() < PAGE => false,
            Unread::Nothing => {
                // A page is held already. From here on, what comes behind its last command is in the store alone.
                let last = self.waiting.last_key_value().map(|(last, _)| *last);
                self.unread = Unread::Behind(last);
                last.is_none_or(|last| key > last)
            }
        };
        if !is_read_later {
            self.waiting.insert(key, waiting);
        }
    }

    fn first(&self) -> Option<&QueuedCommand> {
        self.waiting.first_key_value().map(|(_, first)| first)
    }

    /// Returns where the next page begins, where it has to be read to know the first command. Commands of jobs are not read by
    /// pages, so that one of them may be behind commands that are not held yet.
    #[expect(clippy::option_option, reason = "the first page begins behind no key")]
    fn missing(&self) -> Option<Option<QueueKey>> {
        match self.unread {
            Unread::Behind(after) if self.first().is_none_or(|first| after.is_none_or(|after| first.key() > after)) => {
                Some(after)
            }
            _ => None,
        }
    }
}

/// Slots of one class.
#[derive(Debug)]
struct Slots {
    capacity: usize,
    reserved: usize,
    taken: usize,
    paused_until: Option<Timestamp>,
}

impl Slots {
    fn new(capacity: usize, reserved: usize) -> Self {
        // Of a single slot none is reserved: others would never get one.
        Self { capacity, reserved: reserved.min(capacity / 2), taken: 0, paused_until: None }
    }

    fn has_room(&self, rank: Rank, now: Timestamp) -> bool {
        let kept = if rank == Rank::Immediate { 0 } else { self.reserved };
        self.taken + kept < self.capacity && self.paused_until.is_none_or(|until| until <= now)
    }
}

/// The queued commands of one satellite's link, and the slots for them.
#[derive(Debug)]
pub(crate) struct DeliveryWindow {
    process: Slots,
    power: Slots,
    in_flight: HashMap<CommandId, CommandClass>,
    queues: Vec<RankQueue>,
    /// Commands that were queued while a page is read: only then it is known whether the page contains them.
    arrived: Option<Vec<QueuedCommand>>,
    is_open: bool,
    is_closed: bool,
    is_handing_over: bool,
}

impl DeliveryWindow {
    /// The window of a new link. Nothing is handed over before it is [`open`](Self::open).
    pub(crate) fn new(capacity: Option<u32>) -> Self {
        let queue = || RankQueue { waiting: BTreeMap::new(), unread: Unread::Behind(None) };
        Self {
            process: Slots::new(capacity.unwrap_or(DEFAULT_CAPACITY) as usize, RESERVED),
            power: Slots::new(POWER_SLOTS, 0),
            in_flight: HashMap::new(),
            queues: std::iter::repeat_with(queue).take(CommandClass::ALL.len() * Rank::ALL.len()).collect(),
            // Until it is open, everything that arrives is kept aside.
            arrived: Some(Vec::new()),
            is_open: false,
            is_closed: false,
            is_handing_over: false,
        }
    }

    /// Opens it with the first [`PAGE`] commands of all classes that are queued in the store, by rank and age. What the satellite
    /// has already was noted by [`begin`](Self::begin) before. A window that is open stays as it is.
    pub(crate) fn open(&mut self, rows: Vec<QueuedCommand>) {
        if std::mem::replace(&mut self.is_open, true) {
            return;
        }
        // A full page may have been cut: of the rank of its last row the rest is missing, and of lower ranks everything
        // may be.
        let cut = rows.last().filter(|_| rows.len() >= PAGE).copied();
        for (class, rank) in CommandClass::ALL.into_iter().flat_map(|class| Rank::ALL.map(|rank| (class, rank))) {
            self.queue_mut(class, rank).unread = match cut {
                Some(last) if rank == last.rank => Unread::Behind(Some(last.key())),
                Some(last) if rank > last.rank => Unread::Behind(None),
                _ => Unread::Nothing,
            };
        }
        self.insert_rows(rows);
    }

    /// Closes it. Returns the commands of jobs that are left; all others are in the store.
    pub(crate) fn close(&mut self) -> Vec<QueuedCommand> {
        self.is_closed = true;
        let arrived = self.arrived.take().unwrap_or_default();
        let waiting = self.queues.iter_mut().flat_map(|queue| std::mem::take(&mut queue.waiting).into_values());
        arrived.into_iter().chain(waiting).filter(|waiting| waiting.job.is_some()).collect()
    }

    /// Sets how many commands the satellite runs at the same time.
    pub(crate) fn set_capacity(&mut self, capacity: u32) {
        // More may be taken than there are slots from now on. Then none becomes free until enough commands have ended.
        let Slots { taken, paused_until, .. } = self.process;
        self.process = Slots { taken, paused_until, ..Slots::new(capacity as usize, RESERVED) };
    }

    /// Gives a new command a slot at once, where one is free and no queued command has to go first.
    pub(crate) fn reserve(&mut self, id: CommandId, class: CommandClass, rank: Rank, now: Timestamp) -> bool {
        // A batch that is being handed over is older.
        let is_in_order = rank == Rank::Immediate || !self.is_handing_over;
        let is_ready =
            // What arrived while a page is read is not in order yet, and may have to go first.
            self.is_open && !self.is_closed && self.arrived.as_ref().is_none_or(Vec::is_empty) && is_in_order;
        let is_free = is_ready && self.slots(class).has_room(rank, now) && !self.is_somebody_ahead(class, rank, now);
        if is_free {
            self.begin(id, class);
        }
        is_free
    }

    fn is_somebody_ahead(&self, class: CommandClass, rank: Rank, now: Timestamp) -> bool {
        // A command of the next lower rank may have aged to this one. The slots of immediate commands are for them
        // alone, so that commands that have aged are not ahead of them.
        let lowest = if rank == Rank::Immediate { rank } else { rank.lowered() };
        let mut queues = Rank::ALL.into_iter().filter(|of| *of <= lowest).map(|of| self.queue(class, of));
        queues.any(|queue| {
            queue.unread != Unread::Nothing || queue.first().is_some_and(|first| first.rank_at(now) <= rank)
        })
    }

    /// Notes that the satellite has a command or is about to get it, whether a slot is free or not.
    pub(crate) fn begin(&mut self, id: CommandId, class: CommandClass) {
        if self.in_flight.insert(id, class).is_none() {
            self.slots_mut(class).taken += 1;
        }
    }

    /// Frees the slot of a command that has ended, or was not handed over.
    pub(crate) fn end(&mut self, id: CommandId) {
        if let Some(class) = self.in_flight.remove(&id) {
            let slots = self.slots_mut(class);
            slots.taken -= 1;
            // What the satellite lacked when it sent a command back may be free now.
            slots.paused_until = None;
        }
    }

    /// Notes that the satellite sent a command back: nothing of its class is handed over for a while.
    pub(crate) fn sent_back(&mut self, id: CommandId, now: Timestamp) {
        if let Some(class) = self.in_flight.remove(&id) {
            let slots = self.slots_mut(class);
            slots.taken -= 1;
            slots.paused_until = Some(now.plus(BUSY_PAUSE));
        }
    }

    /// Adds a command that is queued in the store. False where the window is closed: the next link finds it in the store.
    pub(crate) fn offer(&mut self, waiting: QueuedCommand) -> bool {
        if self.is_closed {
            return false;
        }
        if self.in_flight.contains_key(&waiting.id) {
            return true;
        }
        match &mut self.arrived {
            Some(arrived) => arrived.push(waiting),
            None => self.queue_mut(waiting.class, waiting.rank).insert(waiting),
        }
        true
    }

    /// Adds a page that was read; one that is not full is the last.
    pub(crate) fn page(&mut self, page: PageQuery, rows: Vec<QueuedCommand>) {
        let last = rows.last().map(QueuedCommand::key);
        let is_full = rows.len() >= PAGE;
        self.queue_mut(page.class, page.rank).unread = if is_full { Unread::Behind(last) } else { Unread::Nothing };
        self.insert_rows(rows);
    }

    fn insert_rows(&mut self, rows: Vec<QueuedCommand>) {
        for waiting in rows {
            // It may have got its slot while the page was read.
            let is_in_flight = self.in_flight.contains_key(&waiting.id);
            if !is_in_flight {
                self.queue_mut(waiting.class, waiting.rank).waiting.insert(waiting.key(), waiting);
            }
        }
        for waiting in self.arrived.take().unwrap_or_default() {
            self.offer(waiting);
        }
    }

    /// Returns whether the caller is to begin handing over. It goes on until [`next`](Self::next) returns `Idle`.
    pub(crate) fn start(&mut self, now: Timestamp) -> bool {
        let is_free = self.is_open && !self.is_closed && !self.is_handing_over;
        self.is_handing_over |= is_free && self.has_work(now);
        is_free && self.is_handing_over
    }

    /// Notes that the task that hands over stops, whatever is left.
    pub(crate) fn stop(&mut self) {
        self.is_handing_over = false;
    }

    /// Returns whether a task hands over. It may wait for something to change.
    pub(crate) fn is_handing_over(&self) -> bool {
        self.is_handing_over
    }

    fn has_work(&self, now: Timestamp) -> bool {
        self.pause_ends(now).is_some() || self.pick(now).is_some()
    }

    /// Returns what is to be done next, with at most `limit` commands.
    pub(crate) fn next(&mut self, now: Timestamp, limit: usize) -> QueueStep {
        if self.is_closed {
            self.is_handing_over = false;
            return QueueStep::Idle;
        }
        let mut turns = Vec::new();
        while turns.len() < limit {
            match self.pick(now) {
                // Those that have their slots go first. The page is read in the next step.
                Some(Pick::Read(page)) if turns.is_empty() => {
                    self.arrived.get_or_insert_default();
                    return QueueStep::Read(page);
                }
                Some(Pick::Command(class, rank, key)) => {
                    let waiting = self.queue_mut(class, rank).waiting.remove(&key);
                    if let Some(waiting) = waiting {
                        // The slot is taken now, so that no new command gets it before this one is sent.
                        self.begin(waiting.id, class);
                        turns.push(waiting);
                    }
                }
                _ => break,
            }
        }
        if !turns.is_empty() {
            return QueueStep::HandOver(turns);
        }
        if let Some(until) = self.pause_ends(now) {
            return QueueStep::Wait(until);
        }
        self.is_handing_over = false;
        QueueStep::Idle
    }

    /// Returns the next command, or the page that has to be read to know it.
    fn pick(&self, now: Timestamp) -> Option<Pick> {
        CommandClass::ALL.into_iter().find_map(|class| self.pick_of(class, now))
    }

    fn pick_of(&self, class: CommandClass, now: Timestamp) -> Option<Pick> {
        let has_room = |rank: &Rank| self.slots(class).has_room(*rank, now);
        let mut first: Option<(Rank, QueueKey, Rank)> = None;
        for rank in Rank::ALL.into_iter().filter(has_room) {
            let queue = self.queue(class, rank);
            if let Some(after) = queue.missing() {
                return Some(Pick::Read(PageQuery { class, rank, after }));
            }
            let candidate = queue.first().map(|waiting| (waiting.rank_at(now), waiting.key(), rank));
            // The rank by now decides, then the age.
            first = [first, candidate].into_iter().flatten().min();
        }
        first.map(|(_, key, rank)| Pick::Command(class, rank, key))
    }

    /// Returns when a pause ends for which a command waits.
    fn pause_ends(&self, now: Timestamp) -> Option<Timestamp> {
        let is_waited_for = |class: &CommandClass| {
            Rank::ALL.into_iter().any(|rank| {
                let queue = self.queue(*class, rank);
                queue.first().is_some() || queue.missing().is_some()
            })
        };
        let waited_for = CommandClass::ALL.into_iter().filter(is_waited_for);
        waited_for.filter_map(|class| self.slots(class).paused_until.filter(|until| *until > now)).min()
    }

    fn slots(&self, class: CommandClass) -> &Slots {
        match class {
            CommandClass::Process => &self.process,
            CommandClass::Power => &self.power,
        }
    }

    fn slots_mut(&mut self, class: CommandClass) -> &mut Slots {
        match class {
            CommandClass::Process => &mut self.process,
            CommandClass::Power => &mut self.power,
        }
    }

    fn queue(&self, class: CommandClass, rank: Rank) -> &RankQueue {
        &self.queues[class as usize * Rank::ALL.len() + rank as usize]
    }

    fn queue_mut(&mut self, class: CommandClass, rank: Rank) -> &mut RankQueue {
        &mut self.queues[class as usize * Rank::ALL.len() + rank as usize]
    }
}

/// The next command, or the page that has to be read to know it.
enum Pick {
    Read(PageQuery),
    Command(CommandClass, Rank, QueueKey),
}

#[cfg(test)]
mod tests;
