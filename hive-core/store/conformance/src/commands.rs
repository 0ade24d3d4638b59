use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use hive_store::access::{Authority, VisibleScope};
use hive_store::{
    Assignment, CommandInsertOutcome, CommandOutcome, CommandRow, Delivery, IdempotencyKey, NewCommand,
    OpenCommandCount, QueuePage, RowRange, SatellitePatch,
};
use hive_wire::agent::{Channel, ErrorBody, Received};
use hive_wire::api::{CommandEnd, CommandStatus, CommandType, SatelliteStatus};
use hive_wire::{CommandId, ErrorCode, JobId, SatelliteId, TeamId};

use crate::CALLERS;
use crate::fixture::{DAY, Fixture};

fn ones(results: Vec<bool>) -> usize {
    results.into_iter().filter(|done| *done).count()
}

fn delivery(on: &Fixture) -> Delivery {
    Delivery { journal_id: "journal-1".into(), at: on.now(), expires_at: None }
}

pub(crate) async fn commands_are_stored_all_or_none(on: &Fixture) {
    let (satellite, actor) = (on.satellite().await.id, on.unique());
    let (first, second) = (on.new_command(satellite), on.new_command(satellite));
    // The third command violates the primary key after two were inserted: their insertion must be undone.
    let twice = vec![first.clone(), second.clone(), first.clone()];
    assert!(on.store.command_insert(twice, None, on.draft_by(&actor)).await.is_err());
    // A satellite that does not exist is found before anything is inserted.
    let nobodys = vec![first.clone(), on.new_command(SatelliteId::new(on.seed()))];
    let inserted = on.store.command_insert(nobodys, None, on.draft_by(&actor)).await.unwrap();
    assert_eq!(inserted, CommandInsertOutcome::NoSatellite);
    assert!(on.store.command_list_open(satellite).await.unwrap().is_empty());
    assert!(on.records_by(&actor).await.is_empty());
    let both = vec![first, second];
    assert_eq!(on.store.command_insert(both, None, on.draft_by(&actor)).await.unwrap(), CommandInsertOutcome::New);
    assert_eq!(on.store.command_list_open(satellite).await.unwrap().len(), 2);
    assert_eq!(on.records_by(&actor).await.len(), 1);
}

pub(crate) async fn a_command_reads_back_as_it_was_stored(on: &Fixture) {
    let satellite = on.satellite().await;
    let plain = on.new_command(satellite.id);
    let full = on
        .new_command(satellite.id)
        .job_id(Some(JobId::new(on.seed())))
        .command_type(CommandType::Power)
        .priority(0)
        // Quotes, a control character and a non-ASCII letter: values must be bound and not spliced.
        .payload("{\"text\":\"'; DROP TABLE users; -- \u{1b}ä\"}".into())
        .idempotent(true)
        .team_id(satellite.team_id)
        .delivery(Some(delivery(on)));
    for (new, status) in [(plain, CommandStatus::Queued), (full, CommandStatus::Delivered)] {
        on.insert(new.clone()).await;
        let expected = CommandRow {
            id: new.id,
            satellite_id: new.satellite_id,
            job_id: new.job_id,
            command_type: new.command_type,
            priority: new.priority,
            payload: new.payload,
            summary: new.summary,
            idempotent: new.idempotent,
            timeout_seconds: new.timeout_seconds,
            actor: new.actor,
            team_id: new.team_id,
            status,
            journal_id: new.delivery.map(|delivery| delivery.journal_id),
            end: CommandEnd::default(),
            created_at: new.created_at,
            expires_at: new.expires_at,
            finished_at: None,
        };
        assert_eq!(on.stored(new.id).await, expected);
    }
    assert_eq!(on.store.command_get(CommandId::new(on.seed())).await.unwrap(), None);
}

fn key(on: &Fixture, owner: &str, body: &str) -> IdempotencyKey {
    IdempotencyKey { owner: owner.into(), key: "again".into(), body_hash: body.into(), expires_at: on.now().plus(DAY) }
}

