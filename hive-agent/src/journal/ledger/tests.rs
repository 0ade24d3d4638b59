//! Decisions about commands that are delivered once, twice and late.

use super::*;
use hive_wire::api::PowerAction;
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
