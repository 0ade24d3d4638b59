use std::time::Duration;

use futures_util::future::join_all;
use hive_store::access::{Authority, VisibleScope};
use hive_store::{
    CommandOutcome, Delivery, IdempotencyKey, JobEnd, JobInsertOutcome, JobRow, JobTargetRow, NewCommand, NewJob,
    NewJobTarget, RowRange, SatelliteRow,
};
use hive_wire::agent::{Channel, ErrorBody};
use hive_wire::api::{CommandEnd, CommandStatus, JobCounts, JobStatus, TargetStatus};
use hive_wire::{CommandId, ErrorCode, JobId, TeamId};

use crate::CALLERS;
use crate::commands::assigned;
use crate::fixture::{DAY, Fixture};

/// The targets of a job that are so many that a store need not take them in one transaction.
const LARGE: usize = 1_100;

fn ones(results: Vec<bool>) -> usize {
    results.into_iter().filter(|done| *done).count()
}

fn status(status: CommandStatus) -> TargetStatus {
    TargetStatus::Command(status)
}

fn counts<const N: usize>(of: [(TargetStatus, u64); N]) -> JobCounts {
    let mut counts = JobCounts::default();
    for (status, count) in of {
        counts.add(&status, count);
    }
    counts
}

/// The outcome where every command is stored.
fn new() -> JobInsertOutcome {
    JobInsertOutcome::New { not_run: Vec::new() }
}

pub(crate) fn new_job(on: &Fixture) -> NewJob {
    let now = on.now();
    NewJob {
        id: JobId::new(on.seed()),
        payload: r#"{"command":"uptime"}"#.into(),
        summary: "uptime".into(),
        asked: vec!["all".into()],
        targets: Vec::new(),
        concurrency: 8,
        timeout_seconds: 60,
        expires_in_seconds: 300,
        actor: on.draft().actor,
        authorised_by: Authority::Role,
        created_at: now,
        deadline_at: now.plus(DAY),
    }
}

/// Adds a satellite with a command to a job.
pub(crate) fn add(on: &Fixture, job: &mut NewJob, commands: &mut Vec<NewCommand>, satellite: &SatelliteRow) {
    let command = on.new_command(satellite.id).job_id(Some(job.id)).team_id(satellite.team_id);
    job.targets.push(target(satellite, Ok(command.id)));
    commands.push(command);
}

fn target(satellite: &SatelliteRow, command: Result<CommandId, ErrorBody>) -> NewJobTarget {
    NewJobTarget {
        satellite_id: satellite.id,
        satellite_name: satellite.name.clone(),
        team_id: satellite.team_id,
        command,
    }
}

/// Stores a job for these satellites.
async fn job_on(on: &Fixture, satellites: &[SatelliteRow]) -> (JobId, Vec<CommandId>) {
    let (mut job, mut commands) = (new_job(on), Vec::new());
    for satellite in satellites {
        add(on, &mut job, &mut commands, satellite);
    }
    let (id, ids) = (job.id, commands.iter().map(|command| command.id).collect());
    assert_eq!(on.store.job_insert(job, commands, None, on.draft()).await.unwrap(), new());
    (id, ids)
}

/// Stores a job for two satellites of one team.
async fn job(on: &Fixture) -> (JobId, Vec<CommandId>) {
    let team = on.team().await;
    let satellites = [on.register(&on.name(), Some(team)).await, on.register(&on.name(), Some(team)).await];
    job_on(on, &satellites).await
}

async fn stored(on: &Fixture, id: JobId) -> JobRow {
    on.store.job_get(id).await.unwrap().unwrap()
}

async fn targets(on: &Fixture, id: JobId) -> Vec<JobTargetRow> {
    on.store.job_target_list(id, RowRange::ALL).await.unwrap().0
}

fn delivery(on: &Fixture) -> Delivery {
    Delivery { journal_id: "journal-1".into(), at: on.now(), expires_at: None }
}

async fn finish(on: &Fixture, id: CommandId, status: CommandStatus) {
    assert!(on.store.command_finish(id, on.outcome(status), Vec::new()).await.unwrap());
}

fn end(on: &Fixture, status: JobStatus) -> JobEnd {
    let counts = counts([(TargetStatus::Command(CommandStatus::Succeeded), 2)]);
    JobEnd { status, counts, finished_at: on.now() }
}