pub(crate) async fn an_idempotency_key_stores_one_request_of_many(on: &Fixture) {
    let (satellite, owner) = (on.satellite().await.id, on.unique());
    let insert = async |_| {
        let commands = vec![on.new_command(satellite), on.new_command(satellite)];
        let ids: Vec<_> = commands.iter().map(|command| command.id).collect();
        let inserted =
            on.store.command_insert(commands, Some(key(on, &owner, "a")), on.draft_by(&owner)).await.unwrap();
        (ids, inserted)
    };
    let results = join_all((0..CALLERS).map(insert)).await;
    let (new, others): (Vec<_>, Vec<_>) =
        results.into_iter().partition(|(_, inserted)| *inserted == CommandInsertOutcome::New);
    assert_eq!(new.len(), 1);
    // The losers get the commands of the winner, in its order.
    assert!(others.iter().all(|(_, inserted)| *inserted == CommandInsertOutcome::Existing(new[0].0.clone())));
    let other_body = vec![on.new_command(satellite)];
    let conflict = on.store.command_insert(other_body, Some(key(on, &owner, "b")), on.draft_by(&owner)).await.unwrap();
    assert_eq!(conflict, CommandInsertOutcome::Conflict);
    assert_eq!(on.store.command_list_open(satellite).await.unwrap().len(), 2);
    assert_eq!(on.records_by(&owner).await.len(), 1);
}

pub(crate) async fn an_idempotency_key_is_its_owners_and_ends(on: &Fixture) {
    let satellite = on.satellite().await.id;
    let (one, other) = (on.unique(), on.unique());
    let insert =
        async |key| on.store.command_insert(vec![on.new_command(satellite)], Some(key), on.draft()).await.unwrap();
    // It expires before the next request, although its row may still be stored.
    assert_eq!(insert(IdempotencyKey { expires_at: on.now(), ..key(on, &one, "a") }).await, CommandInsertOutcome::New);
    assert_eq!(insert(key(on, &other, "b")).await, CommandInsertOutcome::New, "somebody else's key");
    assert_eq!(insert(key(on, &one, "c")).await, CommandInsertOutcome::New, "the key has ended");
    assert_eq!(insert(key(on, &one, "a")).await, CommandInsertOutcome::Conflict);
}

pub(crate) async fn many_commands_are_read_at_once(on: &Fixture) {
    let (here, removed) = (on.satellite().await.id, on.satellite().await.id);
    on.store.satellite_activate(here, on.now(), on.draft()).await.unwrap();
    let mut expected = BTreeMap::new();
    // More than one statement takes.
    for _ in 0..130 {
        expected.insert(on.insert(on.new_command(here)).await, Some(SatelliteStatus::Active));
    }
    let lost = on.insert(on.new_command(removed)).await;
    on.store.satellite_remove(removed, on.now(), on.draft()).await.unwrap();
    expected.insert(lost, None);
    let mut asked: Vec<_> = expected.keys().copied().collect();
    asked.push(CommandId::new(on.seed()));
    let turns = on.store.command_list_turns(asked).await.unwrap();
    assert_eq!(turns.len(), expected.len(), "each is there once, and the unknown one is not");
    for turn in &turns {
        assert_eq!(turn.command, on.stored(turn.command.id).await);
    }
    assert_eq!(turns.into_iter().map(|turn| (turn.command.id, turn.satellite)).collect::<BTreeMap<_, _>>(), expected);
    assert_eq!(on.store.command_list_turns(Vec::new()).await.unwrap(), []);
}

pub(crate) async fn a_command_is_delivered_and_started_once(on: &Fixture) {
    let id = on.command().await;
    // A satellite can only start what it was sent.
    assert!(!on.store.command_start(id, on.now()).await.unwrap(), "started before it was delivered");
    let deliver = async |_| on.store.command_deliver(id, delivery(on)).await.unwrap();
    assert_eq!(ones(join_all((0..CALLERS).map(deliver)).await), 1);
    let row = on.stored(id).await;
    assert_eq!((row.status.clone(), row.journal_id.as_deref()), (CommandStatus::Delivered, Some("journal-1")));
    let start = async |_| on.store.command_start(id, on.now()).await.unwrap();
    assert_eq!(ones(join_all((0..CALLERS).map(start)).await), 1);
    assert_eq!(on.stored(id).await.status, CommandStatus::Started);
    assert!(!on.store.command_deliver(id, delivery(on)).await.unwrap());
}

