//! What a job does next: which targets have their turn, and whether all have ended. Pure decisions; the driver carries
//! them out.
//!
//! Targets have their turn in their order, as many at the same time as the job's concurrency allows. A target whose satellite is
//! offline at its turn is deferred until the satellite is back; after a while it expires. Waves, a stop at failures and a
//! start at a given time belong into [`next`](Plan::next).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use hive_wire::api::{CommandStatus, JobCounts, TargetStatus};
use hive_wire::{CommandId, SatelliteId, SatelliteName};
use tokio::time::Instant;

/// The limits of a job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// The most targets in flight.
    pub(super) concurrency: usize,
    /// How long a target waits for its satellite to come back, from its turn on.
    pub(super) wait: Duration,
    /// How long after its hand-over a command may still run of which nothing was reported: its expiry and its timeout.
    pub(super) hold: Duration,
}

/// A target as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetState {
    pub(crate) satellite: SatelliteId,
    pub(crate) name: SatelliteName,
    /// None where it was not run.
    pub(crate) command: Option<CommandId>,
    pub(crate) status: TargetStatus,
    pub(crate) exit_code: Option<i32>,
}

/// A change of a target, by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetTransition {
    HandedOver(usize),
    Ended(usize),
}

impl TargetTransition {
    pub(crate) fn index(self) -> usize {
        match self {
            Self::HandedOver(index) | Self::Ended(index) => index,
        }
    }
}

/// The targets of one job, and how far each is.
#[derive(Debug)]
pub(super) struct Plan {
    rules: Rules,
    targets: Vec<TargetState>,
    indexes: HashMap<CommandId, usize>,
    /// Targets whose turn has not come.
    queue: BTreeSet<usize>,
    /// Targets whose turn came while their satellite was offline, and since when.
    deferred: BTreeMap<usize, Instant>,
    in_flight: BTreeMap<usize, InFlightTarget>,
    log: Vec<TargetTransition>,
    is_stopped: bool,
}

/// A command that was handed over.
#[derive(Debug, Clone, Copy)]
struct InFlightTarget {
    since: Instant,
    /// From here on it cannot run any more, whatever became of it.
    until: Instant,
    /// Since when its satellite was away before.
    waited: Option<Instant>,
}

impl Plan {
    /// A plan of these targets as they are now. `left` returns how long one that is in flight may still run.
    pub(super) fn new(rules: Rules, targets: Vec<TargetState>, now: Instant, left: impl Fn(usize) -> Duration) -> Self {
        let mut plan = Self {
            rules,
            indexes: HashMap::new(),
            queue: BTreeSet::new(),
            deferred: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            log: Vec::new(),
            is_stopped: false,
            targets,
        };
        for index in 0..plan.targets.len() {
            let TargetState { command, status, .. } = plan.targets[index].clone();
            plan.indexes.extend(command.map(|command| (command, index)));
            match status {
                TargetStatus::Command(CommandStatus::Queued) => drop(plan.queue.insert(index)),
                TargetStatus::Command(status) if !status.is_terminal() => {
                    plan.in_flight.insert(index, InFlightTarget { since: now, until: now + left(index), waited: None });
                    // What happened before a restart is in the log too: every follower begins with it.
                    plan.log.push(TargetTransition::HandedOver(index));
                }
                _ => plan.log.push(TargetTransition::Ended(index)),
            }
        }
        plan
    }

    /// Returns the commands whose turn it is. They count as in flight from here on.
    pub(super) fn next(&mut self, now: Instant, is_online: impl Fn(SatelliteId) -> bool) -> Vec<CommandId> {
        if self.is_stopped {
            return Vec::new();
        }
        // A command that cannot run any more takes no place, also where its end is not known yet.
        let busy = self.in_flight.values().filter(|in_flight| in_flight.until > now).count();
        let mut free = self.rules.concurrency.saturating_sub(busy);
        let mut turns = Vec::new();
        // Their turn was before those of the queue.
        let back: Vec<_> =
            self.deferred.keys().copied().filter(|index| is_online(self.targets[*index].satellite)).collect();
        for index in back {
            let waited = self.deferred.remove(&index);
            if free == 0 {
                // It waits for the concurrency limit from here on, and no longer for its satellite.
                self.queue.insert(index);
                continue;
            }
            free -= 1;
            turns.extend(self.start(index, now, waited));
        }
        while free > 0
            && let Some(index) = self.queue.pop_first()
        {
            if is_online(self.targets[index].satellite) {
                free -= 1;
                turns.extend(self.start(index, now, None));
            } else {
                self.deferred.insert(index, now);
            }
        }
        turns
    }

    fn start(&mut self, index: usize, now: Instant, waited: Option<Instant>) -> Option<CommandId> {
        self.in_flight.insert(index, InFlightTarget { since: now, until: now + self.rules.hold, waited });
        self.targets[index].status = TargetStatus::Command(CommandStatus::Delivered);
        self.targets[index].command
    }

