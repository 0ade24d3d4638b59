//! What a job does next: which targets have their turn, and whether all have ended. Pure decisions; the driver carries
//! them out.
//!
//! Targets have their turn in their order, as many as the cap lets. One whose satellite is away when its turn comes is
//! passed over, and takes its turn when the satellite is back; after a while it is given up. Where a job is to go on in
//! waves, stop at failures or begin at a given time, [`next`](Plan::next) is the place.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use hive_wire::api::{CommandStatus, JobCounts, TargetStatus};
use hive_wire::{CommandId, SatelliteId, SatelliteName};
use tokio::time::Instant;

/// What a job has to keep to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// The most targets under way.
    pub(super) cap: usize,
    /// How long a satellite that is away is waited for, from its turn on.
    pub(super) wait: Duration,
    /// How long after its hand-over a command may still run that nothing was heard of: its expiry and its timeout.
    pub(super) hold: Duration,
}

/// A target as whoever looks at the job sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) satellite: SatelliteId,
    pub(crate) name: SatelliteName,
    /// None where it was not run.
    pub(crate) command: Option<CommandId>,
    pub(crate) status: TargetStatus,
    pub(crate) exit_code: Option<i32>,
}

/// Something that happened, by the target's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    HandedOver(usize),
    Ended(usize),
}

impl Happening {
    pub(crate) fn place(self) -> usize {
        match self {
            Self::HandedOver(place) | Self::Ended(place) => place,
        }
    }
}

/// The targets of one job, and how far each is.
#[derive(Debug)]
pub(super) struct Plan {
    rules: Rules,
    spots: Vec<Spot>,
    places: HashMap<CommandId, usize>,
    /// Those whose turn has not come.
    queue: BTreeSet<usize>,
    /// Those whose turn came while their satellite was away, and since when.
    passed: BTreeMap<usize, Instant>,
    under_way: BTreeMap<usize, Flight>,
    story: Vec<Happening>,
    is_stopped: bool,
}

/// A command that was handed over.
#[derive(Debug, Clone, Copy)]
struct Flight {
    since: Instant,
    /// From here on it cannot run any more, whatever became of it.
    until: Instant,
    /// Since when its satellite was away before.
    waited: Option<Instant>,
}

impl Plan {
    /// A plan of these targets as they stand. `left` says how long one that is under way may still run.
    pub(super) fn new(rules: Rules, spots: Vec<Spot>, now: Instant, left: impl Fn(usize) -> Duration) -> Self {
        let mut plan = Self {
            rules,
            places: HashMap::new(),
            queue: BTreeSet::new(),
            passed: BTreeMap::new(),
            under_way: BTreeMap::new(),
            story: Vec::new(),
            is_stopped: false,
            spots,
        };
        for place in 0..plan.spots.len() {
            let Spot { command, status, .. } = plan.spots[place].clone();
            plan.places.extend(command.map(|command| (command, place)));
            match status {
                TargetStatus::Command(CommandStatus::Queued) => drop(plan.queue.insert(place)),
                TargetStatus::Command(status) if !status.is_terminal() => {
                    plan.under_way.insert(place, Flight { since: now, until: now + left(place), waited: None });
                    plan.story.push(Happening::HandedOver(place));
                }
                _ => plan.story.push(Happening::Ended(place)),
            }
        }
        plan
    }

    /// Gives the commands whose turn it is. They count as under way from here on.
    pub(super) fn next(&mut self, now: Instant, is_online: impl Fn(SatelliteId) -> bool) -> Vec<CommandId> {
        if self.is_stopped {
            return Vec::new();
        }
        let busy = self.under_way.values().filter(|flight| flight.until > now).count();
        let mut free = self.rules.cap.saturating_sub(busy);
        let mut turns = Vec::new();
        let back: Vec<_> =
            self.passed.keys().copied().filter(|place| is_online(self.spots[*place].satellite)).collect();
        for place in back {
            let waited = self.passed.remove(&place);
            if free == 0 {
                // From here on it is the cap that it waits for.
                self.queue.insert(place);
                continue;
            }
            free -= 1;
            turns.extend(self.take_off(place, now, waited));
        }
        while free > 0
            && let Some(place) = self.queue.pop_first()
        {
            if is_online(self.spots[place].satellite) {
                free -= 1;
                turns.extend(self.take_off(place, now, None));
            } else {
                self.passed.insert(place, now);
            }
        }
        turns
    }

