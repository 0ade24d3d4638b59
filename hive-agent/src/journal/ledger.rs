//! The commands that were started and how they ended, in memory, and the decision about a delivered command. No I/O, no
//! clock.

use std::collections::BTreeMap;
use std::time::Duration;

use hive_wire::agent::CommandResult;
use hive_wire::agent::Received;
use hive_wire::api::{CommandStatus, PowerAction};
use hive_wire::{CommandId, Timestamp};
use serde::{Deserialize, Serialize};

use super::JournalRecord;

/// How long past its expiry an acknowledged command is kept, because a late copy of it may still be in transit.
const ACKNOWLEDGED_RETENTION: Duration = Duration::from_mins(10);
/// How long past its expiry a result is kept that the server never acknowledged, if the server has forgotten the
/// command.
const RESULT_RETENTION: Duration = Duration::from_hours(7 * 24);

/// What happens with a delivered command.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DeliveryDecision {
    /// It is new.
    Run,
    /// It runs in this process.
    Reattach,
    /// It has ended with this result.
    Answer(CommandResult),
    /// It was started, and its end is not known.
    Unknown,
    /// It is too late to start it.
    Expired,
}

/// A power command and the boot in which it was started. A change of the boot id proves that it has worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PowerStart {
    pub(crate) action: PowerAction,
    pub(crate) boot_id: Option<String>,
}

impl PowerStart {
    /// Whether the machine was rebooted since.
    fn has_happened(&self, boot_id: Option<&str>) -> bool {
        // Sleep and hibernate keep the boot id, so it proves nothing for them.
        let ends_the_boot = matches!(self.action, PowerAction::Shutdown | PowerAction::Reboot);
        ends_the_boot && self.boot_id.as_deref().zip(boot_id).is_some_and(|(then, now)| then != now)
    }
}

#[derive(Debug, Clone, PartialEq)]
enum EntryState {
    /// Started by this process.
    Running(Option<PowerStart>),
    /// Started by an earlier process.
    Interrupted(Option<PowerStart>),
    Finished(Box<CommandResult>),
    Acknowledged,
}

#[derive(Debug, Clone, PartialEq)]
struct LedgerEntry {
    expires_at: Timestamp,
    state: EntryState,
}

/// Every command about which a decision may still be needed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct CommandLedger {
    entries: BTreeMap<CommandId, LedgerEntry>,
}

impl CommandLedger {
    /// The ledger after the process that wrote `records` has ended.
    pub(crate) fn of_earlier_process(records: &[JournalRecord]) -> Self {
        let mut ledger = Self::default();
        for record in records {
            ledger.apply(record);
        }
        for entry in ledger.entries.values_mut() {
            if let EntryState::Running(power) = &entry.state {
                entry.state = EntryState::Interrupted(power.clone());
            }
        }
        ledger
    }

    /// Applies a record. Applying it again changes nothing.
    pub(crate) fn apply(&mut self, record: &JournalRecord) {
        match record {
            JournalRecord::Started { id, expires_at, power } => {
                self.entries.entry(*id).or_insert_with(|| LedgerEntry {
                    expires_at: *expires_at,
                    state: EntryState::Running(power.clone()),
                });
            }
            JournalRecord::Finished { at: _, result } => {
                if let Some(entry) = self.entries.get_mut(&result.id)
                    // The first end wins: a result that was reported must not change.
                    && matches!(entry.state, EntryState::Running(_) | EntryState::Interrupted(_))
                {
                    entry.state = EntryState::Finished(Box::new(result.clone()));
                }
            }
            JournalRecord::Acknowledged { id, expires_at } => {
                let state = EntryState::Acknowledged;
                self.entries.insert(*id, LedgerEntry { expires_at: *expires_at, state });
            }
            JournalRecord::Unknown => {}
        }
    }

    /// Decides about a delivered command.
    pub(crate) fn decide(&self, id: CommandId, expires_in_ms: u64, boot_id: Option<&str>) -> DeliveryDecision {
        match self.entries.get(&id).map(|entry| &entry.state) {
            None if expires_in_ms == 0 => DeliveryDecision::Expired,
            None => DeliveryDecision::Run,
            Some(EntryState::Running(_)) => DeliveryDecision::Reattach,
            Some(EntryState::Finished(result)) => DeliveryDecision::Answer((**result).clone()),
            // A reboot ends the agent before it can record the end of the command that caused it.
            Some(EntryState::Interrupted(Some(power))) if power.has_happened(boot_id) => {
                DeliveryDecision::Answer(bare_result(id, CommandStatus::Succeeded))
            }
            // An acknowledged command has ended and the server has stored its result. If it is delivered again, the
            // server has lost it.
            Some(EntryState::Interrupted(_) | EntryState::Acknowledged) => DeliveryDecision::Unknown,
        }
    }

