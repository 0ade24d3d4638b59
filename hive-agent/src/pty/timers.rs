//! How long a terminal waits: for the link, for somebody who needs its output, for any use at all.

use std::time::Duration;

use tokio::time::Instant;

/// Long enough to be for ever, and short enough to be added to a time.
const FOR_EVER: Duration = Duration::from_hours(10 * 365 * 24);

/// How long a terminal waits for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long output is kept for somebody who needs it while the server is away.
    pub(crate) claim: Duration,
    /// How long it outlives the link.
    pub(crate) linger: Duration,
    /// How long it may go without input and output.
    pub(crate) idle: Option<Duration>,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nobody has come back for the output.
    Release,
    /// Nobody has come back at all, or used it.
    End,
}

/// The times that decide about one terminal.
#[derive(Debug)]
pub(crate) struct Patience {
    limits: Limits,
    used_at: Instant,
    away_since: Option<Instant>,
    /// Since when the server has not said who needs what.
    unclear_since: Option<Instant>,
}

impl Patience {
    /// A terminal that was just opened by a server that is there.
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        let Limits { claim, linger, idle } = limits;
        let limits = Limits {
            claim: claim.min(FOR_EVER),
            linger: linger.min(FOR_EVER),
            idle: idle.map(|idle| idle.min(FOR_EVER)),
        };
        Self { limits, used_at: now, away_since: None, unclear_since: Some(now) }
    }

    /// There was input or output.
    pub(crate) fn on_use(&mut self, now: Instant) {
        self.used_at = now;
    }

    /// The link is gone.
    pub(crate) fn on_leave(&mut self, now: Instant) {
        self.away_since.get_or_insert(now);
        self.unclear_since.get_or_insert(now);
    }

    /// A link goes on with it.
    pub(crate) fn on_return(&mut self) {
        self.away_since = None;
    }

    /// The server has said who needs what.
    pub(crate) fn on_flow(&mut self) {
        self.unclear_since = None;
    }

    /// What is to be done at this time.
    pub(crate) fn due(&self, now: Instant) -> Option<Due> {
        if self.ends_at().is_some_and(|at| at <= now) {
            return Some(Due::End);
        }
        self.releases_at().is_some_and(|at| at <= now).then_some(Due::Release)
    }

    /// The output was released.
    pub(crate) fn on_release(&mut self) {
        self.unclear_since = None;
    }

    /// When to ask again.
    pub(crate) fn next(&self) -> Option<Instant> {
        [self.ends_at(), self.releases_at()].into_iter().flatten().min()
    }

    fn ends_at(&self) -> Option<Instant> {
        let is_idle = self.limits.idle.map(|idle| self.used_at + idle);
        let is_left = self.away_since.map(|since| since + self.limits.linger);
        [is_idle, is_left].into_iter().flatten().min()
    }

    fn releases_at(&self) -> Option<Instant> {
        self.unclear_since.map(|since| since + self.limits.claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits =
        Limits { claim: Duration::from_secs(30), linger: Duration::from_mins(10), idle: Some(Duration::from_hours(1)) };

    struct Clock(Instant);

    impl Clock {
        fn at(&self, seconds: u64) -> Instant {
            self.0 + Duration::from_secs(seconds)
        }
    }

    fn opened() -> (Patience, Clock) {
        let clock = Clock(Instant::now());
        let mut patience = Patience::new(LIMITS, clock.at(0));
        patience.on_flow();
        (patience, clock)
    }

    fn check(patience: &Patience, now: Instant, due: Option<Due>) {
        assert_eq!(patience.due(now), due);
        if due.is_none() {
            assert!(patience.next().is_none_or(|next| next > now), "it would be asked without a pause");
        }
    }

    #[test]
    fn output_is_kept_for_a_while_after_the_link_is_gone() {
        let (mut patience, clock) = opened();
        patience.on_leave(clock.at(100));
        check(&patience, clock.at(129), None);
        assert_eq!(patience.next(), Some(clock.at(130)));
        check(&patience, clock.at(130), Some(Due::Release));
        patience.on_release();
        check(&patience, clock.at(131), None);
    }

    #[test]
    fn a_link_that_says_nothing_of_the_output_does_not_keep_it() {
        let (mut patience, clock) = opened();
        patience.on_leave(clock.at(100));
        patience.on_return();
        check(&patience, clock.at(130), Some(Due::Release));
        patience.on_flow();
        check(&patience, clock.at(130), None);
    }

    #[test]
    fn a_link_that_breaks_again_and_again_gives_no_more_time() {
        let (mut patience, clock) = opened();
        patience.on_leave(clock.at(100));
        patience.on_return();
        patience.on_leave(clock.at(120));
        assert_eq!(patience.next(), Some(clock.at(130)));
        patience.on_release();
        assert_eq!(patience.next(), Some(clock.at(720)), "but each link is a return");
    }

    #[test]
    fn a_terminal_outlives_its_link_for_so_long() {
        let (mut patience, clock) = opened();
        patience.on_leave(clock.at(0));
        patience.on_leave(clock.at(500));
        patience.on_release();
        check(&patience, clock.at(599), None);
        check(&patience, clock.at(600), Some(Due::End));
    }

    #[test]
    fn an_unused_terminal_ends_and_a_used_one_does_not() {
        let (mut patience, clock) = opened();
        patience.on_use(clock.at(3000));
        check(&patience, clock.at(3600), None);
        check(&patience, clock.at(6600), Some(Due::End));
        let unlimited = Patience::new(Limits { idle: None, ..LIMITS }, clock.at(0));
        assert_eq!(unlimited.due(clock.at(29)), None);
    }

    #[test]
    fn times_beyond_all_measure_are_for_ever() {
        let clock = Clock(Instant::now());
        let limits = Limits { claim: Duration::MAX, linger: Duration::MAX, idle: Some(Duration::MAX) };
        let mut patience = Patience::new(limits, clock.at(0));
        patience.on_leave(clock.at(0));
        check(&patience, clock.at(1_000_000), None);
    }
}
