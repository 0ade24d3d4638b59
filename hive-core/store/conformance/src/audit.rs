use std::time::Duration;

use futures_util::future::join_all;
use hive_store::access::VisibleScope;
use hive_store::audit::{AuditAction, AuditHead};
use hive_store::{CommandOutcome, RowRange};
use hive_wire::SatelliteId;
use hive_wire::agent::Channel;
use hive_wire::api::{AuditEntry, AuditQuery, AuditResult, AuditTarget, CommandStatus};
use serde_json::json;

use crate::fixture::Fixture;

/// The number of records that are written concurrently.
const WRITES: usize = 200;

async fn check_chain(on: &Fixture) {
    // A pruned log begins later, and a concurrent check may prune it.
    let first = async || on.store.audit_records(0, 1).await.unwrap()[0].seq;
    let oldest = first().await;
    let verification = on.store.audit_verify(None).await.unwrap();
    assert!(verification.valid, "{verification:?}");
    let mut next = first().await;
    loop {
        let lines = on.store.audit_records(next, 100).await.unwrap();
        if lines.is_empty() {
            break;
        }
        assert!(lines.iter().map(|line| line.seq).eq(next..next + lines.len() as u64), "a gap behind {next}");
        next += lines.len() as u64;
    }
    // Concurrent checks may have appended records since the verification.
    assert!(next - oldest >= verification.records);
}

pub(crate) async fn records_have_no_gaps_however_many_write(on: &Fixture) {
    let append = async |_| on.store.audit_append(on.draft()).await.unwrap().seq;
    let mut places = join_all((0..WRITES).map(append)).await;
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), WRITES);
    check_chain(on).await;
}

pub(crate) async fn the_head_is_the_last_record(on: &Fixture) {
    let mut entry = on.store.audit_append(on.draft()).await.unwrap();
    for _ in 0..3 {
        let head = on.store.audit_head().await.unwrap().unwrap();
        // Others may use the store at the same time.
        assert!(head.seq > entry.seq || head == AuditHead { seq: entry.seq, hash: entry.hash }, "{head:?}");
        entry = on.store.audit_append(on.draft()).await.unwrap();
    }
}

pub(crate) async fn two_processes_write_one_chain(one: &Fixture, other: &Fixture) {
    let append = async |n: usize| {
        let on = if n.is_multiple_of(2) { one } else { other };
        on.store.audit_append(on.draft()).await.unwrap()
    };
    // Enough rounds that the writers of both processes have batches at the same time.
    for _ in 0..5 {
        join_all((0..WRITES).map(append)).await;
    }
    check_chain(one).await;
    check_chain(other).await;
}

pub(crate) async fn a_record_is_what_was_drafted(on: &Fixture) {
    let draft = on.draft().with_team(Some(on.team().await)).with_result(AuditResult::Failure);
    let draft = draft.with_error(Some("it did not work".into()));
    let entry = on.store.audit_append(draft.clone()).await.unwrap();
    let expected = AuditEntry {
        seq: entry.seq,
        id: draft.id,
        timestamp: draft.timestamp,
        actor: draft.actor,
        action: draft.action.as_str().into(),
        target: draft.target,
        team_id: draft.team_id,
        details: draft.details,
        result: draft.result,
        error: draft.error,
        previous_hash: entry.previous_hash.clone(),
        hash: entry.hash.clone(),
    };
    assert_eq!(entry, expected);
    assert_eq!(on.store.audit_get(draft.id, &VisibleScope::ALL).await.unwrap(), Some(expected));
    let line = on.store.audit_records(entry.seq, 1).await.unwrap().remove(0);
    assert_eq!((line.seq, line.previous_hash, line.hash), (entry.seq, entry.previous_hash, entry.hash));
}

