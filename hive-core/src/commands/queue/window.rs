//! Which of a satellite's waiting commands are handed over next. Pure decisions; `queue.rs` carries them out.
//!
//! A satellite takes a number of commands at the same time. What exceeds that stays queued in the store, and the first of
//! each priority are known here, a page of them. The order is priority, then age; who has waited for [`AGEING`] counts as one
//! priority higher. Some places are for immediate commands alone, and changes of power have places of their own, so
//! that programs that run do not keep them waiting.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hive_wire::agent::DEFAULT_CAPACITY;
use hive_wire::api::CommandType;
use hive_wire::{CommandId, JobId, Timestamp};

use super::Rank;

/// Waiting commands of one priority that are known here; more of them are read when these are gone.
pub(crate) const PAGE: usize = 256;
/// Places that only immediate commands take; of a satellite with few places, half of them.
const RESERVED: usize = 16;
/// Changes of power that are handed over at the same time, whatever else runs.
const POWER_PLACES: usize = 16;
/// Who has waited for so long counts as one priority higher.
const AGEING: Duration = Duration::from_mins(1);
/// How long nothing is handed over to a satellite that sent a command back, unless one of its commands ends.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// Commands that share their places at the satellite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Process,
    Power,
}

impl Class {
    const ALL: [Self; 2] = [Self::Power, Self::Process];

    pub(crate) fn of(kind: &CommandType) -> Self {
        match kind {
            CommandType::Power => Self::Power,
            _ => Self::Process,
        }
    }
}

/// By age. The id tells apart what has the same.
pub(crate) type Key = (Timestamp, CommandId);

/// A command that waits for a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) id: CommandId,
    pub(crate) class: Class,
    pub(crate) rank: Rank,
    pub(crate) created_at: Timestamp,
    /// The job that gave it its turn. Pages of the store leave it out.
    pub(crate) job: Option<JobId>,
}

impl Waiting {
    fn key(&self) -> Key {
        (self.created_at, self.id)
    }

    /// The priority it has by now.
    fn rank_at(&self, now: Timestamp) -> Rank {
        if now.since(self.created_at) >= AGEING { self.rank.raised() } else { self.rank }
    }
}

/// A page that is to be read: the oldest [`PAGE`] of one class and rank behind a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) class: Class,
    pub(crate) rank: Rank,
    pub(crate) after: Option<Key>,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Read this page, and give it to [`DeliveryWindow::page`].
    Read(Page),
    /// Hand these over. They have their places.
    HandOver(Vec<Waiting>),
    /// Ask again at this time.
    Wait(Timestamp),
    /// Nothing, until something changes.
    Idle,
}

/// What the store has beyond what is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    /// There may be some behind this key.
    Behind(Option<Key>),
}

/// The waiting commands of one class and rank.
#[derive(Debug)]
struct Lane {
    waiting: BTreeMap<Key, Waiting>,
    rest: Rest,
}

impl Lane {
    fn insert(&mut self, waiting: Waiting) {
        let key = waiting.key();
        let is_read_later = match self.rest {
            _ if waiting.job.is_some() => false,
            Rest::Behind(after) => after.is_none_or(|after| key > after),
            Rest::Nothing if self.waiting.len() < PAGE => false,
            Rest::Nothing => {
                let last = self.waiting.last_key_value().map(|(last, _)| *last);
                self.rest = Rest::Behind(last);
                last.is_none_or(|last| key > last)
            }
        };
        if !is_read_later {
            self.waiting.insert(key, waiting);
        }
    }

    fn first(&self) -> Option<&Waiting> {
        self.waiting.first_key_value().map(|(_, first)| first)
    }

    /// Where the next page begins, if it is needed to know who is first. A job's command says nothing of what is older.
    #[expect(clippy::option_option, reason = "the first page begins behind no key")]
    fn missing(&self) -> Option<Option<Key>> {
        match self.rest {
            Rest::Behind(after) if self.first().is_none_or(|first| after.is_none_or(|after| first.key() > after)) => {
                Some(after)
            }
            _ => None,
        }
    }
}

/// Places of one class.
#[derive(Debug)]
struct Places {
    capacity: usize,
    reserved: usize,
    taken: usize,
    paused_until: Option<Timestamp>,
}

impl Places {
    fn new(capacity: usize, reserved: usize) -> Self {
        Self { capacity, reserved: reserved.min(capacity / 2), taken: 0, paused_until: None }
    }

    fn has_room(&self, rank: Rank, now: Timestamp) -> bool {
        let kept = if rank == Rank::Immediate { 0 } else { self.reserved };
        self.taken + kept < self.capacity && self.paused_until.is_none_or(|until| until <= now)
    }
}

/// The waiting commands of one satellite's link, and the places for them.
#[derive(Debug)]
pub(crate) struct DeliveryWindow {
    process: Places,
    power: Places,
    in_flight: HashMap<CommandId, Class>,
    lanes: Vec<Lane>,
    /// What comes while a page is read: whether it is in that page is known afterwards.
    meanwhile: Option<Vec<Waiting>>,
    is_open: bool,
    is_closed: bool,
    is_handing_over: bool,
}