pub(crate) async fn a_job_is_stored_with_its_targets_all_or_none(on: &Fixture) {
    let (satellite, actor) = (on.satellite().await, on.unique());
    let (mut job, mut commands) = (new_job(on), Vec::new());
    add(on, &mut job, &mut commands, &satellite);
    let mut broken = job.clone();
    // The target refers to a command that is not stored. It is inserted last, so that everything before must be undone.
    broken.targets.push(NewJobTarget { command: Ok(CommandId::new(on.seed())), ..job.targets[0].clone() });
    let id = job.id;
    let failed = on.store.job_insert(broken, commands.clone(), None, on.draft_by(&actor)).await;
    assert!(failed.is_err(), "a target's command is not there");
    assert_eq!(on.store.job_get(id).await.unwrap(), None);
    assert!(on.store.command_list_open(satellite.id).await.unwrap().is_empty());
    assert!(on.records_by(&actor).await.is_empty());
    let inserted = on.store.job_insert(job, commands, None, on.draft_by(&actor)).await.unwrap();
    assert_eq!(inserted, new());
    assert_eq!(targets(on, id).await.len(), 1);
    assert_eq!(on.store.command_list_open(satellite.id).await.unwrap().len(), 1);
    assert_eq!(on.records_by(&actor).await.len(), 1);
}

async fn listed(on: &Fixture, id: JobId) -> bool {
    let (rows, _) = on.store.job_list(&VisibleScope::ALL, RowRange::ALL).await.unwrap();
    rows.iter().any(|row| row.id == id)
}

pub(crate) async fn a_large_job_is_stored_all_or_none(on: &Fixture) {
    let (satellite, actor) = (on.satellite().await, on.unique());
    let large = || {
        let (mut job, mut commands) = (new_job(on), Vec::new());
        for _ in 0..LARGE {
            add(on, &mut job, &mut commands, &satellite);
        }
        (job, commands)
    };
    let is_stored = async |id| on.store.job_get(id).await.unwrap().is_some();
    let open = async || on.store.command_list_open(satellite.id).await.unwrap().len();
    let (mut broken, commands) = large();
    // The last target's command is not stored.
    broken.targets.push(target(&satellite, Ok(CommandId::new(on.seed()))));
    let (id, insert) = (broken.id, on.store.job_insert(broken, commands, None, on.draft_by(&actor)));
    assert!(insert.await.is_err());
    assert!(!is_stored(id).await && !on.store.job_list_open().await.unwrap().contains(&id));
    assert_eq!((open().await, on.records_by(&actor).await.len()), (0, 0));
    // Callers that give up after any time, as if the process had been killed.
    for patience in [0, 5, 20].map(Duration::from_millis) {
        let (mut job, commands) = large();
        // So old that the sweep below ends no job of others that use the store at the same time.
        job.created_at = on.now().minus(30 * DAY);
        let id = job.id;
        let insert = on.store.job_insert(job, commands, None, on.draft_by(&actor));
        let inserted = tokio::time::timeout(patience, insert).await;
        // Queued behind what was begun.
        on.store.audit_append(on.draft()).await.unwrap();
        on.store.job_sweep(on.now().minus(20 * DAY), on.now()).await.unwrap();
        if is_stored(id).await {
            assert_eq!(targets(on, id).await.len(), LARGE);
            assert!(on.store.job_cancel(id, on.now(), on.draft()).await.unwrap());
        } else {
            assert!(!matches!(inserted, Ok(Ok(_))));
        }
        assert_eq!(open().await, 0);
        assert_eq!(listed(on, id).await, is_stored(id).await);
    }
    let (job, commands) = large();
    let id = job.id;
    assert_eq!(on.store.job_insert(job, commands, None, on.draft_by(&actor)).await.unwrap(), new());
    let statuses: Vec<_> = targets(on, id).await.iter().map(|target| target.status.clone()).collect();
    assert_eq!(statuses, vec![status(CommandStatus::Queued); LARGE]);
}