pub(crate) async fn a_delivery_may_change_the_expiry(on: &Fixture) {
    let (id, later) = (on.command().await, on.now().plus(DAY * 7));
    let before = on.stored(id).await.expires_at;
    assert!(on.store.command_deliver(id, Delivery { expires_at: Some(later), ..delivery(on) }).await.unwrap());
    assert_eq!(on.stored(id).await.expires_at, later);
    let other = on.command().await;
    assert!(on.store.command_deliver(other, delivery(on)).await.unwrap());
    assert!(on.stored(other).await.expires_at >= before, "as it was stored");
}

pub(crate) async fn an_idempotent_command_may_be_delivered_again(on: &Fixture) {
    let satellite = on.satellite().await.id;
    let id = on.insert(on.new_command(satellite).idempotent(true)).await;
    let elsewhere = Delivery { journal_id: "journal-2".into(), at: on.now(), expires_at: None };
    assert!(on.store.command_deliver(id, delivery(on)).await.unwrap());
    assert!(on.store.command_start(id, on.now()).await.unwrap());
    // It is delivered to another journal although it was started: it may run more than once.
    assert!(on.store.command_deliver(id, elsewhere.clone()).await.unwrap());
    let row = on.stored(id).await;
    assert_eq!((row.status.clone(), row.journal_id), (CommandStatus::Delivered, Some("journal-2".into())));
    on.store.command_finish(id, on.outcome(CommandStatus::Succeeded), Vec::new()).await.unwrap();
    assert!(!on.store.command_deliver(id, elsewhere).await.unwrap());
}

pub(crate) async fn a_command_ends_once(on: &Fixture) {
    let (id, actor) = (on.command().await, on.unique());
    let finish = async |n: usize| {
        let outcome = {
            let end = CommandEnd { exit_code: Some(n as i32), ..CommandEnd::default() };
            CommandOutcome { end, ..on.outcome(CommandStatus::Failed) }
        };
        let records = vec![on.draft_by(&actor), on.draft_by(&actor)];
        on.store.command_finish(id, outcome, records).await.unwrap().then_some(n as i32)
    };
    // The result that is reported to the winner must be the one that is stored.
    let winners: Vec<_> = join_all((0..CALLERS).map(finish)).await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(on.stored(id).await.end.exit_code, Some(winners[0]));
    assert_eq!(on.records_by(&actor).await.len(), 2);
}

pub(crate) async fn a_change_that_fails_leaves_the_others(on: &Fixture) {
    let (satellite, actor) = (on.satellite().await.id, on.unique());
    let mut commands: Vec<_> = (0..=100).map(|_| on.new_command(satellite)).collect();
    // One that is stored already, in the middle of the others.
    commands[50].id = on.insert(on.new_command(satellite)).await;
    let ids: Vec<_> = commands.iter().map(|command| command.id).collect();
    let insert = |command| on.store.command_insert(vec![command], None, on.draft_by(&actor));
    for (index, inserted) in join_all(commands.into_iter().map(insert)).await.into_iter().enumerate() {
        assert_eq!(inserted.ok(), (index != 50).then_some(CommandInsertOutcome::New), "{index}");
    }
    assert_eq!(on.records_by(&actor).await.len(), 100);
    let finish = |id: &CommandId| {
        // The gap is found after the status was changed.
        let output = vec![(Channel::Stdout, u64::from(*id == ids[50]), Bytes::from_static(b"x"))];
        let outcome = CommandOutcome { output, ..on.outcome(CommandStatus::Succeeded) };
        on.store.command_finish(*id, outcome, vec![on.draft_by(&actor)])
    };
    for (index, finished) in join_all(ids.iter().map(finish)).await.into_iter().enumerate() {
        assert_eq!(finished.ok(), (index != 50).then_some(true), "{index}");
    }
    assert_eq!(on.records_by(&actor).await.len(), 200);
    let open = on.store.command_list_open(satellite).await.unwrap();
    assert_eq!(open.iter().map(|row| row.id).collect::<Vec<_>>(), [ids[50]]);
    assert_eq!(on.store.command_output_len(ids[50]).await.unwrap(), Received::default());
    assert_eq!(on.store.command_output_len(ids[51]).await.unwrap(), Received { stdout: 1, stderr: 0 });
}