impl DeliveryWindow {
    /// The window of a new link. Nothing passes before it is [`open`](Self::open).
    pub(crate) fn new(capacity: Option<u32>) -> Self {
        let lane = || Lane { waiting: BTreeMap::new(), rest: Rest::Behind(None) };
        Self {
            process: Places::new(capacity.unwrap_or(DEFAULT_CAPACITY) as usize, RESERVED),
            power: Places::new(POWER_PLACES, 0),
            in_flight: HashMap::new(),
            lanes: std::iter::repeat_with(lane).take(Class::ALL.len() * Rank::ALL.len()).collect(),
            meanwhile: Some(Vec::new()),
            is_open: false,
            is_closed: false,
            is_handing_over: false,
        }
    }

    /// Opens it with the first [`PAGE`] commands of all classes that are queued in the store, by rank and age. What the
    /// satellite has already was noted by [`begin`](Self::begin) before. Opened again it stays as it is.
    pub(crate) fn open(&mut self, rows: Vec<Waiting>) {
        if std::mem::replace(&mut self.is_open, true) {
            return;
        }
        let cut = rows.last().filter(|_| rows.len() >= PAGE).copied();
        for (class, rank) in Class::ALL.into_iter().flat_map(|class| Rank::ALL.map(|rank| (class, rank))) {
            self.lane_mut(class, rank).rest = match cut {
                Some(last) if rank == last.rank => Rest::Behind(Some(last.key())),
                Some(last) if rank > last.rank => Rest::Behind(None),
                _ => Rest::Nothing,
            };
        }
        self.insert_rows(rows);
    }

    /// Ends it. Gives the commands that are left to their jobs; all others are in the store.
    pub(crate) fn close(&mut self) -> Vec<Waiting> {
        self.is_closed = true;
        let meanwhile = self.meanwhile.take().unwrap_or_default();
        let waiting = self.lanes.iter_mut().flat_map(|lane| std::mem::take(&mut lane.waiting).into_values());
        meanwhile.into_iter().chain(waiting).filter(|waiting| waiting.job.is_some()).collect()
    }

    /// Takes in how many commands the satellite runs at the same time.
    pub(crate) fn set_capacity(&mut self, capacity: u32) {
        let Places { taken, paused_until, .. } = self.process;
        self.process = Places { taken, paused_until, ..Places::new(capacity as usize, RESERVED) };
    }

    /// Gives a new command a place at once, where there is one and nobody waits who would go first.
    pub(crate) fn reserve(&mut self, id: CommandId, class: Class, rank: Rank, now: Timestamp) -> bool {
        // Those that are being handed over go first.
        let is_in_order = rank == Rank::Immediate || !self.is_handing_over;
        let is_ready =
            self.is_open && !self.is_closed && self.meanwhile.as_ref().is_none_or(Vec::is_empty) && is_in_order;
        let is_free = is_ready && self.places(class).has_room(rank, now) && !self.is_somebody_ahead(class, rank, now);
        if is_free {
            self.begin(id, class);
        }
        is_free
    }

    fn is_somebody_ahead(&self, class: Class, rank: Rank, now: Timestamp) -> bool {
        // The places of immediate commands are for them alone, so that others who have aged are not ahead of them.
        let lowest = if rank == Rank::Immediate { rank } else { rank.lowered() };
        let mut lanes = Rank::ALL.into_iter().filter(|of| *of <= lowest).map(|of| self.lane(class, of));
        lanes.any(|lane| lane.rest != Rest::Nothing || lane.first().is_some_and(|first| first.rank_at(now) <= rank))
    }

    /// Notes that the satellite has a command or is about to get it, whether there is a place or not.
    pub(crate) fn begin(&mut self, id: CommandId, class: Class) {
        if self.in_flight.insert(id, class).is_none() {
            self.places_mut(class).taken += 1;
        }
    }

    /// Takes in that a command has ended, or was not handed over.
    pub(crate) fn end(&mut self, id: CommandId) {
        if let Some(class) = self.in_flight.remove(&id) {
            let places = self.places_mut(class);
            places.taken -= 1;
            places.paused_until = None;
        }
    }

    /// Takes in that the satellite sent a command back.
    pub(crate) fn sent_back(&mut self, id: CommandId, now: Timestamp) {
        if let Some(class) = self.in_flight.remove(&id) {
            let places = self.places_mut(class);
            places.taken -= 1;
            places.paused_until = Some(now.plus(BUSY_PAUSE));
        }
    }

    /// Takes in a command that is queued in the store. False where the link is gone, and the next one finds it there.
    pub(crate) fn offer(&mut self, waiting: Waiting) -> bool {
        if self.is_closed {
            return false;
        }
        if self.in_flight.contains_key(&waiting.id) {
            return true;
        }
        match &mut self.meanwhile {
            Some(meanwhile) => meanwhile.push(waiting),
            None => self.lane_mut(waiting.class, waiting.rank).insert(waiting),
        }
        true
    }