    /// Processes that an earlier agent started and whose end it did not see. Power commands are not included.
    pub(crate) fn interrupted(&self) -> Vec<CommandId> {
        let is_program = |entry: &LedgerEntry| entry.state == EntryState::Interrupted(None);
        self.entries.iter().filter(|(_, entry)| is_program(entry)).map(|(id, _)| *id).collect()
    }

    /// The record that says that the server has stored the command's result.
    pub(crate) fn acknowledgement(&self, id: CommandId) -> Option<JournalRecord> {
        let entry = self.entries.get(&id)?;
        let is_unrecorded = !matches!(entry.state, EntryState::Running(_) | EntryState::Acknowledged);
        is_unrecorded.then_some(JournalRecord::Acknowledged { id, expires_at: entry.expires_at })
    }

    /// Whether the command's output may still be needed.
    pub(crate) fn needs_output(&self, id: CommandId) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.state != EntryState::Acknowledged)
    }

    /// Drops commands that cannot be delivered again.
    pub(crate) fn prune(&mut self, now: Timestamp) {
        self.entries.retain(|_, entry| match entry.state {
            EntryState::Running(_) => true,
            EntryState::Interrupted(_) | EntryState::Finished(_) => now < entry.expires_at.plus(RESULT_RETENTION),
            EntryState::Acknowledged => now < entry.expires_at.plus(ACKNOWLEDGED_RETENTION),
        });
    }

    /// The smallest list of records with the same content.
    pub(crate) fn records(&self, now: Timestamp) -> Vec<JournalRecord> {
        let mut records = Vec::new();
        for (&id, entry) in &self.entries {
            let expires_at = entry.expires_at;
            let started = |power: Option<PowerStart>| JournalRecord::Started { id, expires_at, power };
            match &entry.state {
                EntryState::Running(power) | EntryState::Interrupted(power) => records.push(started(power.clone())),
                EntryState::Finished(result) => {
                    records.push(started(None));
                    records.push(JournalRecord::Finished { at: now, result: (**result).clone() });
                }
                EntryState::Acknowledged => records.push(JournalRecord::Acknowledged { id, expires_at }),
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

/// A result with nothing but a status.
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

    fn started(n: u8) -> JournalRecord {
        JournalRecord::Started { id: id(n), expires_at: time(100), power: None }
    }

    fn finished(n: u8) -> JournalRecord {
        JournalRecord::Finished { at: time(50), result: bare_result(id(n), CommandStatus::Succeeded) }
    }

    fn acknowledged(n: u8) -> JournalRecord {
        JournalRecord::Acknowledged { id: id(n), expires_at: time(100) }
    }

    fn power(action: PowerAction) -> JournalRecord {
        let power = Some(PowerStart { action, boot_id: BOOT.map(Into::into) });
        JournalRecord::Started { id: id(1), expires_at: time(100), power }
    }

    fn ledger(records: &[JournalRecord]) -> CommandLedger {
        let mut ledger = CommandLedger::default();
        for record in records {
            ledger.apply(record);
        }
        ledger
    }

    fn check(ledger: &CommandLedger, expires_in_ms: u64, expected: DeliveryDecision) {
        assert_eq!(ledger.decide(id(1), expires_in_ms, BOOT), expected);
    }

    #[test]
    fn a_new_command_runs_unless_it_is_late() {
        check(&ledger(&[]), 1, DeliveryDecision::Run);
        check(&ledger(&[]), 0, DeliveryDecision::Expired);
        check(&ledger(&[started(2)]), 1, DeliveryDecision::Run);
    }

    #[test]
    fn a_known_command_never_runs_again() {
        let result = bare_result(id(1), CommandStatus::Succeeded);
        for expires_in_ms in [0, 1000] {
            check(&ledger(&[started(1)]), expires_in_ms, DeliveryDecision::Reattach);
            check(&ledger(&[started(1), finished(1)]), expires_in_ms, DeliveryDecision::Answer(result.clone()));
            check(&ledger(&[started(1), finished(1), acknowledged(1)]), expires_in_ms, DeliveryDecision::Unknown);
        }
    }

    #[test]
    fn what_a_dead_process_had_started_has_no_known_end() {
        check(&CommandLedger::of_earlier_process(&[started(1)]), 1000, DeliveryDecision::Unknown);
        let with_end = CommandLedger::of_earlier_process(&[started(1), finished(1)]);
        assert!(matches!(with_end.decide(id(1), 1000, BOOT), DeliveryDecision::Answer(_)));
    }

    #[test]
    fn a_reboot_has_worked_when_the_boot_is_another_one() {
        let check = |action: PowerAction, boot_id, is_success: bool| {
            let case = format!("{action:?} {boot_id:?}");
            let decision = CommandLedger::of_earlier_process(&[power(action)]).decide(id(1), 1000, boot_id);
            let expected = if is_success {
                DeliveryDecision::Answer(bare_result(id(1), CommandStatus::Succeeded))
            } else {
                DeliveryDecision::Unknown
            };
            assert_eq!(decision, expected, "{case}");
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
        ledger.apply(&JournalRecord::Finished { at: time(60), result: bare_result(id(1), CommandStatus::Failed) });
        check(&ledger, 1, DeliveryDecision::Answer(bare_result(id(1), CommandStatus::Succeeded)));
    }

    #[test]
    fn only_an_ended_command_can_be_acknowledged() {
        assert_eq!(ledger(&[started(1)]).acknowledgement(id(1)), None);
        assert_eq!(ledger(&[]).acknowledgement(id(1)), None);
        assert_eq!(ledger(&[started(1), finished(1)]).acknowledgement(id(1)), Some(acknowledged(1)));
        assert_eq!(CommandLedger::of_earlier_process(&[started(1)]).acknowledgement(id(1)), Some(acknowledged(1)));
        assert_eq!(ledger(&[acknowledged(1)]).acknowledgement(id(1)), None);
    }

    #[test]
    fn a_command_is_remembered_past_its_expiry() {
        let check = |records: &[JournalRecord], seconds, is_remembered| {
            let mut ledger = ledger(records);
            ledger.prune(time(seconds));
            assert_eq!(ledger.decide(id(1), 1, BOOT) != DeliveryDecision::Run, is_remembered, "after {seconds} s");
        };
        let records = [started(1), finished(1), acknowledged(1)];
        check(&records, 100 + 599, true);
        check(&records, 100 + 600, false);
        check(&records[..2], 100 + 600, true);
        check(&records[..2], 100 + 8 * 24 * 3600, false);
        check(&records[..1], 100 + 8 * 24 * 3600, true);
    }

    fn any_record() -> impl Strategy<Value = JournalRecord> {
        (0u8..6, 0u8..4).prop_map(|(n, kind)| match kind {
            0 | 1 => started(n),
            2 => finished(n),
            _ => acknowledged(n),
        })
    }

    proptest! {
        #[test]
        fn compaction_changes_no_decision(records in proptest::collection::vec(any_record(), 0..40), seconds in 0i64..2000) {
            let mut whole = CommandLedger::of_earlier_process(&records);
            whole.prune(time(seconds));
            let compacted = CommandLedger::of_earlier_process(&whole.records(time(seconds)));
            prop_assert_eq!(whole, compacted);
        }

        #[test]
        fn a_command_that_was_started_never_runs_again(records in proptest::collection::vec(any_record(), 0..40), cut in 0usize..40, n in 0u8..6) {
            // Whatever happened, and wherever the process was killed: a start on disk excludes another run.
            let survived = &records[..cut.min(records.len())];
            let was_started = survived.iter().any(|record| matches!(record, JournalRecord::Started { id: started, .. } if *started == id(n)));
            let ledger = CommandLedger::of_earlier_process(survived);
            if was_started {
                prop_assert_ne!(ledger.decide(id(n), 1000, BOOT), DeliveryDecision::Run);
                prop_assert_ne!(ledger.decide(id(n), 1000, BOOT), DeliveryDecision::Reattach);
            }
        }

        #[test]
        fn records_that_come_twice_change_nothing(records in proptest::collection::vec(any_record(), 0..20)) {
            let twice: Vec<_> = records.iter().flat_map(|record| [record.clone(), record.clone()]).collect();
            prop_assert_eq!(ledger(&records), ledger(&twice));
        }
    }
}