    /// Notes that a command whose turn it was is on its way.
    pub(super) fn note_handed_over(&mut self, command: CommandId) {
        if let Some(index) = self.indexes.get(&command) {
            // The command may have ended already. Then this transition comes behind its end in the log, and followers
            // take the first.
            self.log.push(TargetTransition::HandedOver(*index));
        }
    }

    /// Defers a command whose turn it was: its satellite is offline, or accepts no commands.
    pub(super) fn defer(&mut self, command: CommandId, now: Instant) {
        if let Some((index, in_flight)) = self.remove_in_flight(command) {
            // The wait before counts on: a satellite that comes and goes must not keep the target open for ever.
            self.deferred.insert(index, in_flight.waited.unwrap_or(now));
        }
    }

    /// Takes back the turn of a command that failed in the hive itself.
    pub(super) fn requeue(&mut self, command: CommandId) {
        if let Some((index, in_flight)) = self.remove_in_flight(command) {
            match in_flight.waited {
                Some(since) => drop(self.deferred.insert(index, since)),
                None => drop(self.queue.insert(index)),
            }
        }
    }

    fn remove_in_flight(&mut self, command: CommandId) -> Option<(usize, InFlightTarget)> {
        let index = *self.indexes.get(&command)?;
        let in_flight = self.in_flight.remove(&index)?;
        self.targets[index].status = TargetStatus::Command(CommandStatus::Queued);
        Some((index, in_flight))
    }

    /// Notes that a command has ended. The first end counts; true where this is it.
    pub(super) fn note_ended(&mut self, command: CommandId, status: CommandStatus, exit_code: Option<i32>) -> bool {
        let Some(&index) = self.indexes.get(&command) else { return false };
        // `|` and not `||`: the target has to leave each of the sets.
        let was_queued = self.queue.remove(&index) | self.deferred.remove(&index).is_some();
        let was_open = was_queued | self.in_flight.remove(&index).is_some();
        if was_open {
            let target = &mut self.targets[index];
            (target.status, target.exit_code) = (TargetStatus::Command(status), exit_code);
            self.log.push(TargetTransition::Ended(index));
        }
        was_open
    }

    /// Stops the job: there are no more turns.
    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// Returns whether there are no more turns.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Returns the targets whose satellites were offline for too long.
    pub(super) fn expired(&self, now: Instant) -> Vec<CommandId> {
        let is_over = |since: &Instant| *since + self.rules.wait <= now;
        let expired = self.deferred.iter().filter(|(_, since)| is_over(since));
        expired.filter_map(|(index, _)| self.targets[*index].command).collect()
    }

    /// Returns the targets in flight.
    pub(super) fn in_flight(&self) -> Vec<(SatelliteId, CommandId)> {
        let targets = self.in_flight.keys().map(|index| &self.targets[*index]);
        targets.filter_map(|target| Some((target.satellite, target.command?))).collect()
    }

    /// Returns whether all targets have ended.
    pub(super) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.deferred.is_empty() && self.in_flight.is_empty()
    }

    /// Returns when there is something to do again without an event before.
    pub(super) fn wakes_at(&self, now: Instant) -> Option<Instant> {
        let expired = self.deferred.values().map(|since| *since + self.rules.wait).min();
        let is_waited_for = !self.queue.is_empty() || !self.deferred.is_empty();
        // One that is past its time has freed its place already.
        let freed =
            self.in_flight.values().map(|in_flight| in_flight.until).filter(|until| is_waited_for && *until > now);
        expired.into_iter().chain(freed.min()).min()
    }

    /// Returns when the last target will have ended or been in flight for this long; `None` where some wait for their turn.
    pub(super) fn wait_ends(&self, timeout: Duration) -> Option<Instant> {
        let is_waiting = !self.queue.is_empty() || !self.deferred.is_empty();
        let last = self.in_flight.values().map(|in_flight| in_flight.since + timeout).max();
        last.filter(|_| !is_waiting)
    }

    /// Returns how many targets have each status.
    pub(super) fn counts(&self) -> JobCounts {
        let mut counts = JobCounts::default();
        for target in &self.targets {
            counts.add(&target.status, 1);
        }
        counts
    }

    /// Returns the targets in their order.
    pub(super) fn targets(&self) -> &[TargetState] {
        &self.targets
    }

    /// Returns the transitions from a point on.
    pub(super) fn log(&self, from: usize) -> &[TargetTransition] {
        self.log.get(from..).unwrap_or_default()
    }

    /// Returns how many transitions there were.
    pub(super) fn log_len(&self) -> usize {
        self.log.len()
    }
}

#[cfg(test)]
mod tests;
