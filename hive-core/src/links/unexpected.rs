//! Limits for messages that a satellite had no reason to send: how many are logged, and how many close the link.
//!
//! A satellite that was restored or cut off may send some. One that sends thousands in a minute is broken or hostile, and
//! must not fill the log: the first few of each kind are logged, then their number alone, and then the link is closed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Display;
use std::sync::Mutex;

use hive_wire::{SatelliteId, Timestamp};
use tracing::warn;

use super::protocol_violation;
use crate::Result;
use crate::sync::lock;

/// Messages of one kind that are logged in a minute.
const LOGGED_PER_MINUTE: u64 = 5;
/// Messages of one kind that a satellite may send in a minute: more than it has commands under way. With one more, its link
/// ends, and so does a new one with the next such message.
const MAX_PER_MINUTE: u64 = 2000;
/// The same for messages about commands that are not in flight. The limit is higher because a busy satellite sends several
/// messages about each command that the server has just ended. There is a limit because each message costs a database read.
const MAX_NOT_IN_FLIGHT_PER_MINUTE: u64 = 10_000;

/// What such a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum UnexpectedKind {
    /// The end, the start or the output of a command that the satellite was not given.
    Command,
    /// A session that the satellite does not have.
    Session,
    /// A session that was not requested over this link.
    UnrequestedSession,
    /// An error that the satellite reports.
    ErrorReport,
    /// A command that is not in flight. It may be one that has ended, so that these messages are not logged.
    NotInFlight,
}

impl UnexpectedKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Command => "message about a command this satellite was not given",
            Self::Session => "message about a session this satellite was not given",
            Self::UnrequestedSession => "session that was not requested over this link",
            Self::ErrorReport => "satellite reports an error",
            Self::NotInFlight => "message about a command that is not running",
        }
    }

    fn logged_per_minute(self) -> u64 {
        if self == Self::NotInFlight { 0 } else { LOGGED_PER_MINUTE }
    }

    fn max_per_minute(self) -> u64 {
        if self == Self::NotInFlight { MAX_NOT_IN_FLIGHT_PER_MINUTE } else { MAX_PER_MINUTE }
    }

    /// Returns how many of `count` messages are neither logged one by one nor left out on purpose.
    fn suppressed(self, count: u64) -> u64 {
        if self == Self::NotInFlight { 0 } else { count.saturating_sub(LOGGED_PER_MINUTE) }
    }
}

/// What to do with one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MessageDecision {
    /// Log it.
    Log,
    /// Count it.
    Count,
    /// End the link. `is_first` says that this minute's end is not logged yet.
    End { is_first: bool },
}

/// The messages of one kind and satellite in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MessageMinute {
    minute: i64,
    count: u64,
}

impl MessageMinute {
    fn note(&mut self, kind: UnexpectedKind) -> MessageDecision {
        self.count += 1;
        if self.count <= kind.logged_per_minute() {
            MessageDecision::Log
        } else if self.count <= kind.max_per_minute() {
            MessageDecision::Count
        } else {
            // A satellite whose link was closed connects again and goes on. That is logged once a minute.
            MessageDecision::End { is_first: self.count == kind.max_per_minute() + 1 }
        }
    }
}

/// Messages that were not logged.
#[derive(Debug, PartialEq, Eq)]
struct Suppressed {
    satellite: SatelliteId,
    kind: UnexpectedKind,
    count: u64,
}

impl Suppressed {
    fn log(&self) {
        let Self { satellite, kind, count } = self;
        warn!(satellite.id = %satellite, suppressed = count, "more of the same in the last minute: {}", kind.as_str());
    }
}

/// The unexpected messages of all satellites.
#[derive(Debug, Default)]
pub(crate) struct UnexpectedMessages(HashMap<(SatelliteId, UnexpectedKind), MessageMinute>);

impl UnexpectedMessages {
    fn note(
        &mut self,
        satellite: SatelliteId,
        kind: UnexpectedKind,
        now: Timestamp,
    ) -> (MessageDecision, Option<Suppressed>) {
        let minute = now.as_seconds().div_euclid(60);
        let fresh = MessageMinute { minute, count: 0 };
        match self.0.entry((satellite, kind)) {
            // The sum of the last minute is returned and not logged here: the caller holds the lock.
            Entry::Occupied(mut entry) if entry.get().minute != minute => {
                let count = kind.suppressed(entry.insert(fresh).count);
                (entry.get_mut().note(kind), (count > 0).then_some(Suppressed { satellite, kind, count }))
            }
            // The same minute, or the first message of its kind.
            entry => (entry.or_insert(fresh).note(kind), None),
        }
    }

    /// Forgets the minutes that are over, and returns what was not logged in them.
    fn take_suppressed(&mut self, now: Timestamp) -> Vec<Suppressed> {
        let minute = now.as_seconds().div_euclid(60);
        let over = self.0.extract_if(|_, of| of.minute != minute);
        let suppressed =
            over.map(|((satellite, kind), of)| Suppressed { satellite, kind, count: kind.suppressed(of.count) });
        // Most satellites send a few, all of which were logged.
        suppressed.filter(|suppressed| suppressed.count > 0).collect()
    }
}

