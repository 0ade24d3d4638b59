//! The timeouts of a session: without a link, without a claim on its output, without use.

use std::time::Duration;

use tokio::time::Instant;

/// Longer than any agent runs, and short enough to be added to an `Instant`.
const MAX_TIMEOUT: Duration = Duration::from_hours(10 * 365 * 24);

/// The timeouts of one session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionTimeouts {
    /// How long a claim on output is kept without the server.
    pub(crate) claim: Duration,
    /// How long the session outlives the link.
    pub(crate) linger: Duration,
    /// How long it may go without input and output.
    pub(crate) idle: Option<Duration>,
}

/// What a timeout leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeoutAction {
    /// The claim on the output has expired.
    ReleaseOutput,
    /// The session was without a link, or unused, for too long.
    EndSession,
}

/// The times at which the timeouts of one session started.
#[derive(Debug)]
pub(crate) struct SessionTimers {
    limits: SessionTimeouts,
    used_at: Instant,
    unlinked_since: Option<Instant>,
    /// Since when the server has not stated its claims.
    unclaimed_since: Option<Instant>,
}

impl SessionTimers {
    /// A session that was just started over a link.
    pub(crate) fn new(limits: SessionTimeouts, now: Instant) -> Self {
        let SessionTimeouts { claim, linger, idle } = limits;
        let limits = SessionTimeouts {
            claim: claim.min(MAX_TIMEOUT),
            linger: linger.min(MAX_TIMEOUT),
            idle: idle.map(|idle| idle.min(MAX_TIMEOUT)),
        };
        // The server has stated no claim on a new session yet, and may be lost before it does.
        Self { limits, used_at: now, unlinked_since: None, unclaimed_since: Some(now) }
    }

    /// Notes input or output.
    pub(crate) fn on_activity(&mut self, now: Instant) {
        self.used_at = now;
    }

    /// Notes that the link is lost.
    pub(crate) fn on_link_lost(&mut self, now: Instant) {
        // Not overwritten: a second loss without a resume in between must not restart the timeout.
        self.unlinked_since.get_or_insert(now);
        self.unclaimed_since.get_or_insert(now);
    }

    /// Notes that a link has resumed the session.
    pub(crate) fn on_link_resumed(&mut self) {
        self.unlinked_since = None;
    }

    /// Notes that the server has stated its claims.
    pub(crate) fn on_flow(&mut self) {
        self.unclaimed_since = None;
    }

    /// The timeout that has expired at `now`.
    pub(crate) fn due(&self, now: Instant) -> Option<TimeoutAction> {
        if self.end_at().is_some_and(|at| at <= now) {
            return Some(TimeoutAction::EndSession);
        }
        self.release_at().is_some_and(|at| at <= now).then_some(TimeoutAction::ReleaseOutput)
    }

    /// Notes that the output was released.
    pub(crate) fn on_release(&mut self) {
        self.unclaimed_since = None;
    }

    /// When the next timeout expires.
    pub(crate) fn next(&self) -> Option<Instant> {
        [self.end_at(), self.release_at()].into_iter().flatten().min()
    }

    fn end_at(&self) -> Option<Instant> {
        let is_idle = self.limits.idle.map(|idle| self.used_at + idle);
        let is_left = self.unlinked_since.map(|since| since + self.limits.linger);
        [is_idle, is_left].into_iter().flatten().min()
    }

    fn release_at(&self) -> Option<Instant> {
        self.unclaimed_since.map(|since| since + self.limits.claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SessionTimeouts = SessionTimeouts {
        claim: Duration::from_secs(30),
        linger: Duration::from_mins(10),
        idle: Some(Duration::from_hours(1)),
    };

    struct RelativeTime(Instant);

    impl RelativeTime {
        fn at(&self, seconds: u64) -> Instant {
            self.0 + Duration::from_secs(seconds)
        }
    }

    fn opened() -> (SessionTimers, RelativeTime) {
        let clock = RelativeTime(Instant::now());
        let mut timers = SessionTimers::new(LIMITS, clock.at(0));
        timers.on_flow();
        (timers, clock)
    }

    fn check(timers: &SessionTimers, now: Instant, due: Option<TimeoutAction>) {
        assert_eq!(timers.due(now), due);
        if due.is_none() {
            assert!(timers.next().is_none_or(|next| next > now), "it would be asked without a pause");
        }
    }

    #[test]
    fn output_is_kept_for_a_while_after_the_link_is_gone() {
        let (mut timers, clock) = opened();
        timers.on_link_lost(clock.at(100));
        check(&timers, clock.at(129), None);
        assert_eq!(timers.next(), Some(clock.at(130)));
        check(&timers, clock.at(130), Some(TimeoutAction::ReleaseOutput));
        timers.on_release();
        check(&timers, clock.at(131), None);
    }

    #[test]
    fn a_link_that_says_nothing_of_the_output_does_not_keep_it() {
        let (mut timers, clock) = opened();
        timers.on_link_lost(clock.at(100));
        timers.on_link_resumed();
        check(&timers, clock.at(130), Some(TimeoutAction::ReleaseOutput));
        timers.on_flow();
        check(&timers, clock.at(130), None);
    }

    #[test]
    fn a_link_that_breaks_again_and_again_gives_no_more_time() {
        let (mut timers, clock) = opened();
        timers.on_link_lost(clock.at(100));
        timers.on_link_resumed();
        timers.on_link_lost(clock.at(120));
        assert_eq!(timers.next(), Some(clock.at(130)));
        timers.on_release();
        assert_eq!(timers.next(), Some(clock.at(720)), "but each link is a return");
    }

    #[test]
    fn a_session_outlives_its_link_for_so_long() {
        let (mut timers, clock) = opened();
        timers.on_link_lost(clock.at(0));
        timers.on_link_lost(clock.at(500));
        timers.on_release();
        check(&timers, clock.at(599), None);
        check(&timers, clock.at(600), Some(TimeoutAction::EndSession));
    }

    #[test]
    fn an_unused_session_ends_and_a_used_one_does_not() {
        let (mut timers, clock) = opened();
        timers.on_activity(clock.at(3000));
        check(&timers, clock.at(3600), None);
        check(&timers, clock.at(6600), Some(TimeoutAction::EndSession));
        let unlimited = SessionTimers::new(SessionTimeouts { idle: None, ..LIMITS }, clock.at(0));
        assert_eq!(unlimited.due(clock.at(29)), None);
    }

    #[test]
    fn times_beyond_all_measure_are_for_ever() {
        let clock = RelativeTime(Instant::now());
        let limits = SessionTimeouts { claim: Duration::MAX, linger: Duration::MAX, idle: Some(Duration::MAX) };
        let mut timers = SessionTimers::new(limits, clock.at(0));
        timers.on_link_lost(clock.at(0));
        check(&timers, clock.at(1_000_000), None);
    }
}
