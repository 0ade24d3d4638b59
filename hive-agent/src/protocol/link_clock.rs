//! Measures how long a command was in transit before it was read: in the network, or in a socket of an agent or a
//! machine that was suspended.
//!
//! The clocks of two machines differ by an unknown offset. For each message the difference between the time read here
//! and the time sent there is computed. Its transit time is this difference minus the smallest recent one. The first
//! difference uses the time at which the handshake was sent, so that a late read of its answer does not count as a fast
//! one. All times come from monotonic clocks; the one here also counts while the machine sleeps.

use std::collections::VecDeque;
use std::time::Duration;

use hive_wire::agent::Command;
use hive_wire::{CommandId, Timestamp};

/// Messages whose differences are compared: ten minutes of heartbeats, in which clocks drift by milliseconds.
const MAX_DIFFERENCES: usize = 20;
/// Commands that were returned as busy and may be sent again. For a command that is no longer listed the differences
/// alone decide.
const MAX_BUSY: usize = 1024;

/// The transit times of the messages of one link.
#[derive(Debug)]
pub(crate) struct LinkClock {
    /// Time read here minus time sent there, in microseconds.
    differences: VecDeque<i64>,
    busy: VecDeque<(CommandId, Duration)>,
}

impl LinkClock {
    /// A link whose handshake was sent at `handshake_sent_at`, and answered by the server at `sent_at`. Older servers do not
    /// send the time.
    pub(crate) fn new(handshake_sent_at: Duration, sent_at: Option<Timestamp>) -> Self {
        let mut clock = Self { differences: VecDeque::new(), busy: VecDeque::new() };
        clock.compare(handshake_sent_at, sent_at);
        clock
    }

    /// Records a message that was read at `now`.
    pub(crate) fn compare(&mut self, now: Duration, sent_at: Option<Timestamp>) {
        if let Some(sent_at) = sent_at {
            // An old minimum would make every message look late when the clocks drift apart.
            if self.differences.len() == MAX_DIFFERENCES {
                self.differences.pop_front();
            }
            self.differences.push_back(difference(now, sent_at));
        }
    }

    /// How long a command that was read at `now` may still be started. `None` where it may have expired, which only the
    /// server can tell. A command that the server sends as expired stays expired.
    pub(crate) fn time_left(&mut self, now: Duration, command: &Command) -> Option<Duration> {
        let expires_in = Duration::from_millis(command.expires_in_ms);
        // The server sent it after it was returned, so its age cannot be larger.
        let since_busy = self.take_busy(command.id).map(|then| now.saturating_sub(then));
        // Both are upper bounds of the age, so the smaller one is closer to it.
        let age = [since_busy, self.age(now, command.sent_at)].into_iter().flatten().min().unwrap_or_default();
        // Zero is how the server says that the command has expired; the caller then refuses it.
        if expires_in.is_zero() { Some(expires_in) } else { expires_in.checked_sub(age).filter(|left| !left.is_zero()) }
    }

    fn age(&self, now: Duration, sent_at: Option<Timestamp>) -> Option<Duration> {
        let age = difference(now, sent_at?) - self.differences.iter().min()?;
        Some(Duration::from_micros(u64::try_from(age).unwrap_or(0)))
    }

    /// Records that a command was returned as busy at `now`.
    pub(crate) fn record_busy(&mut self, now: Duration, id: CommandId) {
        if self.busy.len() == MAX_BUSY {
            self.busy.pop_front();
        }
        self.busy.push_back((id, now));
    }

    fn take_busy(&mut self, id: CommandId) -> Option<Duration> {
        let place = self.busy.iter().position(|(busy, _)| *busy == id)?;
        self.busy.remove(place).map(|(_, then)| then)
    }
}

fn difference(now: Duration, sent_at: Timestamp) -> i64 {
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX).saturating_sub(sent_at.as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::agent::{ExecSpec, Payload, Received};
    use hive_wire::id::Seed;

    /// How far the server's clock is ahead, in microseconds.
    const AHEAD: i64 = 1_700_000_000_000_000;

    fn here(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A local time in milliseconds as the server's clock shows it.
    #[expect(clippy::unnecessary_wraps, reason = "as messages carry it")]
    fn there(ms: u64) -> Option<Timestamp> {
        Some(Timestamp::from_micros(AHEAD + i64::try_from(ms).unwrap() * 1000))
    }

    fn command(sent_at: Option<Timestamp>, expires_in_ms: u64) -> Command {
        Command {
            id: CommandId::new(Seed { unix_millis: 1, random: [1; 10] }),
            expires_in_ms,
            sent_at,
            started: false,
            received: Received::default(),
            payload: Payload::Exec(ExecSpec::default()),
        }
    }

    fn check(clock: &mut LinkClock, read: u64, sent: u64, expires_in_ms: u64, expected: Option<u64>) {
        let left = clock.time_left(here(read), &command(there(sent), expires_in_ms));
        assert_eq!(left, expected.map(here), "sent at {sent}, read at {read}");
    }

    #[test]
    fn a_command_that_lay_in_the_socket_is_older_than_it_looks() {
        let mut clock = LinkClock::new(here(1000), there(1010));
        check(&mut clock, 1100, 1100, 3000, Some(2990));
        check(&mut clock, 9100, 1100, 3000, None);
        check(&mut clock, 9100, 9090, 3000, Some(2980));
        check(&mut clock, 9100, 1100, 300_000, Some(300_000 - 8010));
    }

    #[test]
    fn an_answer_to_the_handshake_that_is_read_late_is_no_excuse() {
        // Sent at 1,000, answered at 1,010, and read at 9,000 together with the command behind it.
        let mut clock = LinkClock::new(here(1000), there(1010));
        check(&mut clock, 9000, 1020, 3000, None);
    }

    #[test]
    fn a_command_that_was_sent_back_is_as_old_as_that_at_most() {
        // The server took five seconds to answer, so no age is known more precisely than that.
        let mut clock = LinkClock::new(here(0), there(5000));
        check(&mut clock, 6000, 6000, 3000, None);
        clock.record_busy(here(6000), command(None, 0).id);
        check(&mut clock, 6050, 6020, 2900, Some(2850));
        check(&mut clock, 6100, 6100, 2900, None);
    }

    #[test]
    fn clocks_may_drift_apart_over_the_days() {
        let mut clock = LinkClock::new(here(0), there(0));
        for minute in 0..100 {
            let (read, sent) = (minute * 60_000 + minute * 50, minute * 60_000);
            clock.compare(here(read), there(sent));
        }
        let now = 100 * 60_000;
        let left = clock.time_left(here(now + 100 * 50), &command(there(now), 3000)).unwrap();
        assert!(left >= here(2000), "{left:?}");
    }

    #[test]
    fn a_server_that_says_no_times_is_believed() {
        let mut clock = LinkClock::new(here(0), None);
        assert_eq!(clock.time_left(here(9000), &command(None, 3000)), Some(here(3000)));
        assert_eq!(clock.time_left(here(9000), &command(None, 0)), Some(here(0)));
    }
}
