//! What ran and how it ended, as a plain struct, and what a delivered command gets for an answer. No I/O, no clock.

use std::collections::BTreeMap;
use std::time::Duration;

use hive_wire::agent::CommandResult;
use hive_wire::agent::Received;
use hive_wire::api::{CommandStatus, PowerAction};
use hive_wire::{CommandId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Record;

/// How long past its expiry an acknowledged command is remembered: until then a late copy of it may still be under way.
const REMEMBERED: Duration = Duration::from_mins(10);
/// How long past its expiry a result is kept that the server never acknowledged, for the case that it forgot the command.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// What to do with a delivered command.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    /// It is new.
    Run,
    /// It runs in this process.
    Reattach,
    /// It has ended like this.
    Answer(CommandResult),
    /// It was started, and its end is not known.
    Unknown,
    /// It came too late to be started.
    Expired,
}

/// A power command changes the boot the machine is in; remembered to tell afterwards that it has worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PowerStart {
    pub(crate) action: PowerAction,
    pub(crate) boot_id: Option<String>,
}

impl PowerStart {
    /// Whether the machine has gone through what was asked for.
    fn has_happened(&self, boot_id: Option<&str>) -> bool {
        let ends_the_boot = matches!(self.action, PowerAction::Shutdown | PowerAction::Reboot);
        ends_the_boot && self.boot_id.as_deref().zip(boot_id).is_some_and(|(then, now)| then != now)
    }
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    /// Started by this process.
    Running(Option<PowerStart>),
    /// Started by a process that is gone.
    Interrupted(Option<PowerStart>),
    Finished(Box<CommandResult>),
    Acknowledged,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    expires_at: Timestamp,
    state: State,
}

/// Every command that matters still.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Ledger {
    entries: BTreeMap<CommandId, Entry>,
}

impl Ledger {
    /// What an earlier process left.
    pub(crate) fn of_earlier_process(records: &[Record]) -> Self {
        let mut ledger = Self::default();
        for record in records {
            ledger.apply(record);
        }
        for entry in ledger.entries.values_mut() {
            if let State::Running(power) = &entry.state {
                entry.state = State::Interrupted(power.clone());
            }
        }
        ledger
    }

    /// Takes a record in. A record that comes again changes nothing.
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::Started { id, expires_at, power } => {
                self.entries
                    .entry(*id)
                    .or_insert_with(|| Entry { expires_at: *expires_at, state: State::Running(power.clone()) });
            }
            Record::Finished { at: _, result } => {
                if let Some(entry) = self.entries.get_mut(&result.id)
                    && matches!(entry.state, State::Running(_) | State::Interrupted(_))
                {
                    entry.state = State::Finished(Box::new(result.clone()));
                }
            }
            Record::Acknowledged { id, expires_at } => {
                let state = State::Acknowledged;
                self.entries.insert(*id, Entry { expires_at: *expires_at, state });
            }
            Record::Unknown => {}
        }
    }

    /// Decides what a delivered command gets for an answer.
    pub(crate) fn decide(&self, id: CommandId, expires_in_ms: u64, boot_id: Option<&str>) -> Decision {
        match self.entries.get(&id).map(|entry| &entry.state) {
            None if expires_in_ms == 0 => Decision::Expired,
            None => Decision::Run,
            Some(State::Running(_)) => Decision::Reattach,
            Some(State::Finished(result)) => Decision::Answer((**result).clone()),
            Some(State::Interrupted(Some(power))) if power.has_happened(boot_id) => {
                Decision::Answer(bare_result(id, CommandStatus::Succeeded))
            }
            // An acknowledged one has ended, and the server has the result; if it asks again all the same, it has lost it.
            Some(State::Interrupted(_) | State::Acknowledged) => Decision::Unknown,
        }
    }

    /// Programs that an earlier process had started and whose end it did not see. A change of power is left to itself.
    pub(crate) fn interrupted(&self) -> Vec<CommandId> {
        let is_program = |entry: &Entry| entry.state == State::Interrupted(None);
        self.entries.iter().filter(|(_, entry)| is_program(entry)).map(|(id, _)| *id).collect()
    }

    /// The record that says that the server has stored the command's result.
    pub(crate) fn acknowledgement(&self, id: CommandId) -> Option<Record> {
        let entry = self.entries.get(&id)?;
        let is_news = !matches!(entry.state, State::Running(_) | State::Acknowledged);
        is_news.then_some(Record::Acknowledged { id, expires_at: entry.expires_at })
    }

    /// Whether the command's output may still be asked for.
    pub(crate) fn wants_output(&self, id: CommandId) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.state != State::Acknowledged)
    }

    /// Forgets what nobody can ask for any more.
    pub(crate) fn prune(&mut self, now: Timestamp) {
        self.entries.retain(|_, entry| match entry.state {
            State::Running(_) => true,
            State::Interrupted(_) | State::Finished(_) => now < entry.expires_at.plus(KEPT),
            State::Acknowledged => now < entry.expires_at.plus(REMEMBERED),
        });
    }

    /// The fewest records that say the same.
    pub(crate) fn records(&self, now: Timestamp) -> Vec<Record> {
        let mut records = Vec::new();
        for (&id, entry) in &self.entries {
            let expires_at = entry.expires_at;
            let started = |power: Option<PowerStart>| Record::Started { id, expires_at, power };
            match &entry.state {
                State::Running(power) | State::Interrupted(power) => records.push(started(power.clone())),
                State::Finished(result) => {
                    records.push(started(None));
                    records.push(Record::Finished { at: now, result: (**result).clone() });
                }
                State::Acknowledged => records.push(Record::Acknowledged { id, expires_at }),
            }
        }
        records
    }

    /// The same as lines of the file.
    pub(crate) fn to_lines(&self, now: Timestamp) -> std::io::Result<Vec<u8>> {
        let mut lines = Vec::new();
        for record in self.records(now) {
            lines.extend(record.to_line()?);
        }
        Ok(lines)
    }
}