pub(crate) async fn a_job_reads_back_as_it_was_stored(on: &Fixture) {
    let (first, second) = (on.satellite().await, on.satellite().await);
    let (mut job, mut commands) = (new_job(on), Vec::new());
    // Quotes, a control character and a non-ASCII letter: values must be bound and not spliced.
    job.asked = vec!["tag:'; DROP TABLE jobs; --".into(), "web-\u{1b}ä".into()];
    add(on, &mut job, &mut commands, &first);
    let reason = ErrorBody { code: ErrorCode::SatelliteOffline, message: "satellite is offline".into() };
    job.targets.push(target(&second, Err(reason.clone())));
    let command = commands[0].clone();
    on.store.job_insert(job.clone(), commands, None, on.draft()).await.unwrap();
    assert_eq!(on.store.job_payload(job.id).await.unwrap(), Some(job.payload));
    let row = stored(on, job.id).await;
    let mut teams = vec![first.team_id, second.team_id];
    // Teams are stored as a set.
    teams.sort();
    let expected = JobRow {
        id: job.id,
        status: JobStatus::Running,
        summary: job.summary,
        asked: job.asked,
        teams,
        counts: counts([(status(CommandStatus::Queued), 1), (TargetStatus::NotRun, 1)]),
        concurrency: job.concurrency,
        timeout_seconds: job.timeout_seconds,
        expires_in_seconds: job.expires_in_seconds,
        actor: job.actor,
        created_at: job.created_at,
        deadline_at: job.deadline_at,
        cancelled_at: None,
        finished_at: None,
    };
    assert_eq!(row, expected);
    let queued = JobTargetRow {
        place: 0,
        satellite_id: first.id,
        satellite_name: first.name,
        team_id: first.team_id,
        command_id: Some(command.id),
        status: status(CommandStatus::Queued),
        end: CommandEnd::default(),
        stdout_bytes: 0,
        stderr_bytes: 0,
        expires_at: Some(command.expires_at),
        finished_at: None,
    };
    let not_run = JobTargetRow {
        place: 1,
        satellite_id: second.id,
        satellite_name: second.name,
        team_id: second.team_id,
        command_id: None,
        status: TargetStatus::NotRun,
        end: CommandEnd::from(reason),
        expires_at: None,
        ..queued.clone()
    };
    assert_eq!(targets(on, job.id).await, [queued, not_run]);
    assert_eq!(on.store.job_get(JobId::new(on.seed())).await.unwrap(), None);
    assert_eq!(on.store.job_target_list(JobId::new(on.seed()), RowRange::ALL).await.unwrap(), (Vec::new(), 0));
}

pub(crate) async fn a_target_has_the_status_of_its_command(on: &Fixture) {
    let (id, commands) = job(on).await;
    let later = on.now().plus(Duration::from_mins(5));
    let handed = Delivery { expires_at: Some(later), ..delivery(on) };
    assert!(on.store.command_deliver(commands[0], handed).await.unwrap());
    let rows = targets(on, id).await;
    assert_eq!((rows[0].status.clone(), rows[0].expires_at), (status(CommandStatus::Delivered), Some(later)));
    on.store.command_output_append(commands[0], Channel::Stdout, 0, vec![b'x'; 100].into()).await.unwrap();
    let error = ErrorBody { code: ErrorCode::CommandBlocked, message: "refused".into() };
    let end = CommandEnd { exit_code: Some(3), duration_ms: Some(7), truncated: true, error: Some(error) };
    let outcome = CommandOutcome {
        end: end.clone(),
        output: vec![(Channel::Stdout, 100, "yz".into()), (Channel::Stderr, 0, "e".into())],
        ..on.outcome(CommandStatus::Failed)
    };
    on.store.command_finish(commands[0], outcome.clone(), Vec::new()).await.unwrap();
    let rows = targets(on, id).await;
    let ended = &rows[0];
    assert_eq!((&ended.status, &ended.end), (&status(CommandStatus::Failed), &end));
    assert_eq!((ended.stdout_bytes, ended.stderr_bytes), (102, 1));
    assert_eq!(ended.finished_at, Some(outcome.finished_at));
    assert_eq!((rows[1].status.clone(), rows[1].stdout_bytes), (status(CommandStatus::Queued), 0));
    let expected = counts([(status(CommandStatus::Failed), 1), (status(CommandStatus::Queued), 1)]);
    assert_eq!(stored(on, id).await.counts, expected);
}

