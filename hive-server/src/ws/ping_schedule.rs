//! When a client is pinged, and when it counts as gone.

use std::time::Duration;

use tokio::time::Instant;

/// Pings that may stay unanswered. When one more is due, the client has sent nothing for three intervals, and is closed.
const MAX_MISSED_PINGS: u32 = 2;

/// The pings of one client.
#[derive(Debug)]
pub(super) struct PingSchedule {
    at: Instant,
    interval: Duration,
    missed: u32,
}

/// What is to be done when a ping is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PingStep {
    /// Nothing.
    Wait,
    /// Send one.
    Send,
    /// Close the socket: the client is gone.
    TimedOut,
}

impl PingSchedule {
    pub(super) fn new(now: Instant, interval: Duration) -> Self {
        Self { at: now + interval, interval, missed: 0 }
    }

    /// When the next ping is due.
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// Notes that the client has sent something. Any message shows that it is there, not only a pong.
    pub(super) fn on_received(&mut self) {
        self.missed = 0;
    }

    /// Returns what is to be done now. A client that does not read gets no ping: it would wait behind what is not read.
    pub(super) fn step(&mut self, now: Instant, is_reading: bool) -> PingStep {
        if now < self.at {
            return PingStep::Wait;
        }
        self.at = now + self.interval;
        match (is_reading, self.missed) {
            (false, _) => PingStep::Wait,
            (true, MAX_MISSED_PINGS) => PingStep::TimedOut,
            (true, _) => {
                self.missed += 1;
                PingStep::Send
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    #[test]
    fn a_client_that_sends_nothing_for_three_intervals_is_gone() {
        let start = Instant::now();
        let mut pings = PingSchedule::new(start, INTERVAL);
        assert_eq!(pings.step(start, true), PingStep::Wait);
        assert_eq!(pings.step(start + INTERVAL, true), PingStep::Send);
        pings.on_received();
        let steps = [2, 3, 4].map(|count| pings.step(start + count * INTERVAL, true));
        assert_eq!(steps, [PingStep::Send, PingStep::Send, PingStep::TimedOut]);
    }

    #[test]
    fn a_client_that_does_not_read_is_not_pinged() {
        let start = Instant::now();
        let mut pings = PingSchedule::new(start, INTERVAL);
        assert!((1..9).all(|count| pings.step(start + count * INTERVAL, false) == PingStep::Wait));
    }
}
