//! Messages that a satellite had no reason to send: how many of them the log tells of, and when they end the link.
//!
//! A satellite that was restored or cut off may send some. One that sends thousands in a minute is broken or hostile, and
//! must not fill the log: of each kind the first few are logged, then only their number, and then the link ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Display;
use std::sync::Mutex;

use hive_wire::api::AuditTarget;
use hive_wire::{CommandId, SatelliteId, SessionId, Timestamp};
use serde_json::json;
use tracing::warn;

use crate::Result;
use crate::hive::Hive;
use crate::identity::auth_failures::{AuthFailureKind, FailureSource};
use crate::link_handler::{broken, satellite_actor};
use crate::store::CommandRow;

/// Messages of one kind that are logged in a minute.
const LOGGED_PER_MINUTE: u64 = 5;
/// Messages of one kind that a satellite may send in a minute: more than it has commands under way. With one more, its link
/// ends, and so does a new one with the next such message.
const MAX_PER_MINUTE: u64 = 2000;
/// The same for messages about commands that are not running. The limit is higher because a busy satellite sends several
/// messages about each command that the server has just ended. There is a limit because each message costs a database read.
const MAX_STRAYS_PER_MINUTE: u64 = 10_000;

/// What such a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Unexpected {
    /// The end, the start or the output of a command that the satellite was not given.
    Command,
    /// A terminal that the satellite does not have.
    Terminal,
    /// A terminal that was not asked for over this link.
    UnaskedTerminal,
    /// An error that the satellite reports.
    ErrorReport,
    /// A command that is not running on the satellite. It may be one that has ended, so these messages are not logged.
    Stray,
}

impl Unexpected {
    fn as_str(self) -> &'static str {
        match self {
            Self::Command => "message about a command this satellite was not given",
            Self::Terminal => "message about a terminal this satellite was not given",
            Self::UnaskedTerminal => "terminal this link was not asked for",
            Self::ErrorReport => "satellite reports an error",
            Self::Stray => "message about a command that is not running",
        }
    }

    fn logged_per_minute(self) -> u64 {
        if self == Self::Stray { 0 } else { LOGGED_PER_MINUTE }
    }

    fn max_per_minute(self) -> u64 {
        if self == Self::Stray { MAX_STRAYS_PER_MINUTE } else { MAX_PER_MINUTE }
    }

    /// How many of `count` messages the log leaves out.
    fn left_out(self, count: u64) -> u64 {
        if self == Self::Stray { 0 } else { count.saturating_sub(LOGGED_PER_MINUTE) }
    }
}

/// What to do with one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// Log it.
    Log,
    /// Count it.
    Count,
    /// End the link. `is_first` says that this minute's end is not logged yet.
    End { is_first: bool },
}

/// The messages of one kind and satellite in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Minute {
    minute: i64,
    count: u64,
}

impl Minute {
    fn note(&mut self, kind: Unexpected) -> Decision {
        self.count += 1;
        if self.count <= kind.logged_per_minute() {
            Decision::Log
        } else if self.count <= kind.max_per_minute() {
            Decision::Count
        } else {
            Decision::End { is_first: self.count == kind.max_per_minute() + 1 }
        }
    }
}

/// Messages that were not logged.
#[derive(Debug, PartialEq, Eq)]
struct LeftOut {
    satellite: SatelliteId,
    kind: Unexpected,
    count: u64,
}

/// The unexpected messages of all satellites.
#[derive(Debug, Default)]
pub(crate) struct UnexpectedMessages(HashMap<(SatelliteId, Unexpected), Minute>);

impl UnexpectedMessages {
    fn note(&mut self, satellite: SatelliteId, kind: Unexpected, now: Timestamp) -> (Decision, Option<LeftOut>) {
        let minute = now.as_seconds().div_euclid(60);
        let fresh = Minute { minute, count: 0 };
        match self.0.entry((satellite, kind)) {
            Entry::Occupied(mut entry) if entry.get().minute != minute => {
                let count = kind.left_out(entry.insert(fresh).count);
                (entry.get_mut().note(kind), (count > 0).then_some(LeftOut { satellite, kind, count }))
            }
            entry => (entry.or_insert(fresh).note(kind), None),
        }
    }

