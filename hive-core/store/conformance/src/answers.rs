use std::time::Duration;

use futures_util::future::join_all;
use hive_store::{
    AnswerClaim, AnswerClaimOutcome, AnswerRow, CommandInsertOutcome, IdempotencyKey, StoredAnswer, WholeAnswer,
};
use hive_wire::Timestamp;

use crate::CALLERS;
use crate::fixture::{DAY, Fixture};

/// The key of all checks. Each has an owner of its own.
const KEY: &str = "again";

pub(crate) fn claim(on: &Fixture, owner: &str, body: &str) -> AnswerClaim {
    let expires_at = on.now().plus(DAY);
    let key = IdempotencyKey { owner: owner.into(), key: KEY.into(), body_hash: body.into(), expires_at };
    let (now, leased_until) = (on.now(), on.now().plus(Duration::from_mins(1)));
    AnswerClaim { key, route: "user_create".into(), now, leased_until }
}

fn whole(body: &'static [u8]) -> StoredAnswer {
    let headers = vec![("content-type".into(), "application/json".into())];
    StoredAnswer::Whole(WholeAnswer { status: 201, headers, body: body.into() })
}

fn running(leased_until: Timestamp) -> AnswerClaimOutcome {
    AnswerClaimOutcome::Existing(AnswerRow { leased_until, answer: None })
}

async fn answer_of(on: &Fixture, owner: &str) -> Option<StoredAnswer> {
    match on.store.answer_claim(claim(on, owner, "a")).await.unwrap() {
        AnswerClaimOutcome::Existing(row) => row.answer,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn a_key_is_claimed_by_one_call_of_many(on: &Fixture) {
    let owner = on.unique();
    let claims: Vec<_> = (0..CALLERS).map(|_| claim(on, &owner, "a")).collect();
    let leases: Vec<_> = claims.iter().map(|claim| running(claim.leased_until)).collect();
    let outcomes = join_all(claims.into_iter().map(|claim| on.store.answer_claim(claim))).await;
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    let winner = outcomes.iter().position(|outcome| *outcome == AnswerClaimOutcome::New).unwrap();
    let others = outcomes.iter().enumerate().filter(|(place, _)| *place != winner);
    assert!(others.into_iter().all(|(_, outcome)| *outcome == leases[winner]), "they learn how long it may run");
    let other = on.store.answer_claim(claim(on, &owner, "b")).await.unwrap();
    assert_eq!(other, AnswerClaimOutcome::Conflict);
    let theirs = on.store.answer_claim(claim(on, &on.unique(), "b")).await.unwrap();
    assert_eq!(theirs, AnswerClaimOutcome::New, "somebody else's key");
}

pub(crate) async fn an_answer_is_stored_once_and_reads_back(on: &Fixture) {
    let bytes = b"{\"a\":\"\0\xff\"}";
    let id = Some("key_1".to_owned());
    let answers = [
        whole(bytes),
        whole(b""),
        StoredAnswer::TooLarge,
        StoredAnswer::Secret { id },
        StoredAnswer::Secret { id: None },
    ];
    for answer in answers {
        let owner = on.unique();
        assert!(!on.store.answer_keep(&owner, KEY, answer.clone()).await.unwrap(), "nothing is claimed");
        on.store.answer_claim(claim(on, &owner, "a")).await.unwrap();
        let keep = async |_| on.store.answer_keep(&owner, KEY, answer.clone()).await.unwrap();
        let kept = join_all((0..CALLERS).map(keep)).await;
        assert_eq!(kept.into_iter().filter(|is_kept| *is_kept).count(), 1);
        assert!(!on.store.answer_renew(&owner, KEY, on.now()).await.unwrap());
        assert!(!on.store.answer_release(&owner, KEY).await.unwrap());
        assert_eq!(answer_of(on, &owner).await, Some(answer));
    }
}

pub(crate) async fn a_released_key_is_free(on: &Fixture) {
    let owner = on.unique();
    on.store.answer_claim(claim(on, &owner, "a")).await.unwrap();
    assert!(on.store.answer_release(&owner, KEY).await.unwrap());
    assert!(!on.store.answer_release(&owner, KEY).await.unwrap());
    assert!(!on.store.answer_renew(&owner, KEY, on.now()).await.unwrap());
    assert_eq!(on.store.answer_claim(claim(on, &owner, "b")).await.unwrap(), AnswerClaimOutcome::New);
}

pub(crate) async fn a_lease_is_renewed_while_a_call_runs(on: &Fixture) {
    let owner = on.unique();
    on.store.answer_claim(claim(on, &owner, "a")).await.unwrap();
    let later = on.now().plus(DAY);
    assert!(on.store.answer_renew(&owner, KEY, later).await.unwrap());
    assert_eq!(on.store.answer_claim(claim(on, &owner, "a")).await.unwrap(), running(later));
    // It stays claimed when the lease is over: whether the call was carried out is not known.
    let past = on.now().minus(DAY);
    assert!(on.store.answer_renew(&owner, KEY, past).await.unwrap());
    assert_eq!(on.store.answer_claim(claim(on, &owner, "a")).await.unwrap(), running(past));
}

pub(crate) async fn an_expired_key_is_free_before_its_answer_is_deleted(on: &Fixture) {
    let owner = on.unique();
    let mut expired = claim(on, &owner, "a");
    expired.key.expires_at = on.now();
    assert_eq!(on.store.answer_claim(expired).await.unwrap(), AnswerClaimOutcome::New);
    assert!(on.store.answer_keep(&owner, KEY, whole(b"old")).await.unwrap());
    assert_eq!(on.store.answer_claim(claim(on, &owner, "a")).await.unwrap(), AnswerClaimOutcome::New);
    assert_eq!(answer_of(on, &owner).await, None);
}

pub(crate) async fn keys_of_answers_and_commands_are_one_namespace(on: &Fixture) {
    let satellite = on.satellite().await.id;
    let insert = async |key| {
        let command = vec![on.new_command(satellite)];
        on.store.command_insert(command, Some(key), on.draft()).await.unwrap()
    };
    let (first, second) = (on.unique(), on.unique());
    on.store.answer_claim(claim(on, &first, "a")).await.unwrap();
    assert_eq!(insert(claim(on, &first, "of a command").key).await, CommandInsertOutcome::Conflict);
    assert_eq!(insert(claim(on, &second, "of a command").key).await, CommandInsertOutcome::New);
    let refused = on.store.answer_claim(claim(on, &second, "a")).await.unwrap();
    assert_eq!(refused, AnswerClaimOutcome::Conflict);
    assert!(!on.store.answer_release(&second, KEY).await.unwrap());
    let again = on.store.answer_claim(claim(on, &second, "a")).await.unwrap();
    assert_eq!(again, AnswerClaimOutcome::Conflict, "the command keeps its key");
}

pub(crate) async fn two_processes_claim_a_key_once(one: &Fixture, other: &Fixture) {
    let owner = one.unique();
    let claims = (0..CALLERS).map(|place| {
        let on = if place % 2 == 0 { one } else { other };
        on.store.answer_claim(claim(on, &owner, "a"))
    });
    let outcomes = join_all(claims).await;
    let new = outcomes.into_iter().filter(|outcome| *outcome.as_ref().unwrap() == AnswerClaimOutcome::New);
    assert_eq!(new.count(), 1);
    assert!(other.store.answer_keep(&owner, KEY, whole(b"{}")).await.unwrap());
    assert_eq!(answer_of(one, &owner).await, Some(whole(b"{}")), "the other process has the answer");
}
