//! How long a command was under way before it was read: in the network, or in a socket of an agent that was stopped or of a
//! machine that slept.
//!
//! Clocks of two machines differ by any amount. What a message took is what its difference (read here minus sent there) is
//! more than the least difference of late. The handshake counts from when it was asked for, so that an answer that was read
//! late does not pass for a quick one. All times here are of clocks that do not jump; this one goes on in sleep as well.

use std::collections::VecDeque;
use std::time::Duration;

use hive_wire::agent::Command;
use hive_wire::{CommandId, Timestamp};

/// Messages whose differences are compared: ten minutes of heartbeats, in which clocks drift by milliseconds only.
const COMPARED: usize = 20;
/// Commands that were sent back and may come again. Of one that is forgotten the differences decide.
const SENT_BACK: usize = 1024;

/// Tells how old the messages of one link are.
#[derive(Debug)]
pub(crate) struct LinkClock {
    /// Microseconds read here minus sent there.
    differences: VecDeque<i64>,
    sent_back: VecDeque<(CommandId, Duration)>,
}

impl LinkClock {
    /// A link whose handshake was said at `asked_at`, and answered at `sent_at`. An older server does not say when.
    pub(crate) fn new(asked_at: Duration, sent_at: Option<Timestamp>) -> Self {
        let mut clock = Self { differences: VecDeque::new(), sent_back: VecDeque::new() };
        clock.compare(asked_at, sent_at);
        clock
    }

    /// Takes in a message that was read at `now`.
    pub(crate) fn compare(&mut self, now: Duration, sent_at: Option<Timestamp>) {
        if let Some(sent_at) = sent_at {
            if self.differences.len() == COMPARED {
                self.differences.pop_front();
            }
            self.differences.push_back(difference(now, sent_at));
        }
    }

    /// How long a command that was read at `now` may still be started; `None` where that may be over by now, and the server
    /// has to say. One that the server itself sends as expired is left as it is.
    pub(crate) fn time_left(&mut self, now: Duration, command: &Command) -> Option<Duration> {
        let expires_in = Duration::from_millis(command.expires_in_ms);
        // It was sent after it was sent back.
        let since_sent_back = self.take_sent_back(command.id).map(|then| now.saturating_sub(then));
        let age = [since_sent_back, self.age(now, command.sent_at)].into_iter().flatten().min().unwrap_or_default();
        if expires_in.is_zero() { Some(expires_in) } else { expires_in.checked_sub(age).filter(|left| !left.is_zero()) }
    }

    fn age(&self, now: Duration, sent_at: Option<Timestamp>) -> Option<Duration> {
        let age = difference(now, sent_at?) - self.differences.iter().min()?;
        Some(Duration::from_micros(u64::try_from(age).unwrap_or(0)))
    }

    /// Remembers that a command was sent back at `now`.
    pub(crate) fn send_back(&mut self, now: Duration, id: CommandId) {
        if self.sent_back.len() == SENT_BACK {
            self.sent_back.pop_front();
        }
        self.sent_back.push_back((id, now));
    }

    fn take_sent_back(&mut self, id: CommandId) -> Option<Duration> {
        let place = self.sent_back.iter().position(|(sent_back, _)| *sent_back == id)?;
        self.sent_back.remove(place).map(|(_, then)| then)
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

    /// The server's clock is this far ahead.
    const AHEAD: i64 = 1_700_000_000_000_000;

    fn here(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A time of ours by the server's clock.
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
        // Said at 1,000, answered at 1,010, and read at 9,000 with the command behind it.
        let mut clock = LinkClock::new(here(1000), there(1010));
        check(&mut clock, 9000, 1020, 3000, None);
    }

    #[test]
    fn a_command_that_was_sent_back_is_as_old_as_that_at_most() {
        // The server took five seconds to answer: how old anything is, is not known better than that.
        let mut clock = LinkClock::new(here(0), there(5000));
        check(&mut clock, 6000, 6000, 3000, None);
        clock.send_back(here(6000), command(None, 0).id);
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