    /// Forgets the minutes that are over, and returns what was not logged in them.
    fn take_left_out(&mut self, now: Timestamp) -> Vec<LeftOut> {
        let minute = now.as_seconds().div_euclid(60);
        let over = self.0.extract_if(|_, of| of.minute != minute);
        let left_out = over.map(|((satellite, kind), of)| LeftOut { satellite, kind, count: kind.left_out(of.count) });
        left_out.filter(|left_out| left_out.count > 0).collect()
    }
}

/// The same, behind a lock.
pub(crate) type Shared = Mutex<UnexpectedMessages>;

fn log_left_out(left_out: &LeftOut) {
    let LeftOut { satellite, kind, count } = left_out;
    warn!(satellite.id = %satellite, left_out = count, "more of the same in the last minute: {}", kind.as_str());
}

impl Hive {
    /// Notes a message that the satellite had no reason to send.
    ///
    /// # Errors
    /// `InvalidInput` where these are too many: the link is to be closed.
    pub(crate) fn note_unexpected(&self, satellite: SatelliteId, kind: Unexpected, about: impl Display) -> Result<()> {
        let now = self.source().steady();
        let (decision, left_out) = self.with_unexpected(|messages| messages.note(satellite, kind, now));
        if let Some(left_out) = left_out {
            log_left_out(&left_out);
        }
        match decision {
            Decision::Log => {
                warn!(satellite.id = %satellite, about = %about, "{}", kind.as_str());
                Ok(())
            }
            Decision::Count => Ok(()),
            Decision::End { is_first } => {
                if is_first {
                    warn!(
                        satellite.id = %satellite,
                        left_out = kind.max_per_minute() - kind.logged_per_minute(),
                        "too many in a minute, its link ends: {}",
                        kind.as_str()
                    );
                }
                Err(broken(format!("too many messages in a minute: {}", kind.as_str())))
            }
        }
    }

    /// Tells the log how many messages it was not told of.
    pub(crate) fn log_unexpected_left_out(&self) {
        let now = self.source().steady();
        for left_out in self.with_unexpected(|messages| messages.take_left_out(now)) {
            log_left_out(&left_out);
        }
    }

    /// Counts a message about a command that is not running. Called before the command is read from the store, so that a
    /// flood of such messages costs a bounded number of reads.
    ///
    /// # Errors
    /// `InvalidInput` where these are too many: the link is to be closed.
    pub(crate) fn count_stray(&self, satellite: SatelliteId, id: CommandId) -> Result<()> {
        self.note_unexpected(satellite, Unexpected::Stray, id)
    }

    /// Takes a message about a command that is not under way on its satellite. One of a command that has ended is fine.
    pub(crate) async fn note_stray_command(&self, satellite: SatelliteId, id: CommandId) -> Result<()> {
        self.count_stray(satellite, id)?;
        // What cannot be looked up now is not held against the satellite.
        let Ok(row) = self.store().command_get(id).await else { return Ok(()) };
        self.judge_stray(satellite, id, row.as_ref())
    }

    /// The same with the row of the command, where the caller has read it.
    pub(crate) fn judge_stray(&self, satellite: SatelliteId, id: CommandId, row: Option<&CommandRow>) -> Result<()> {
        if row.is_some_and(|row| row.satellite_id == satellite) {
            return Ok(());
        }
        if row.is_some() {
            self.note_foreign(satellite, AuditTarget { kind: "command".into(), id: id.to_string() });
        }
        self.note_unexpected(satellite, Unexpected::Command, id)
    }

