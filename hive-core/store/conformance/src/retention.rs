use std::time::Duration;

use futures_util::future::join_all;
use hive_store::access::VisibleScope;
use hive_store::audit::{AuditAction, AuditCheckpoint, AuditDraft, AuditSigner};
use hive_store::{
    AnswerClaimOutcome, AuditRange, CommandOutcome, JobEnd, NewCommand, RowRange, SessionQuery, StoreResult,
};
use hive_wire::agent::Channel;
use hive_wire::api::{CommandStatus, EndReason, JobCounts, JobStatus, SessionEnd};
use hive_wire::{CommandId, JobId, SatelliteId, SessionId, Timestamp};
use tokio::sync::Mutex;

use crate::answers::claim;
use crate::fixture::{DAY, Fixture};
use crate::jobs::{add, new_job};

/// Pruning is by age, so that checks of it that run at the same time would delete each other's rows.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Deletes until nothing is left, in batches of two.
async fn until_none(mut batch: impl AsyncFnMut(u32) -> StoreResult<u64>) {
    while batch(2).await.unwrap() > 0 {}
}

/// Times that no other check uses: one at which rows ended, and one after it.
fn times(on: &Fixture) -> (Timestamp, Timestamp) {
    let old = on.now().minus(1000 * DAY);
    (old, old.plus(DAY))
}

/// Returns a command that was created at this time.
fn command_at(on: &Fixture, satellite: SatelliteId, at: Timestamp) -> NewCommand {
    let id = CommandId::new(on.seed_at(at));
    NewCommand::new(id, satellite, on.draft().actor, at, on.now().plus(DAY)).team_id(on.team_of(satellite))
}

async fn finish_at(on: &Fixture, id: CommandId, at: Timestamp) {
    let outcome = CommandOutcome { finished_at: at, ..on.outcome(CommandStatus::Succeeded) };
    assert!(on.store.command_finish(id, outcome, Vec::new()).await.unwrap());
}

async fn add_output(on: &Fixture, id: CommandId) {
    for (channel, offset) in [(Channel::Stdout, 0), (Channel::Stdout, 3), (Channel::Stderr, 0)] {
        on.store.command_output_append(id, channel, offset, "abc".into()).await.unwrap();
    }
}

pub(crate) async fn old_output_is_deleted_from_its_end_and_marked(on: &Fixture) {
    let _alone = ALONE.lock().await;
    let (old, cutoff) = times(on);
    let satellite = on.satellite().await.id;
    let insert = async || on.insert(command_at(on, satellite, old)).await;
    let (ended, recent, open) = (insert().await, insert().await, insert().await);
    for id in [ended, recent, open] {
        add_output(on, id).await;
    }
    finish_at(on, ended, old).await;
    finish_at(on, recent, cutoff).await;
    // A batch leaves a beginning without a gap, and says that the rest is gone.
    let mut stored = 6;
    while on.store.command_output_prune(cutoff, 1).await.unwrap() > 0 {
        let left = on.store.command_output(ended, Channel::Stdout, 0, 100).await.unwrap();
        assert!(b"abcabc".starts_with(&left) && left.len() <= stored, "{left:?}");
        stored = left.len();
        let row = on.stored(ended).await;
        // Other old output may go first.
        assert!(left.len() == 6 || row.end.truncated);
        assert_eq!(row.status, CommandStatus::Succeeded);
    }
    assert!(on.stored(ended).await.end.truncated);
    let received = on.store.command_output_len(ended).await.unwrap();
    assert_eq!((received.stdout, received.stderr), (0, 0));
    for id in [recent, open] {
        let received = on.store.command_output_len(id).await.unwrap();
        assert_eq!((received.stdout, received.stderr), (6, 3));
        assert!(!on.stored(id).await.end.truncated);
    }
}

pub(crate) async fn ended_commands_without_output_are_deleted_when_they_are_old(on: &Fixture) {
    let _alone = ALONE.lock().await;
    let (old, cutoff) = times(on);
    let satellite = on.satellite().await.id;
    let insert = async || on.insert(command_at(on, satellite, old)).await;
    let (one, two, three) = (insert().await, insert().await, insert().await);
    let (recent, open, loud) = (insert().await, insert().await, insert().await);
    for id in [one, two, three, loud] {
        finish_at(on, id, old).await;
    }
    finish_at(on, recent, cutoff).await;
    add_output(on, loud).await;
    until_none(async |limit| on.store.command_prune(cutoff, limit).await).await;
    let is_stored = async |id| on.store.command_get(id).await.unwrap().is_some();
    for gone in [one, two, three] {
        assert!(!is_stored(gone).await);
    }
    for kept in [recent, open, loud] {
        assert!(is_stored(kept).await);
    }
    until_none(async |limit| on.store.command_output_prune(cutoff, limit).await).await;
    until_none(async |limit| on.store.command_prune(cutoff, limit).await).await;
    assert!(!is_stored(loud).await);
}