pub(crate) async fn a_queued_command_is_delivered_or_ended_and_never_both(on: &Fixture) {
    // One round may have no race, so there are several.
    for _ in 0..8 {
        let (id, actor) = (on.command().await, on.unique());
        let delivery = Delivery { journal_id: "journal".into(), at: on.now(), expires_at: None };
        let deliver = on.store.command_deliver(id, delivery);
        let outcome = on.outcome(CommandStatus::Cancelled);
        let finish = on.store.command_finish_queued(id, outcome, vec![on.draft_by(&actor)]);
        let (delivered, finished) = futures_util::join!(deliver, finish);
        let (delivered, finished) = (delivered.unwrap(), finished.unwrap());
        assert!(delivered != finished);
        let expected = if finished { CommandStatus::Cancelled } else { CommandStatus::Delivered };
        assert_eq!((on.stored(id).await.status, on.records_by(&actor).await.len()), (expected, usize::from(finished)));
    }
    let id = on.command().await;
    assert!(on.store.command_finish_queued(id, on.outcome(CommandStatus::Expired), Vec::new()).await.unwrap());
    assert!(!on.store.command_finish_queued(id, on.outcome(CommandStatus::Cancelled), Vec::new()).await.unwrap());
    assert_eq!(on.stored(id).await.status, CommandStatus::Expired);
}

pub(crate) async fn an_ended_command_stays_as_it_is(on: &Fixture) {
    let id = on.command().await;
    let error = ErrorBody { code: ErrorCode::CommandBlocked, message: "refused by policy".into() };
    // A duration that does not fit into 32 bits.
    let end = CommandEnd { exit_code: Some(-1), duration_ms: Some(1 << 40), truncated: true, error: Some(error) };
    let outcome = CommandOutcome { end, ..on.outcome(CommandStatus::Failed) };
    assert!(on.store.command_finish(id, outcome.clone(), Vec::new()).await.unwrap());
    let row = on.stored(id).await;
    assert_eq!((&row.status, &row.end), (&outcome.status, &outcome.end));
    assert_eq!(row.finished_at, Some(outcome.finished_at));
    assert!(!on.store.command_deliver(id, delivery(on)).await.unwrap());
    assert!(!on.store.command_start(id, on.now()).await.unwrap());
    assert!(!on.store.command_finish(id, on.outcome(CommandStatus::Succeeded), vec![on.draft()]).await.unwrap());
    assert_eq!(on.stored(id).await, row);
    let nobody = CommandId::new(on.seed());
    assert!(!on.store.command_finish(nobody, on.outcome(CommandStatus::Succeeded), Vec::new()).await.unwrap());
}

pub(crate) async fn open_commands_come_oldest_first(on: &Fixture) {
    let satellite = on.satellite().await.id;
    let now = on.now();
    let made = |minutes: u64| on.new_command(satellite).created_at(now.minus(Duration::from_secs(minutes * 60)));
    let (middle, oldest, newest, ended) = (made(2), made(3), made(1), made(4));
    let ids = [&oldest, &middle, &newest].map(|command| command.id);
    for command in [&middle, &oldest, &newest, &ended] {
        on.insert(command.clone()).await;
    }
    on.store.command_finish(ended.id, on.outcome(CommandStatus::Cancelled), Vec::new()).await.unwrap();
    let open: Vec<_> = on.store.command_list_open(satellite).await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(open, ids);
}