    fn take_off(&mut self, place: usize, now: Instant, waited: Option<Instant>) -> Option<CommandId> {
        self.under_way.insert(place, Flight { since: now, until: now + self.rules.hold, waited });
        self.spots[place].status = TargetStatus::Command(CommandStatus::Delivered);
        self.spots[place].command
    }

    /// Takes in that a command whose turn it was is on its way.
    pub(super) fn handed_over(&mut self, command: CommandId) {
        if let Some(place) = self.places.get(&command) {
            self.story.push(Happening::HandedOver(*place));
        }
    }

    /// Takes in that a command whose turn it was could not be handed over: its satellite is away, or not to be used.
    pub(super) fn passed_over(&mut self, command: CommandId, now: Instant) {
        if let Some((place, flight)) = self.land(command) {
            self.passed.insert(place, flight.waited.unwrap_or(now));
        }
    }

    /// Takes back a turn that came to nothing for reasons of our own.
    pub(super) fn give_back(&mut self, command: CommandId) {
        if let Some((place, flight)) = self.land(command) {
            match flight.waited {
                Some(since) => drop(self.passed.insert(place, since)),
                None => drop(self.queue.insert(place)),
            }
        }
    }

    fn land(&mut self, command: CommandId) -> Option<(usize, Flight)> {
        let place = *self.places.get(&command)?;
        let flight = self.under_way.remove(&place)?;
        self.spots[place].status = TargetStatus::Command(CommandStatus::Queued);
        Some((place, flight))
    }

    /// Takes in that a command has ended. The first end counts; true where this is it.
    pub(super) fn ended(&mut self, command: CommandId, status: CommandStatus, exit_code: Option<i32>) -> bool {
        let Some(&place) = self.places.get(&command) else { return false };
        let was_queued = self.queue.remove(&place) | self.passed.remove(&place).is_some();
        let was_open = was_queued | self.under_way.remove(&place).is_some();
        if was_open {
            let spot = &mut self.spots[place];
            (spot.status, spot.exit_code) = (TargetStatus::Command(status), exit_code);
            self.story.push(Happening::Ended(place));
        }
        was_open
    }

    /// Gives no more turns.
    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// Whether it gives no more turns.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Those whose satellites were away for too long.
    pub(super) fn given_up(&self, now: Instant) -> Vec<CommandId> {
        let is_over = |since: &Instant| *since + self.rules.wait <= now;
        let given_up = self.passed.iter().filter(|(_, since)| is_over(since));
        given_up.filter_map(|(place, _)| self.spots[*place].command).collect()
    }

    /// Those under way.
    pub(super) fn under_way(&self) -> Vec<(SatelliteId, CommandId)> {
        let spots = self.under_way.keys().map(|place| &self.spots[*place]);
        spots.filter_map(|spot| Some((spot.satellite, spot.command?))).collect()
    }

    /// Whether all targets have ended.
    pub(super) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.passed.is_empty() && self.under_way.is_empty()
    }

    /// When there is something to do again, although nothing happens.
    pub(super) fn wakes_at(&self, now: Instant) -> Option<Instant> {
        let given_up = self.passed.values().map(|since| *since + self.rules.wait).min();
        let is_waited_for = !self.queue.is_empty() || !self.passed.is_empty();
        let freed = self.under_way.values().map(|flight| flight.until).filter(|until| is_waited_for && *until > now);
        given_up.into_iter().chain(freed.min()).min()
    }

    /// When the last of the targets will have ended or been under way for so long; `None` where some wait for their turn.
    pub(super) fn patience_ends(&self, patience: Duration) -> Option<Instant> {
        let is_waiting = !self.queue.is_empty() || !self.passed.is_empty();
        let last = self.under_way.values().map(|flight| flight.since + patience).max();
        last.filter(|_| !is_waiting)
    }

    /// How many targets are how far.
    pub(super) fn counts(&self) -> JobCounts {
        let mut counts = JobCounts::default();
        for spot in &self.spots {
            counts.add(&spot.status, 1);
        }
        counts
    }

    /// The targets in their order.
    pub(super) fn spots(&self) -> &[Spot] {
        &self.spots
    }

    /// What has happened, from a point on.
    pub(super) fn story(&self, from: usize) -> &[Happening] {
        self.story.get(from..).unwrap_or_default()
    }

    /// How much has happened.
    pub(super) fn chapter(&self) -> usize {
        self.story.len()
    }
}

#[cfg(test)]
mod tests;