/// Stores a job of this time with `targets` commands, of which all but the last have ended.
async fn job_at(on: &Fixture, at: Timestamp, targets: usize) -> (JobId, Vec<CommandId>) {
    let mut job = new_job(on);
    (job.id, job.created_at) = (JobId::new(on.seed_at(at)), at);
    let mut commands = Vec::new();
    for _ in 0..targets {
        let satellite = on.satellite().await;
        add(on, &mut job, &mut commands, &satellite);
    }
    for (command, target) in commands.iter_mut().zip(&mut job.targets) {
        *command = command_at(on, command.satellite_id, at).job_id(Some(job.id));
        target.command = Ok(command.id);
    }
    let (id, ids) = (job.id, commands.iter().map(|command| command.id).collect::<Vec<_>>());
    on.store.job_insert(job, commands, None, on.draft()).await.unwrap();
    for command in &ids[..targets - 1] {
        finish_at(on, *command, at).await;
    }
    (id, ids)
}

async fn end_job_at(on: &Fixture, id: JobId, at: Timestamp) {
    let end = JobEnd { status: JobStatus::Succeeded, counts: JobCounts::default(), finished_at: at };
    assert!(on.store.job_finish(id, end, on.draft()).await.unwrap());
}

pub(crate) async fn an_old_job_goes_with_its_commands(on: &Fixture) {
    let _alone = ALONE.lock().await;
    let (old, cutoff) = times(on);
    let (ended, its) = job_at(on, old, 5).await;
    let (open, others) = job_at(on, old, 3).await;
    finish_at(on, its[4], old).await;
    end_job_at(on, ended, old).await;
    let is_stored = async |id| on.store.command_get(id).await.unwrap().is_some();
    until_none(async |limit| on.store.command_prune(cutoff, limit).await).await;
    for id in its.iter().chain(&others) {
        assert!(is_stored(*id).await, "a stored job refers to it");
    }
    // A batch takes two targets, and the job is still there with the others.
    assert_eq!(on.store.job_prune(cutoff, 2).await.unwrap(), 2);
    assert_eq!(on.store.job_target_list(ended, RowRange::ALL).await.unwrap().1, 3);
    until_none(async |limit| on.store.job_prune(cutoff, limit).await).await;
    assert_eq!(on.store.job_get(ended).await.unwrap(), None);
    until_none(async |limit| on.store.command_prune(cutoff, limit).await).await;
    for id in its {
        assert!(!is_stored(id).await);
    }
    assert!(on.store.job_get(open).await.unwrap().is_some());
    for id in others {
        assert!(is_stored(id).await, "its job is open");
    }
}

pub(crate) async fn ended_sessions_are_deleted_when_they_are_old(on: &Fixture) {
    let _alone = ALONE.lock().await;
    let (old, cutoff) = times(on);
    let satellite = on.satellite().await.id;
    let insert = async || {
        let mut session = on.new_session(satellite);
        (session.id, session.created_at) = (SessionId::new(on.seed_at(old)), old);
        let id = session.id;
        assert!(on.store.session_insert(session, 100, on.draft()).await.unwrap());
        id
    };
    let (one, two, three, recent, open) =
        (insert().await, insert().await, insert().await, insert().await, insert().await);
    let end = || SessionEnd { reason: EndReason::Exited, exit_code: Some(0), error: None };
    for (id, at) in [(one, old), (two, old), (three, old), (recent, cutoff)] {
        assert!(on.store.session_end(id, end(), at, on.draft()).await.unwrap());
    }
    until_none(async |limit| on.store.session_prune(cutoff, limit).await).await;
    let query = SessionQuery { visible: VisibleScope::ALL, satellite_id: Some(satellite), ended: None };
    let mut left: Vec<_> =
        on.store.session_list(&query, RowRange::ALL).await.unwrap().0.into_iter().map(|row| row.id).collect();
    left.sort();
    let mut expected = [recent, open];
    expected.sort();
    assert_eq!(left, expected);
}