pub(crate) async fn targets_come_in_their_order_and_in_pages(on: &Fixture) {
    let team = on.team().await;
    let mut satellites = Vec::new();
    for _ in 0..5 {
        satellites.push(on.register(&on.name(), Some(team)).await);
    }
    let (id, commands) = job_on(on, &satellites).await;
    for (offset, range) in [(0, 0..3), (3, 3..5), (5, 5..5)] {
        let (rows, total) = on.store.job_target_list(id, RowRange::part(offset, 3)).await.unwrap();
        let ids: Vec<_> = rows.into_iter().filter_map(|row| row.command_id).collect();
        assert_eq!((ids, total), (commands[range].to_vec(), 5));
    }
}

pub(crate) async fn an_idempotency_key_stores_one_job_of_many(on: &Fixture) {
    let (satellite, owner) = (on.satellite().await, on.unique());
    let key = |body: &str| IdempotencyKey {
        owner: owner.clone(),
        key: "again".into(),
        body_hash: body.into(),
        expires_at: on.now().plus(DAY),
    };
    let insert = async |body: &str| {
        let (mut job, mut commands) = (new_job(on), Vec::new());
        add(on, &mut job, &mut commands, &satellite);
        let id = job.id;
        (id, on.store.job_insert(job, commands, Some(key(body)), on.draft_by(&owner)).await.unwrap())
    };
    let results = join_all((0..CALLERS).map(|_| insert("a"))).await;
    let (new, others): (Vec<_>, Vec<_>) = results.into_iter().partition(|(_, inserted)| *inserted == new());
    assert_eq!(new.len(), 1);
    assert!(others.iter().all(|(_, inserted)| *inserted == JobInsertOutcome::Existing(new[0].0)));
    assert_eq!(insert("b").await.1, JobInsertOutcome::Conflict);
    let command = vec![on.new_command(satellite.id)];
    // The same key and body, for another kind of request.
    let other = on.store.command_insert(command, Some(key("a")), on.draft()).await.unwrap();
    assert_eq!(other, hive_store::CommandInsertOutcome::Conflict, "a job's key is no command's");
    assert_eq!(on.store.command_list_open(satellite.id).await.unwrap().len(), 1);
    assert_eq!(on.records_by(&owner).await.len(), 1);
}

pub(crate) async fn a_jobs_key_is_not_a_commands(on: &Fixture) {
    let (satellite, owner) = (on.satellite().await, on.unique());
    let expires_at = on.now().plus(DAY);
    let key = IdempotencyKey { owner, key: "again".into(), body_hash: "a".into(), expires_at };
    on.store.command_insert(vec![on.new_command(satellite.id)], Some(key.clone()), on.draft()).await.unwrap();
    let inserted = on.store.job_insert(new_job(on), Vec::new(), Some(key), on.draft()).await.unwrap();
    assert_eq!(inserted, JobInsertOutcome::Conflict);
}

pub(crate) async fn a_job_is_cancelled_once_and_its_queue_with_it(on: &Fixture) {
    let ((id, commands), actor) = (job(on).await, on.unique());
    let (other, others) = job(on).await;
    assert!(on.store.command_deliver(commands[0], delivery(on)).await.unwrap());
    let now = on.now();
    let cancel = async |_| on.store.job_cancel(id, now, on.draft_by(&actor)).await.unwrap();
    assert_eq!(ones(join_all((0..CALLERS).map(cancel)).await), 1);
    assert_eq!(on.records_by(&actor).await.len(), 1);
    let row = stored(on, id).await;
    assert_eq!((row.status.clone(), row.cancelled_at, row.finished_at), (JobStatus::Cancelling, Some(now), None));
    let rows = targets(on, id).await;
    assert_eq!(
        (rows[0].status.clone(), rows[0].finished_at),
        (status(CommandStatus::Delivered), None),
        "its satellite has it"
    );
    assert_eq!((rows[1].status.clone(), rows[1].finished_at), (status(CommandStatus::Cancelled), Some(now)));
    assert!(!on.store.command_deliver(commands[1], delivery(on)).await.unwrap());
    assert_eq!(stored(on, other).await.status, JobStatus::Running, "another job");
    assert!(on.store.command_deliver(others[0], delivery(on)).await.unwrap());
}