    /// Takes a message about a terminal that is none of its satellite here.
    pub(crate) async fn note_stray_terminal(&self, satellite: SatelliteId, id: SessionId) -> Result<()> {
        let Ok(row) = self.store().session_get(id).await else { return Ok(()) };
        if row.is_some_and(|row| row.satellite_id != satellite) {
            self.note_foreign(satellite, AuditTarget { kind: "session".into(), id: id.to_string() });
        }
        self.note_unexpected(satellite, Unexpected::Terminal, id)
    }

    /// Records that a satellite speaks of what was given to another one, where it is one of the first such messages.
    fn note_foreign(&self, satellite: SatelliteId, target: AuditTarget) {
        let kind = AuthFailureKind::ForeignMessage;
        if self.is_worth_a_record(kind, FailureSource::Satellite(satellite)) {
            let error = "it was given to another satellite";
            let actor = satellite_actor(satellite);
            let draft = self.failure_draft("satellite.foreign_message", actor, target, json!({}), error);
            self.write_failure(kind, draft);
        }
    }

    fn with_unexpected<T>(&self, work: impl FnOnce(&mut UnexpectedMessages) -> T) -> T {
        work(&mut self.inner.unexpected.lock().expect("nothing panics while it holds this lock"))
    }
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

    fn note(messages: &mut UnexpectedMessages, count: u64, now: Timestamp) -> Vec<Decision> {
        (0..count).map(|_| messages.note(satellite(1), Unexpected::Command, now).0).collect()
    }

    #[test]
    fn the_first_few_are_logged_the_rest_is_counted_and_too_many_end_the_link() {
        let mut messages = UnexpectedMessages::default();
        let decisions = note(&mut messages, MAX_PER_MINUTE + 3, at(0));
        let count = |decision| decisions.iter().filter(|other| **other == decision).count() as u64;
        assert_eq!(decisions[..5], [Decision::Log; 5]);
        assert_eq!((count(Decision::Log), count(Decision::Count)), (5, MAX_PER_MINUTE - 5));
        assert_eq!((count(Decision::End { is_first: true }), count(Decision::End { is_first: false })), (1, 2));
    }

    #[test]
    fn of_strays_more_are_taken_and_none_is_told_to_the_log() {
        let mut messages = UnexpectedMessages::default();
        let mut note = |now| messages.note(satellite(1), Unexpected::Stray, now);
        for _ in 0..MAX_STRAYS_PER_MINUTE {
            assert_eq!(note(at(0)), (Decision::Count, None));
        }
        assert_eq!(note(at(0)).0, Decision::End { is_first: true });
        assert_eq!(note(at(60)), (Decision::Count, None), "a new minute, and nothing to tell of the last one");
        assert_eq!(messages.take_left_out(at(120)), []);
    }

    #[test]
    fn other_kinds_and_satellites_have_nothing_to_do_with_it() {
        let mut messages = UnexpectedMessages::default();
        note(&mut messages, MAX_PER_MINUTE + 1, at(0));
        for (other, kind) in [(satellite(1), Unexpected::Terminal), (satellite(2), Unexpected::Command)] {
            assert_eq!(messages.note(other, kind, at(0)), (Decision::Log, None));
        }
    }

    #[test]
    fn what_was_left_out_is_told_when_the_minute_is_over() {
        let left_out = |count| LeftOut { satellite: satellite(1), kind: Unexpected::Command, count };
        let mut messages = UnexpectedMessages::default();
        note(&mut messages, 105, at(0));
        let next = messages.note(satellite(1), Unexpected::Command, at(60));
        assert_eq!(next, (Decision::Log, Some(left_out(100))), "with the next message");
        note(&mut messages, 10, at(60));
        assert_eq!(messages.take_left_out(at(119)), []);
        assert_eq!(messages.take_left_out(at(120)), [left_out(6)], "or by itself");
        assert!(messages.0.is_empty());
        note(&mut messages, 5, at(120));
        assert_eq!(messages.take_left_out(at(180)), [], "nothing was left out");
    }
}