pub(crate) async fn queued_commands_come_by_priority_then_age(on: &Fixture) {
    let satellite = on.satellite().await.id;
    let now = on.now();
    let made = |priority, age: u64| {
        on.new_command(satellite).priority(priority).created_at(now.minus(Duration::from_secs(age)))
    };
    let power = made(2, 5).command_type(CommandType::Power);
    // A command of a job waits for its turn there, and one that was delivered waits for nothing.
    let of_a_job = made(0, 9).job_id(Some(JobId::new(on.seed())));
    let handed = made(0, 9).delivery(Some(delivery(on)));
    let (urgent, old, young, low) = (made(0, 1), made(2, 3), made(2, 2), made(3, 9));
    for command in [&low, &young, &power, &of_a_job, &handed, &old, &urgent] {
        on.insert(command.clone()).await;
    }
    let check = async |page, limit, expected: &[&NewCommand]| {
        let rows = on.store.command_list_queued(satellite, page, limit).await.unwrap();
        let rows: Vec<_> = rows.into_iter().map(|row| (row.id, row.priority, row.command_type)).collect();
        let expected: Vec<_> =
            expected.iter().map(|command| (command.id, command.priority, command.command_type.clone())).collect();
        assert_eq!(rows, expected);
    };
    check(None, 10, &[&urgent, &power, &old, &young, &low]).await;
    check(None, 3, &[&urgent, &power, &old]).await;
    let page = |is_power, priority, after: Option<&NewCommand>| {
        let after = after.map(|command| (command.created_at, command.id));
        Some(QueuePage { is_power, priority, after })
    };
    check(page(false, 2, None), 10, &[&old, &young]).await;
    check(page(false, 2, None), 1, &[&old]).await;
    check(page(false, 2, Some(&old)), 10, &[&young]).await;
    check(page(true, 2, None), 10, &[&power]).await;
    check(page(true, 2, Some(&power)), 10, &[]).await;
    let in_flight = on.store.command_list_in_flight(satellite).await.unwrap();
    assert_eq!(in_flight, [(handed.id, handed.command_type)]);
    assert_eq!(on.store.command_list_waiting_jobs(satellite).await.unwrap(), [of_a_job.job_id.unwrap()]);
}

pub(crate) async fn only_a_delivered_command_is_queued_again(on: &Fixture) {
    let satellite = on.satellite().await.id;
    let delivered = || on.new_command(satellite).delivery(Some(delivery(on)));
    let id = on.insert(delivered()).await;
    assert!(on.store.command_requeue(id, on.now()).await.unwrap());
    assert!(!on.store.command_requeue(id, on.now()).await.unwrap());
    let row = on.stored(id).await;
    assert_eq!((row.status, row.journal_id), (CommandStatus::Queued, None));
    assert!(on.store.command_deliver(id, delivery(on)).await.unwrap());
    assert!(on.store.command_start(id, on.now()).await.unwrap());
    assert!(!on.store.command_requeue(id, on.now()).await.unwrap(), "it was started");
    let ended = on.insert(delivered()).await;
    on.store.command_finish(ended, on.outcome(CommandStatus::Failed), Vec::new()).await.unwrap();
    assert!(!on.store.command_requeue(ended, on.now()).await.unwrap());
}

pub(crate) async fn only_a_queued_command_gets_another_expiry(on: &Fixture) {
    let satellite = on.satellite().await.id;
    let expires_at = on.now().plus(Duration::from_secs(7));
    let queued = on.insert(on.new_command(satellite)).await;
    assert!(on.store.command_set_expiry(queued, expires_at).await.unwrap());
    assert_eq!(on.stored(queued).await.expires_at, expires_at);
    let handed = on.insert(on.new_command(satellite).delivery(Some(delivery(on)))).await;
    assert!(!on.store.command_set_expiry(handed, expires_at).await.unwrap());
}

pub(crate) async fn open_commands_are_counted(on: &Fixture) {
    let (satellite, caller) = (on.satellite().await.id, on.unique());
    let made = |job_id| {
        let mut command = on.new_command(satellite).job_id(job_id);
        command.actor.id.clone_from(&caller);
        command
    };
    let job = Some(JobId::new(on.seed()));
    for command in [made(None), made(None), made(job)] {
        on.insert(command).await;
    }
    let ended = on.insert(made(None)).await;
    on.store.command_finish(ended, on.outcome(CommandStatus::Failed), Vec::new()).await.unwrap();
    let mut counts = on.store.command_count_open().await.unwrap();
    counts.retain(|count| count.satellite_id == satellite);
    counts.sort_by_key(|count| count.is_of_job);
    let of =
        |is_of_job, count| OpenCommandCount { satellite_id: satellite, created_by: caller.clone(), is_of_job, count };
    assert_eq!(counts, [of(false, 2), of(true, 1)]);
}