/// A result that has nothing to tell but its status.
pub(crate) fn bare_result(id: CommandId, status: CommandStatus) -> CommandResult {
    CommandResult {
        id,
        status,
        exit_code: None,
        duration_ms: 0,
        sent: Received::default(),
        truncated: false,
        error: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;
    use proptest::prelude::*;

    const BOOT: Option<&str> = Some("boot-1");

    fn id(n: u8) -> CommandId {
        CommandId::new(Seed { unix_millis: 1, random: [n; 10] })
    }

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn started(n: u8) -> Record {
        Record::Started { id: id(n), expires_at: time(100), power: None }
    }

    fn finished(n: u8) -> Record {
        Record::Finished { at: time(50), result: bare_result(id(n), CommandStatus::Succeeded) }
    }

    fn acknowledged(n: u8) -> Record {
        Record::Acknowledged { id: id(n), expires_at: time(100) }
    }

    fn power(action: PowerAction) -> Record {
        let power = Some(PowerStart { action, boot_id: BOOT.map(Into::into) });
        Record::Started { id: id(1), expires_at: time(100), power }
    }

    fn ledger(records: &[Record]) -> Ledger {
        let mut ledger = Ledger::default();
        for record in records {
            ledger.apply(record);
        }
        ledger
    }

    fn check(ledger: &Ledger, expires_in_ms: u64, expected: Decision) {
        assert_eq!(ledger.decide(id(1), expires_in_ms, BOOT), expected);
    }

    #[test]
    fn a_new_command_runs_unless_it_is_late() {
        check(&ledger(&[]), 1, Decision::Run);
        check(&ledger(&[]), 0, Decision::Expired);
        check(&ledger(&[started(2)]), 1, Decision::Run);
    }

    #[test]
    fn a_known_command_never_runs_again() {
        let result = bare_result(id(1), CommandStatus::Succeeded);
        for expires_in_ms in [0, 1000] {
            check(&ledger(&[started(1)]), expires_in_ms, Decision::Reattach);
            check(&ledger(&[started(1), finished(1)]), expires_in_ms, Decision::Answer(result.clone()));
            check(&ledger(&[started(1), finished(1), acknowledged(1)]), expires_in_ms, Decision::Unknown);
        }
    }

    #[test]
    fn what_a_dead_process_had_started_has_no_known_end() {
        check(&Ledger::of_earlier_process(&[started(1)]), 1000, Decision::Unknown);
        let with_end = Ledger::of_earlier_process(&[started(1), finished(1)]);
        assert!(matches!(with_end.decide(id(1), 1000, BOOT), Decision::Answer(_)));
    }

    #[test]
    fn a_reboot_has_worked_when_the_boot_is_another_one() {
        let check = |action: PowerAction, boot_id, is_success: bool| {
            let said = format!("{action:?} {boot_id:?}");
            let decision = Ledger::of_earlier_process(&[power(action)]).decide(id(1), 1000, boot_id);
            let expected = if is_success {
                Decision::Answer(bare_result(id(1), CommandStatus::Succeeded))
            } else {
                Decision::Unknown
            };
            assert_eq!(decision, expected, "{said}");
        };
        check(PowerAction::Reboot, Some("boot-2"), true);
        check(PowerAction::Shutdown, Some("boot-2"), true);
        check(PowerAction::Reboot, BOOT, false);
        check(PowerAction::Reboot, None, false);
        check(PowerAction::Sleep, Some("boot-2"), false);
        check(PowerAction::Cancel, Some("boot-2"), false);
    }

    #[test]
    fn the_first_end_wins() {
        let mut ledger = ledger(&[started(1), finished(1)]);
        ledger.apply(&Record::Finished { at: time(60), result: bare_result(id(1), CommandStatus::Failed) });
        check(&ledger, 1, Decision::Answer(bare_result(id(1), CommandStatus::Succeeded)));
    }

    #[test]
    fn only_an_ended_command_can_be_acknowledged() {
        assert_eq!(ledger(&[started(1)]).acknowledgement(id(1)), None);
        assert_eq!(ledger(&[]).acknowledgement(id(1)), None);
        assert_eq!(ledger(&[started(1), finished(1)]).acknowledgement(id(1)), Some(acknowledged(1)));
        assert_eq!(Ledger::of_earlier_process(&[started(1)]).acknowledgement(id(1)), Some(acknowledged(1)));
        assert_eq!(ledger(&[acknowledged(1)]).acknowledgement(id(1)), None);
    }

    #[test]
    fn a_command_is_remembered_past_its_expiry() {
        let check = |records: &[Record], seconds, is_remembered| {
            let mut ledger = ledger(records);
            ledger.prune(time(seconds));
            assert_eq!(ledger.decide(id(1), 1, BOOT) != Decision::Run, is_remembered, "after {seconds} s");
        };
        let settled = [started(1), finished(1), acknowledged(1)];
        check(&settled, 100 + 599, true);
        check(&settled, 100 + 600, false);
        check(&settled[..2], 100 + 600, true);
        check(&settled[..2], 100 + 8 * 24 * 3600, false);
        check(&settled[..1], 100 + 8 * 24 * 3600, true);
    }

    fn any_record() -> impl Strategy<Value = Record> {
        (0u8..6, 0u8..4).prop_map(|(n, kind)| match kind {
            0 | 1 => started(n),
            2 => finished(n),
            _ => acknowledged(n),
        })
    }

    proptest! {
        #[test]
        fn compaction_changes_no_decision(records in proptest::collection::vec(any_record(), 0..40), seconds in 0i64..2000) {
            let mut whole = Ledger::of_earlier_process(&records);
            whole.prune(time(seconds));
            let compacted = Ledger::of_earlier_process(&whole.records(time(seconds)));
            prop_assert_eq!(whole, compacted);
        }

        #[test]
        fn a_command_that_was_started_never_runs_again(records in proptest::collection::vec(any_record(), 0..40), cut in 0usize..40, n in 0u8..6) {
            // Whatever happened, and wherever the process died: a start on disk rules out another run.
            let survived = &records[..cut.min(records.len())];
            let was_started = survived.iter().any(|record| matches!(record, Record::Started { id: started, .. } if *started == id(n)));
            let ledger = Ledger::of_earlier_process(survived);
            if was_started {
                prop_assert_ne!(ledger.decide(id(n), 1000, BOOT), Decision::Run);
                prop_assert_ne!(ledger.decide(id(n), 1000, BOOT), Decision::Reattach);
            }
        }

        #[test]
        fn records_that_come_twice_change_nothing(records in proptest::collection::vec(any_record(), 0..20)) {
            let twice: Vec<_> = records.iter().flat_map(|record| [record.clone(), record.clone()]).collect();
            prop_assert_eq!(ledger(&records), ledger(&twice));
        }
    }
}