pub(crate) async fn a_removed_satellite_is_forgotten_and_its_name_stays_where_it_is_shown(on: &Fixture) {
    let _alone = ALONE.lock().await;
    let (old, cutoff) = times(on);
    let [plain, shown, recent, there] =
        [on.satellite().await, on.satellite().await, on.satellite().await, on.satellite().await];
    let (mut job, mut commands) = (new_job(on), Vec::new());
    for satellite in [&plain, &there] {
        add(on, &mut job, &mut commands, satellite);
    }
    for (command, target) in commands.iter_mut().zip(&mut job.targets) {
        *command = command_at(on, command.satellite_id, old).job_id(Some(job.id));
        target.command = Ok(command.id);
    }
    let job_id = job.id;
    on.store.job_insert(job, commands, None, on.draft()).await.unwrap();
    let session = on.new_session(shown.id);
    let session_id = session.id;
    assert!(on.store.session_insert(session, 10, on.draft()).await.unwrap());
    for satellite in [&plain, &shown] {
        assert!(on.store.satellite_remove(satellite.id, old, on.draft()).await.unwrap());
    }
    assert!(on.store.satellite_remove(recent.id, cutoff, on.draft()).await.unwrap());
    until_none(async |limit| on.store.satellite_prune(cutoff, limit).await).await;
    let row = on.store.session_get(session_id).await.unwrap().unwrap();
    assert_eq!(row.satellite_name, shown.name);
    let (targets, _) = on.store.job_target_list(job_id, RowRange::ALL).await.unwrap();
    assert_eq!(targets[0].satellite_name, plain.name);
    assert_eq!(on.store.satellite_get(there.id).await.unwrap().unwrap(), there);
    // The name is free, also while the session keeps it.
    let again = on.register(&shown.name, None).await;
    assert_ne!(again.id, shown.id);
}

/// Drafts the record of a checkpoint.
fn checkpoint(on: &Fixture, signer: &AuditSigner, range: &AuditRange) -> AuditDraft {
    let mut draft = on.draft();
    draft.action = AuditAction::AuditCheckpoint;
    draft.target.kind = "audit".into();
    draft.with_details(AuditCheckpoint::sign(signer, range.last_seq, &range.last_hash))
}

pub(crate) async fn the_audit_log_is_pruned_once_up_to_its_checkpoint(on: &Fixture) {
    let _alone = ALONE.lock().await;
    let signer = AuditSigner::from_secret(&[9; 32]);
    for _ in 0..3 {
        on.store.audit_append(on.draft()).await.unwrap();
    }
    // Other checks may use the store at the same time: only the oldest records go.
    let first = on.store.audit_records(0, 2).await.unwrap();
    let range = |last: usize| AuditRange {
        first_seq: first[0].seq,
        last_seq: first[last].seq,
        last_hash: first[last].hash.clone(),
    };
    let other = AuditRange { last_hash: "0".repeat(64), ..range(1) };
    assert!(!on.store.audit_prune(other.clone(), checkpoint(on, &signer, &other)).await.unwrap(), "another log");
    assert_eq!(on.store.audit_records(0, 2).await.unwrap(), first, "nothing was changed");
    let actor = on.unique();
    let prune = async |_: usize| {
        let mut draft = checkpoint(on, &signer, &range(1));
        draft.actor = on.draft_by(&actor).actor;
        on.store.audit_prune(range(1), draft).await.unwrap()
    };
    let pruned = join_all((0..8).map(prune)).await;
    assert_eq!(pruned.into_iter().filter(|pruned| *pruned).count(), 1);
    assert_eq!(on.records_by(&actor).await.len(), 1, "the record of the one that did it");
    let next = on.store.audit_records(0, 1).await.unwrap().remove(0);
    assert_eq!((next.seq, &next.previous_hash), (first[1].seq + 1, &first[1].hash));
    for key in [None, Some(signer.public_key())] {
        let verification = on.store.audit_verify(key.as_deref()).await.unwrap();
        assert!(verification.valid, "{verification:?}");
    }
    let stranger = AuditSigner::from_secret(&[8; 32]).public_key();
    assert!(!on.store.audit_verify(Some(&stranger)).await.unwrap().valid, "another key signed the checkpoint");
}

pub(crate) async fn free_space_is_returned_until_there_is_none(on: &Fixture) {
    let _alone = ALONE.lock().await;
    let bounded = async { while on.store.space_reclaim().await.unwrap() {} };
    tokio::time::timeout(Duration::from_mins(5), bounded).await.expect("it ends");
}

pub(crate) async fn expired_answers_are_deleted_with_their_keys(on: &Fixture) {
    let _alone = ALONE.lock().await;
    let (old, cutoff) = times(on);
    let claim_until = async |expires_at: Timestamp| {
        let mut claim = claim(on, &on.unique(), "a");
        // Claims delete the keys that have expired at their own time.
        (claim.now, claim.key.expires_at) = (old.minus(DAY), expires_at);
        assert_eq!(on.store.answer_claim(claim.clone()).await.unwrap(), AnswerClaimOutcome::New);
        claim
    };
    let mut expired = Vec::new();
    for _ in 0..5 {
        expired.push(claim_until(old).await);
    }
    let valid = claim_until(on.now().plus(DAY)).await;
    until_none(|limit| on.store.answer_prune(cutoff, limit)).await;
    for claim in expired {
        assert_eq!(on.store.answer_claim(claim).await.unwrap(), AnswerClaimOutcome::New);
    }
    let left = on.store.answer_claim(valid).await.unwrap();
    assert!(matches!(left, AnswerClaimOutcome::Existing(_)), "{left:?}");
    until_none(|limit| on.store.answer_prune(cutoff, limit)).await;
}