pub(crate) async fn a_change_that_fails_leaves_no_record(on: &Fixture) {
    let (taken, actor, satellite) = (on.user().await.username, on.unique(), on.satellite().await.id);
    let commands = join_all((0..WRITES).map(|_| on.insert(on.new_command(satellite)))).await;
    let finish = async |n: usize, offset| {
        let output = vec![(Channel::Stdout, 0, "a".into()), (Channel::Stdout, offset, "b".into())];
        let outcome = CommandOutcome { output, ..on.outcome(CommandStatus::Succeeded) };
        on.store.command_finish(commands[n], outcome, vec![on.draft_by(&actor)]).await
    };
    // Writes that succeed and writes that fail run concurrently, so that they share transactions.
    let write = async |n: usize| match n % 5 {
        0 => assert!(on.store.user_create(on.new_user(&taken), on.draft_by(&actor)).await.is_err()),
        1 => drop(on.store.user_create(on.new_user(&on.unique()), on.draft_by(&actor)).await.unwrap()),
        2 => assert!(finish(n, 2).await.is_err(), "a gap"),
        3 => assert!(finish(n, 1).await.unwrap()),
        _ => drop(on.store.audit_append(on.draft_by(&actor)).await.unwrap()),
    };
    join_all((0..WRITES).map(write)).await;
    assert_eq!(on.records_by(&actor).await.len(), WRITES * 3 / 5);
    for (n, id) in commands.iter().enumerate().filter(|(n, _)| [2, 3].contains(&(n % 5))) {
        let is_good = n % 5 == 3;
        assert_eq!(on.stored(*id).await.finished_at.is_some(), is_good);
        assert_eq!(on.store.command_output_len(*id).await.unwrap().stdout, if is_good { 2 } else { 0 });
    }
    check_chain(on).await;
}

pub(crate) async fn records_are_found_by_their_fields(on: &Fixture) {
    let (actor, satellite) = (on.unique(), SatelliteId::new(on.seed()));
    let (start, second) = (on.now(), Duration::from_secs(1));
    let draft = |seconds: u32| on.draft_by(&actor).with_timestamp(start.plus(second * seconds));
    let mut named = draft(0);
    named.actor.name.clone_from(&actor);
    named.actor.id = on.unique();
    let mut targeted = draft(1);
    targeted.target = AuditTarget { kind: "satellite".into(), id: satellite.to_string() };
    let detailed = draft(2).with_details(json!({ "satellite_id": satellite }));
    let mut other = draft(3);
    other.action = AuditAction::AuditExport;
    let drafts = [named, targeted, detailed, other];
    let mut ids = Vec::new();
    for draft in drafts {
        ids.push(draft.id);
        on.store.audit_append(draft).await.unwrap();
    }
    let by_actor = || AuditQuery { actor: Some(actor.clone()), ..AuditQuery::default() };
    let check = async |query: AuditQuery, range, expected: &[usize], total: u64| {
        let (entries, found) = on.store.audit_list(&query, &VisibleScope::ALL, range).await.unwrap();
        let expected: Vec<_> = expected.iter().map(|index| ids[*index]).collect();
        assert_eq!((entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), found), (expected, total), "{query:?}");
    };
    let about = AuditQuery { satellite_id: Some(satellite), ..AuditQuery::default() };
    check(by_actor(), RowRange::ALL, &[3, 2, 1, 0], 4).await;
    check(by_actor(), RowRange::part(1, 2), &[2, 1], 4).await;
    check(about, RowRange::ALL, &[2, 1], 2).await;
    check(AuditQuery { action: Some(AuditAction::AuditExport.as_str().into()), ..by_actor() }, RowRange::ALL, &[3], 1)
        .await;
    check(AuditQuery { since: Some(start.plus(second * 2)), ..by_actor() }, RowRange::ALL, &[3, 2], 2).await;
    check(AuditQuery { until: Some(start.plus(second * 2)), ..by_actor() }, RowRange::ALL, &[1, 0], 2).await;
}

pub(crate) async fn records_of_other_teams_are_hidden(on: &Fixture) {
    let (ours, theirs) = (on.team().await, on.team().await);
    let append = async |team_id| on.store.audit_append(on.draft().with_team(team_id)).await.unwrap().id;
    let (mine, foreign, global) = (append(Some(ours)).await, append(Some(theirs)).await, append(None).await);
    let visible = VisibleScope::of_teams([ours]);
    let (entries, total) = on.store.audit_list(&AuditQuery::default(), &visible, RowRange::ALL).await.unwrap();
    assert!(entries.iter().all(|entry| entry.team_id == Some(ours)));
    assert_eq!(total, entries.len() as u64);
    assert!(on.store.audit_get(mine, &visible).await.unwrap().is_some());
    for hidden in [foreign, global] {
        assert!(on.store.audit_get(hidden, &visible).await.unwrap().is_none());
        assert!(on.store.audit_get(hidden, &VisibleScope::ALL).await.unwrap().is_some());
    }
}