pub(crate) async fn commands_are_listed_newest_first(on: &Fixture) {
    let satellite = on.satellite().await.id;
    let now = on.now();
    let mut ids = Vec::new();
    for second in 0..5 {
        let command = on.new_command(satellite).created_at(now.plus(Duration::from_secs(second)));
        ids.insert(0, on.insert(command).await);
    }
    for (offset, range) in [(0, 0..3), (3, 3..5), (5, 5..5)] {
        let (rows, total) =
            on.store.command_list(satellite, &VisibleScope::ALL, RowRange::part(offset, 3)).await.unwrap();
        assert_eq!((rows.iter().map(|row| row.id).collect::<Vec<_>>(), total), (ids[range].to_vec(), 5));
    }
}

pub(crate) async fn overdue_commands_are_found(on: &Fixture) {
    let satellite = on.satellite().await.id;
    let (now, second) = (on.now(), Duration::from_secs(1));
    let expires = |expires_at| on.new_command(satellite).expires_at(expires_at).timeout_seconds(10);
    let handed = |at| expires(now.plus(second * 300)).delivery(Some(Delivery { at, ..delivery(on) }));
    let limit = now.minus(second * 15);
    let queued = on.insert(expires(now)).await;
    let silent = on.insert(handed(limit)).await;
    let ended = on.insert(expires(now)).await;
    let later = on.insert(expires(now.plus(second))).await;
    let fresh = on.insert(handed(limit.plus(second))).await;
    on.store.command_finish(ended, on.outcome(CommandStatus::Expired), Vec::new()).await.unwrap();

    let overdue = on.store.command_list_overdue(now, second * 5, 1_000_000).await.unwrap();
    let others = [ended, later, fresh];
    assert!(others.iter().all(|id| !overdue.contains(id)), "they are not overdue");
    let ours: Vec<_> = overdue.into_iter().filter(|id| [queued, silent].contains(id)).collect();
    assert_eq!(ours, [queued, silent]);
    assert_eq!(on.store.command_list_overdue(now, second * 5, 1).await.unwrap().len(), 1);
}

pub(crate) async fn unfinished_commands_are_told_from_others(on: &Fixture) {
    let satellite = on.satellite().await.id;
    let queued = on.insert(on.new_command(satellite)).await;
    let delivered = on.insert(on.new_command(satellite).delivery(Some(delivery(on)))).await;
    let ended = on.insert(on.new_command(satellite)).await;
    on.store.command_finish(ended, on.outcome(CommandStatus::Succeeded), Vec::new()).await.unwrap();
    let unfinished = async |ids: &[CommandId]| {
        let mut found = on.store.command_list_unfinished(ids).await.unwrap();
        found.sort();
        found
    };
    let mut open = [queued, delivered];
    open.sort();
    let nobodys = CommandId::new(on.seed());
    assert_eq!(unfinished(&[ended, queued, nobodys, delivered]).await, open);
    assert_eq!(unfinished(&[queued]).await, [queued]);
    assert_eq!(unfinished(&[]).await, []);
}

/// Returns a patch that assigns a satellite to a team.
pub(crate) fn assigned(on: &Fixture, team_id: Option<TeamId>) -> SatellitePatch {
    let assignment = Some(Assignment { team_id, api_key_hash: format!("$argon2id${}", on.unique()) });
    SatellitePatch { assignment, ..SatellitePatch::default() }
}