    /// Takes in a page that was asked for; one that is not full is the last.
    pub(crate) fn page(&mut self, page: Page, rows: Vec<Waiting>) {
        let last = rows.last().map(Waiting::key);
        let is_full = rows.len() >= PAGE;
        self.lane_mut(page.class, page.rank).rest = if is_full { Rest::Behind(last) } else { Rest::Nothing };
        self.insert_rows(rows);
    }

    fn insert_rows(&mut self, rows: Vec<Waiting>) {
        for waiting in rows {
            let is_in_flight = self.in_flight.contains_key(&waiting.id);
            if !is_in_flight {
                self.lane_mut(waiting.class, waiting.rank).waiting.insert(waiting.key(), waiting);
            }
        }
        for waiting in self.meanwhile.take().unwrap_or_default() {
            self.offer(waiting);
        }
    }

    /// Whether somebody is to begin handing over. Who is told so goes on until [`next`](Self::next) says `Idle`.
    pub(crate) fn start(&mut self, now: Timestamp) -> bool {
        let is_free = self.is_open && !self.is_closed && !self.is_handing_over;
        self.is_handing_over |= is_free && self.has_work(now);
        is_free && self.is_handing_over
    }

    /// Takes in that whoever hands over stops, whatever is left.
    pub(crate) fn stop(&mut self) {
        self.is_handing_over = false;
    }

    /// Whether somebody hands over, and may wait for something to change.
    pub(crate) fn is_handing_over(&self) -> bool {
        self.is_handing_over
    }

    fn has_work(&self, now: Timestamp) -> bool {
        self.pause_ends(now).is_some() || self.pick(now).is_some()
    }

    /// What is to be done next, with at most `limit` commands.
    pub(crate) fn next(&mut self, now: Timestamp, limit: usize) -> Step {
        if self.is_closed {
            self.is_handing_over = false;
            return Step::Idle;
        }
        let mut turns = Vec::new();
        while turns.len() < limit {
            match self.pick(now) {
                Some(Pick::Read(page)) if turns.is_empty() => {
                    self.meanwhile.get_or_insert_default();
                    return Step::Read(page);
                }
                Some(Pick::Waiting(class, rank, key)) => {
                    let waiting = self.lane_mut(class, rank).waiting.remove(&key);
                    if let Some(waiting) = waiting {
                        self.begin(waiting.id, class);
                        turns.push(waiting);
                    }
                }
                _ => break,
            }
        }
        if !turns.is_empty() {
            return Step::HandOver(turns);
        }
        if let Some(until) = self.pause_ends(now) {
            return Step::Wait(until);
        }
        self.is_handing_over = false;
        Step::Idle
    }

    /// Who is next, or what must be known to say it.
    fn pick(&self, now: Timestamp) -> Option<Pick> {
        Class::ALL.into_iter().find_map(|class| self.pick_of(class, now))
    }

    fn pick_of(&self, class: Class, now: Timestamp) -> Option<Pick> {
        let has_room = |rank: &Rank| self.places(class).has_room(*rank, now);
        let mut first: Option<(Rank, Key, Rank)> = None;
        for rank in Rank::ALL.into_iter().filter(has_room) {
            let lane = self.lane(class, rank);
            if let Some(after) = lane.missing() {
                return Some(Pick::Read(Page { class, rank, after }));
            }
            let candidate = lane.first().map(|waiting| (waiting.rank_at(now), waiting.key(), rank));
            first = [first, candidate].into_iter().flatten().min();
        }
        first.map(|(_, key, rank)| Pick::Waiting(class, rank, key))
    }

    /// When a pause ends for which somebody waits.
    fn pause_ends(&self, now: Timestamp) -> Option<Timestamp> {
        let is_waited_for = |class: &Class| {
            Rank::ALL.into_iter().any(|rank| {
                let lane = self.lane(*class, rank);
                lane.first().is_some() || lane.missing().is_some()
            })
        };
        let waited_for = Class::ALL.into_iter().filter(is_waited_for);
        waited_for.filter_map(|class| self.places(class).paused_until.filter(|until| *until > now)).min()
    }

    fn places(&self, class: Class) -> &Places {
        match class {
            Class::Process => &self.process,
            Class::Power => &self.power,
        }
    }

    fn places_mut(&mut self, class: Class) -> &mut Places {
        match class {
            Class::Process => &mut self.process,
            Class::Power => &mut self.power,
        }
    }

    fn lane(&self, class: Class, rank: Rank) -> &Lane {
        &self.lanes[class as usize * Rank::ALL.len() + rank as usize]
    }

    fn lane_mut(&mut self, class: Class, rank: Rank) -> &mut Lane {
        &mut self.lanes[class as usize * Rank::ALL.len() + rank as usize]
    }
}

/// Who is next, or what must be read to say it.
enum Pick {
    Read(Page),
    Waiting(Class, Rank, Key),
}

#[cfg(test)]
mod tests;