pub(crate) async fn a_queued_command_is_delivered_or_cancelled_and_never_both(on: &Fixture) {
    let team = on.team().await;
    let mut satellites = Vec::new();
    for _ in 0..16 {
        satellites.push(on.register(&on.name(), Some(team)).await);
    }
    let (id, commands) = job_on(on, &satellites).await;
    let deliver = async |id: &CommandId| on.store.command_deliver(*id, delivery(on)).await.unwrap();
    let cancel = async { on.store.job_cancel(id, on.now(), on.draft()).await.unwrap() };
    // Sixteen deliveries race with one cancellation.
    let (delivered, cancelled) = tokio::join!(join_all(commands.iter().map(deliver)), cancel);
    assert!(cancelled);
    for (row, is_delivered) in targets(on, id).await.into_iter().zip(delivered) {
        let expected = if is_delivered { CommandStatus::Delivered } else { CommandStatus::Cancelled };
        assert_eq!(row.status, status(expected));
    }
}

pub(crate) async fn a_job_ends_once_and_after_its_commands(on: &Fixture) {
    let ((id, commands), actor) = (job(on).await, on.unique());
    assert!(on.store.job_list_open().await.unwrap().contains(&id));
    finish(on, commands[0], CommandStatus::Succeeded).await;
    let ended = on.store.job_finish(id, end(on, JobStatus::Succeeded), on.draft_by(&actor)).await.unwrap();
    assert!(!ended, "one of its commands is open");
    finish(on, commands[1], CommandStatus::Succeeded).await;
    let finish = async |_| on.store.job_finish(id, end(on, JobStatus::Succeeded), on.draft_by(&actor)).await.unwrap();
    assert_eq!(ones(join_all((0..CALLERS).map(finish)).await), 1);
    assert_eq!(on.records_by(&actor).await.len(), 1);
    let row = stored(on, id).await;
    assert_eq!((row.status.clone(), row.counts.is_success()), (JobStatus::Succeeded, true));
    assert!(row.finished_at.is_some());
    assert!(!on.store.job_list_open().await.unwrap().contains(&id));
    assert!(!on.store.job_cancel(id, on.now(), on.draft()).await.unwrap(), "it has ended");
    assert_eq!(stored(on, id).await, row);
}

pub(crate) async fn jobs_are_listed_newest_first_and_by_team(on: &Fixture) {
    let (ours, theirs) = (on.team().await, on.team().await);
    let mut at = Vec::new();
    for team in [Some(ours), Some(ours), Some(theirs), None] {
        at.push(on.register(&on.name(), team).await);
    }
    let base = on.now();
    let insert = async |minutes: u64, satellites: &[&SatelliteRow]| {
        let (mut job, mut commands) = (new_job(on), Vec::new());
        job.created_at = base.plus(Duration::from_secs(60 * minutes));
        for satellite in satellites {
            add(on, &mut job, &mut commands, satellite);
        }
        let id = job.id;
        on.store.job_insert(job, commands, None, on.draft()).await.unwrap();
        id
    };
    let newest = insert(3, &[&at[0], &at[1]]).await;
    let oldest = insert(1, &[&at[1]]).await;
    let mixed = insert(2, &[&at[0], &at[2]]).await;
    let hives = insert(4, &[&at[0], &at[3]]).await;
    let list = async |teams: Vec<TeamId>, offset, limit| {
        let (rows, total) =
            on.store.job_list(&VisibleScope::of_teams(teams), RowRange::part(offset, limit)).await.unwrap();
        (rows.into_iter().map(|row| row.id).collect::<Vec<_>>(), total)
    };
    assert_eq!(list(vec![ours], 0, 10).await, (vec![newest, oldest], 2));
    assert_eq!(list(vec![ours], 1, 10).await, (vec![oldest], 2));
    assert_eq!(list(vec![ours, theirs], 0, 10).await, (vec![newest, mixed, oldest], 3));
    assert_eq!(list(vec![theirs], 0, 10).await, (vec![], 0));
    assert_eq!(list(vec![], 0, 10).await, (vec![], 0));
    let everything = async || {
        let (rows, total) = on.store.job_list(&VisibleScope::ALL, RowRange::ALL).await.unwrap();
        (rows.into_iter().map(|row| row.id).collect::<Vec<_>>(), total)
    };
    // Concurrent checks add jobs and delete old ones: the total is checked when none did.
    loop {
        let [(before, _), (_, total), (after, _)] = [everything().await, everything().await, everything().await];
        assert!(before.contains(&hives));
        if before == after {
            assert_eq!(total, before.len() as u64);
            break;
        }
    }
}