pub(crate) async fn nothing_is_stored_for_a_removed_satellite(on: &Fixture) {
    let (removed, reassigned, actor) = (on.satellite().await, on.satellite().await, on.unique());
    on.store.satellite_remove(removed.id, on.now(), on.draft()).await.unwrap();
    on.store.satellite_update(reassigned.id, assigned(on, None), on.draft()).await.unwrap();
    for id in [removed.id, reassigned.id] {
        let keys = [None, Some(key(on, &actor, "a"))];
        for key in keys {
            let inserted = on.store.command_insert(vec![on.new_command(id)], key, on.draft_by(&actor)).await.unwrap();
            assert_eq!(inserted, CommandInsertOutcome::NoSatellite);
        }
        assert_eq!(on.store.command_list(id, &VisibleScope::ALL, RowRange::ALL).await.unwrap(), (Vec::new(), 0));
    }
    assert!(on.records_by(&actor).await.is_empty(), "there is no record of what was not stored");
    let now_global = on.new_command(reassigned.id).team_id(None);
    let inserted = on.store.command_insert(vec![now_global], Some(key(on, &actor, "a")), on.draft_by(&actor)).await;
    assert_eq!(inserted.unwrap(), CommandInsertOutcome::New, "the key is not spent");
    assert_eq!(on.records_by(&actor).await.len(), 1);
}

pub(crate) async fn nothing_is_left_open_by_a_removal_in_a_race(on: &Fixture) {
    let satellite = on.satellite().await.id;
    let insert = async |number: usize| {
        let key = number.is_multiple_of(2).then(|| key(on, &on.unique(), "a"));
        on.store.command_insert(vec![on.new_command(satellite)], key, on.draft()).await.unwrap()
    };
    let remove = async {
        assert!(on.store.satellite_remove(satellite, on.now(), on.draft()).await.unwrap());
    };
    let (inserted, ()) = futures_util::join!(join_all((0..CALLERS).map(insert)), remove);
    assert!(
        inserted
            .iter()
            .all(|inserted| matches!(inserted, CommandInsertOutcome::New | CommandInsertOutcome::NoSatellite))
    );
    assert!(on.store.command_list_open(satellite).await.unwrap().is_empty());
}

pub(crate) async fn commands_are_listed_by_the_team_they_were_given_in(on: &Fixture) {
    let (satellite, other) = (on.satellite().await, on.team().await);
    let before = on.insert(on.new_command(satellite.id)).await;
    on.store.satellite_update(satellite.id, assigned(on, Some(other)), on.draft()).await.unwrap();
    let after = on.insert(on.new_command(satellite.id).team_id(Some(other))).await;
    let check = async |visible: VisibleScope, expected: &[CommandId]| {
        let (rows, total) = on.store.command_list(satellite.id, &visible, RowRange::ALL).await.unwrap();
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        assert_eq!((ids.as_slice(), total), (expected, expected.len() as u64), "{visible:?}");
    };
    let team = satellite.team_id.unwrap();
    check(VisibleScope::of_teams([team]), &[before]).await;
    check(VisibleScope::of_teams([other]), &[after]).await;
    check(VisibleScope::of_teams([team, other]), &[after, before]).await;
    check(VisibleScope::ALL, &[after, before]).await;
    check(VisibleScope::of_teams([]), &[]).await;
}

pub(crate) async fn an_ai_client_needs_a_rule_or_a_plan(on: &Fixture) {
    let satellite = on.satellite().await.id;
    let insert = async |kind: &str, authorised_by: Authority| {
        let mut command = on.new_command(satellite).authorised_by(authorised_by);
        command.actor.kind = kind.into();
        on.store.command_insert(vec![command], None, on.draft()).await
    };
    let unknown = Authority::Unknown("oracle:1".into());
    // The constraint is in the database, so that no code path can store such a row.
    assert!(insert("mcp", Authority::Role).await.is_err());
    assert!(insert("mcp", unknown.clone()).await.is_err());
    assert!(on.store.command_list_open(satellite).await.unwrap().is_empty());
    for (kind, authority) in [
        ("mcp", Authority::Rule("rul_1".into())),
        ("mcp", Authority::Plan("pln_1".into())),
        ("user", Authority::Role),
        ("user", unknown),
    ] {
        assert_eq!(insert(kind, authority.clone()).await.unwrap(), CommandInsertOutcome::New, "{kind} {authority}");
    }
}
