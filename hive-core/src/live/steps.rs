//! When a feed reads again what changes often, and when it reports that something changed that it does not show.

use std::time::Duration;

use tokio::time::Instant;

/// The reading of states in steps: the first change after a pause at once, and further ones together after an interval.
#[derive(Debug)]
pub(super) struct StateSteps {
    interval: Duration,
    phase: StepPhase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StepPhase {
    /// Nothing has changed since the last reading.
    Idle,
    /// Something has changed.
    Due,
    /// Something was read, and the next reading is not before this time.
    Resting(Instant),
}

impl StateSteps {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, phase: StepPhase::Idle }
    }

    /// Whether it is time to read.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        match self.phase {
            StepPhase::Idle => false,
            StepPhase::Due => true,
            StepPhase::Resting(until) => now >= until,
        }
    }

    /// Notes that something was read, or that there was nothing to read.
    pub(super) fn on_read(&mut self, now: Instant, has_found: bool) {
        // After a step in which nothing was found the next change is read at once again.
        self.phase = if has_found { StepPhase::Resting(now + self.interval) } else { StepPhase::Idle };
    }

    /// Whether the next change matters. While it rests, a wake-up for each change would cost more than the change.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == StepPhase::Idle
    }

    /// Notes a change.
    pub(super) fn on_change(&mut self) {
        if self.phase == StepPhase::Idle {
            self.phase = StepPhase::Due;
        }
    }

    /// When to read next, where that is known.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        match self.phase {
            StepPhase::Resting(until) => Some(until),
            StepPhase::Idle | StepPhase::Due => None,
        }
    }
}

/// The reports that something changed which the client has not subscribed to.
#[derive(Debug)]
pub(super) struct ChangeReports {
    interval: Duration,
    /// The number of the last event that was not reported.
    changed: Option<u64>,
    not_before: Option<Instant>,
}

impl ChangeReports {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, changed: None, not_before: None }
    }

    /// Notes a change by the number of its event.
    pub(super) fn on_change(&mut self, seq: u64) {
        self.changed = Some(seq);
    }

    /// Whether it is time for a report.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.changed.is_some() && self.not_before.is_none_or(|at| now >= at)
    }

    /// Notes a report that includes the events up to this number. A change behind it is reported with the next one.
    pub(super) fn on_report(&mut self, now: Instant, up_to: u64) {
        self.changed = self.changed.filter(|changed| *changed > up_to);
        self.not_before = Some(now + self.interval);
    }

    /// When the next report is due, where one is.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.changed.and(self.not_before)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_millis(250);

    #[test]
    fn the_first_change_is_read_at_once_and_further_ones_together() {
        let (mut steps, now) = (StateSteps::new(INTERVAL), Instant::now());
        assert!(!steps.is_due(now) && steps.is_idle());
        steps.on_change();
        assert!(steps.is_due(now));
        steps.on_read(now, true);
        steps.on_change();
        assert!(!steps.is_due(now) && !steps.is_idle());
        assert_eq!(steps.wakes_at(), Some(now + INTERVAL));
        assert!(steps.is_due(now + INTERVAL));
        steps.on_read(now + INTERVAL, false);
        assert!(steps.is_idle() && steps.wakes_at().is_none());
    }

    #[test]
    fn a_report_of_before_the_last_change_is_followed_by_another() {
        let (mut reports, now) = (ChangeReports::new(INTERVAL), Instant::now());
        reports.on_change(7);
        assert!(reports.is_due(now));
        reports.on_report(now, 6);
        assert!(!reports.is_due(now) && reports.wakes_at() == Some(now + INTERVAL));
        assert!(reports.is_due(now + INTERVAL));
        reports.on_report(now + INTERVAL, 7);
        assert!(!reports.is_due(now + 10 * INTERVAL) && reports.wakes_at().is_none());
    }

    proptest! {
        #[test]
        fn no_two_steps_are_closer_than_the_interval(changes in vec(0_u64..2000, 1..100)) {
            let start = Instant::now();
            let mut changes: Vec<_> = changes.into_iter().map(|at| start + Duration::from_millis(at)).collect();
            changes.sort_unstable();
            let (mut steps, mut reads, mut unread) = (StateSteps::new(INTERVAL), Vec::new(), 0);
            let mut changes = changes.into_iter().peekable();
            let mut now = start;
            // The loop of a feed: it reads where that is due, and wakes with a change or at the time of the steps.
            loop {
                while changes.next_if(|at| *at <= now).is_some() {
                    unread += 1;
                    steps.on_change();
                }
                if steps.is_due(now) {
                    if unread > 0 {
                        reads.push(now);
                    }
                    steps.on_read(now, unread > 0);
                    unread = 0;
                }
                match (changes.peek().copied(), steps.wakes_at()) {
                    (Some(change), Some(wake)) => now = change.min(wake),
                    (Some(at), None) | (None, Some(at)) => now = at,
                    (None, None) => break,
                }
            }
            prop_assert_eq!(unread, 0, "every change is read");
            prop_assert!(reads.windows(2).all(|pair| pair[1] - pair[0] >= INTERVAL));
        }
    }
}