/// Notes a message and logs what is to be logged.
///
/// # Errors
/// `InvalidInput` where these are too many.
pub(super) fn note(
    messages: &Mutex<UnexpectedMessages>,
    satellite: SatelliteId,
    kind: UnexpectedKind,
    about: impl Display,
    now: Timestamp,
) -> Result<()> {
    // The lock is gone at the end of this line: a log that waits for its disk must not stop the other links.
    let (decision, suppressed) = lock(messages).note(satellite, kind, now);
    if let Some(suppressed) = suppressed {
        suppressed.log();
    }
    match decision {
        MessageDecision::Log => {
            warn!(satellite.id = %satellite, about = %about, "{}", kind.as_str());
            Ok(())
        }
        MessageDecision::Count => Ok(()),
        MessageDecision::End { is_first } => {
            if is_first {
                warn!(
                    satellite.id = %satellite,
                    suppressed = kind.max_per_minute() - kind.logged_per_minute(),
                    "too many messages in a minute, the link is closed: {}",
                    kind.as_str()
                );
            }
            Err(protocol_violation(format!("too many messages in a minute: {}", kind.as_str())))
        }
    }
}

/// Logs how many messages of the minutes before were not logged one by one.
pub(super) fn log_suppressed(messages: &Mutex<UnexpectedMessages>, now: Timestamp) {
    let suppressed = lock(messages).take_suppressed(now);
    suppressed.iter().for_each(Suppressed::log);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use hive_wire::id::Seed;

    fn satellite(number: u8) -> SatelliteId {
        SatelliteId::new(Seed { unix_millis: 1, random: [number; 10] })
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(0).plus(Duration::from_secs(60_000_000 + seconds))
    }

    fn note(messages: &mut UnexpectedMessages, count: u64, now: Timestamp) -> Vec<MessageDecision> {
        (0..count).map(|_| messages.note(satellite(1), UnexpectedKind::Command, now).0).collect()
    }

    #[test]
    fn the_first_few_are_logged_the_rest_is_counted_and_too_many_end_the_link() {
        let mut messages = UnexpectedMessages::default();
        let decisions = note(&mut messages, MAX_PER_MINUTE + 3, at(0));
        let count = |decision| decisions.iter().filter(|other| **other == decision).count() as u64;
        assert_eq!(decisions[..5], [MessageDecision::Log; 5]);
        assert_eq!((count(MessageDecision::Log), count(MessageDecision::Count)), (5, MAX_PER_MINUTE - 5));
        assert_eq!(
            (count(MessageDecision::End { is_first: true }), count(MessageDecision::End { is_first: false })),
            (1, 2)
        );
    }

    #[test]
    fn of_commands_that_are_not_in_flight_more_messages_are_accepted_and_none_is_logged() {
        let mut messages = UnexpectedMessages::default();
        let mut note = |now| messages.note(satellite(1), UnexpectedKind::NotInFlight, now);
        for _ in 0..MAX_NOT_IN_FLIGHT_PER_MINUTE {
            assert_eq!(note(at(0)), (MessageDecision::Count, None));
        }
        assert_eq!(note(at(0)).0, MessageDecision::End { is_first: true });
        assert_eq!(note(at(60)), (MessageDecision::Count, None), "a new minute, and nothing to log of the last one");
        assert_eq!(messages.take_suppressed(at(120)), []);
    }

    #[test]
    fn other_kinds_and_satellites_have_nothing_to_do_with_it() {
        let mut messages = UnexpectedMessages::default();
        note(&mut messages, MAX_PER_MINUTE + 1, at(0));
        for (other, kind) in [(satellite(1), UnexpectedKind::Session), (satellite(2), UnexpectedKind::Command)] {
            assert_eq!(messages.note(other, kind, at(0)), (MessageDecision::Log, None));
        }
    }

    #[test]
    fn what_was_suppressed_is_told_when_the_minute_is_over() {
        let suppressed = |count| Suppressed { satellite: satellite(1), kind: UnexpectedKind::Command, count };
        let mut messages = UnexpectedMessages::default();
        note(&mut messages, 105, at(0));
        let next = messages.note(satellite(1), UnexpectedKind::Command, at(60));
        assert_eq!(next, (MessageDecision::Log, Some(suppressed(100))), "with the next message");
        note(&mut messages, 10, at(60));
        assert_eq!(messages.take_suppressed(at(119)), []);
        assert_eq!(messages.take_suppressed(at(120)), [suppressed(6)], "or by itself");
        assert!(messages.0.is_empty());
        note(&mut messages, 5, at(120));
        assert_eq!(messages.take_suppressed(at(180)), [], "nothing was left out");
    }
}