pub(crate) async fn a_list_has_the_counts_of_each_job(on: &Fixture) {
    let team = on.team().await;
    let (one, other) = (on.register(&on.name(), Some(team)).await, on.register(&on.name(), Some(team)).await);
    let insert = async |satellites: &[&SatelliteRow]| {
        let (mut job, mut commands) = (new_job(on), Vec::new());
        for satellite in satellites {
            add(on, &mut job, &mut commands, satellite);
        }
        let id = job.id;
        let ids: Vec<_> = commands.iter().map(|command| command.id).collect();
        on.store.job_insert(job, commands, None, on.draft()).await.unwrap();
        (id, ids)
    };
    let (both, _) = insert(&[&one, &other]).await;
    let (half, commands) = insert(&[&one, &other]).await;
    let (ended, last) = insert(&[&one]).await;
    for command in [commands[0], last[0]] {
        on.store.command_finish(command, on.outcome(CommandStatus::Failed), Vec::new()).await.unwrap();
    }
    let end = JobEnd { counts: counts([(status(CommandStatus::Failed), 1)]), ..end(on, JobStatus::Failed) };
    assert!(on.store.job_finish(ended, end, on.draft()).await.unwrap());
    let (rows, _) = on.store.job_list(&VisibleScope::of_teams([team]), RowRange::ALL).await.unwrap();
    let of = |id| &rows.iter().find(|row| row.id == id).unwrap().counts;
    assert_eq!(*of(both), counts([(status(CommandStatus::Queued), 2)]));
    assert_eq!(*of(half), counts([(status(CommandStatus::Queued), 1), (status(CommandStatus::Failed), 1)]));
    assert_eq!(*of(ended), counts([(status(CommandStatus::Failed), 1)]));
}

pub(crate) async fn two_processes_cancel_and_end_a_job_once(one: &Fixture, other: &Fixture) {
    let (id, commands) = job(one).await;
    let cancel = |on: &Fixture| {
        let (store, now, draft) = (on.store.clone(), on.now(), on.draft_by("two-programs"));
        async move { store.job_cancel(id, now, draft).await.unwrap() }
    };
    let (ours, theirs) = tokio::join!(cancel(one), cancel(other));
    assert!(ours ^ theirs);
    assert!(targets(other, id).await.iter().all(|row| row.status == status(CommandStatus::Cancelled)));
    assert_eq!(commands.len(), 2);
    let finish = |on: &Fixture| {
        let (store, end, draft) = (on.store.clone(), end(on, JobStatus::Cancelled), on.draft_by("two-programs"));
        async move { store.job_finish(id, end, draft).await.unwrap() }
    };
    let (ours, theirs) = tokio::join!(finish(one), finish(other));
    assert!(ours ^ theirs);
}

pub(crate) async fn a_target_that_was_removed_is_stored_as_not_run(on: &Fixture) {
    let [there, removed, reassigned] = [on.satellite().await, on.satellite().await, on.satellite().await];
    let (mut job, mut commands) = (new_job(on), Vec::new());
    for satellite in [&there, &removed, &reassigned] {
        add(on, &mut job, &mut commands, satellite);
    }
    // After the targets were resolved and before the job is stored.
    on.store.satellite_remove(removed.id, on.now(), on.draft()).await.unwrap();
    on.store.satellite_update(reassigned.id, assigned(on, None), on.draft()).await.unwrap();
    let (id, not_run) = (job.id, commands[1..].iter().map(|command| command.id).collect());
    let inserted = on.store.job_insert(job, commands, None, on.draft()).await.unwrap();
    assert_eq!(inserted, JobInsertOutcome::New { not_run });
    let [one, two, three] = targets(on, id).await.try_into().unwrap();
    assert_eq!(one.status, TargetStatus::Command(CommandStatus::Queued));
    for target in [two, three] {
        assert_eq!((target.status, target.command_id), (TargetStatus::NotRun, None));
        assert_eq!(target.end.error.unwrap().code, ErrorCode::SatelliteNotFound);
    }
    for gone in [removed.id, reassigned.id] {
        assert!(on.store.command_list_open(gone).await.unwrap().is_empty());
    }
}
