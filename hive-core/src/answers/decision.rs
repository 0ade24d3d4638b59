//! What becomes of a call with an idempotency key, and what is kept of its answer. No I/O.

use hive_wire::Timestamp;

use crate::error::KeyConflict;
use crate::store::{AnswerClaimOutcome, AnswerRow, StoredAnswer, WholeAnswer};

/// The most bytes of a body that is kept: 64 KiB.
pub const MAX_KEPT_BODY: usize = 64 * 1024;

/// The answer of a call that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallAnswer {
    /// An answer that may be given again.
    Plain(WholeAnswer),
    /// An answer with a secret, which is shown once.
    WithSecret {
        /// The status.
        status: u16,
        /// The id of what was made, where it has one.
        id: Option<String>,
    },
}

/// What becomes of a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Its key was free.
    CarryOut,
    /// The same call has this answer.
    Repeat(WholeAnswer),
    /// It cannot be answered.
    Refuse(KeyConflict),
}

/// Decides about a call by what the store knows of its key.
pub(super) fn decide(claimed: AnswerClaimOutcome, now: Timestamp) -> Decision {
    let AnswerRow { leased_until, answer } = match claimed {
        AnswerClaimOutcome::New => return Decision::CarryOut,
        AnswerClaimOutcome::Conflict => return Decision::Refuse(KeyConflict::OtherRequest),
        AnswerClaimOutcome::Existing(row) => row,
    };
    match answer {
        Some(StoredAnswer::Whole(answer)) => Decision::Repeat(answer),
        Some(StoredAnswer::TooLarge) => Decision::Refuse(KeyConflict::TooLarge),
        Some(StoredAnswer::Secret { id }) => Decision::Refuse(KeyConflict::Secret { id }),
        None if now < leased_until => Decision::Refuse(KeyConflict::InProgress),
        // Not carried out again: its server may have died after the change, and before it kept the answer.
        None => Decision::Refuse(KeyConflict::OutcomeUnknown),
    }
}

/// Returns what is kept of an answer; `None` if the key is free again. A call that was refused or failed has changed nothing:
/// whether it is still refused is decided anew.
pub(super) fn kept(answer: CallAnswer) -> Option<StoredAnswer> {
    let (CallAnswer::Plain(WholeAnswer { status, .. }) | CallAnswer::WithSecret { status, .. }) = &answer;
    if !(200..300).contains(status) {
        return None;
    }
    Some(match answer {
        CallAnswer::WithSecret { id, .. } => StoredAnswer::Secret { id },
        CallAnswer::Plain(answer) if answer.body.len() > MAX_KEPT_BODY => StoredAnswer::TooLarge,
        CallAnswer::Plain(answer) => StoredAnswer::Whole(answer),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000);

    fn answer(status: u16, body: usize) -> WholeAnswer {
        WholeAnswer { status, headers: Vec::new(), body: vec![b'x'; body].into() }
    }

    fn check(answer: Option<StoredAnswer>, leased_until: i64, expected: Decision) {
        let row = AnswerRow { leased_until: Timestamp::from_micros(leased_until), answer };
        assert_eq!(decide(AnswerClaimOutcome::Existing(row), NOW), expected);
    }

    #[test]
    fn a_free_key_carries_out_its_call_and_another_call_is_refused() {
        assert_eq!(decide(AnswerClaimOutcome::New, NOW), Decision::CarryOut);
        let refused = Decision::Refuse(KeyConflict::OtherRequest);
        assert_eq!(decide(AnswerClaimOutcome::Conflict, NOW), refused);
    }

    #[test]
    fn the_same_call_gets_what_was_kept_whenever_it_comes() {
        let id = Some("key_1".to_owned());
        for lease in [0, 2_000] {
            check(Some(StoredAnswer::Whole(answer(201, 3))), lease, Decision::Repeat(answer(201, 3)));
            check(Some(StoredAnswer::TooLarge), lease, Decision::Refuse(KeyConflict::TooLarge));
            let secret = KeyConflict::Secret { id: id.clone() };
            check(Some(StoredAnswer::Secret { id: id.clone() }), lease, Decision::Refuse(secret));
        }
    }

    #[test]
    fn a_call_without_an_answer_runs_as_long_as_its_lease() {
        check(None, 1_001, Decision::Refuse(KeyConflict::InProgress));
        check(None, 1_000, Decision::Refuse(KeyConflict::OutcomeUnknown));
        check(None, 0, Decision::Refuse(KeyConflict::OutcomeUnknown));
    }

    #[test]
    fn only_what_was_carried_out_is_kept() {
        for status in [200, 201, 202, 204] {
            assert_eq!(kept(CallAnswer::Plain(answer(status, 3))), Some(StoredAnswer::Whole(answer(status, 3))));
        }
        for status in [400, 401, 403, 404, 409, 413, 429, 500, 503] {
            assert_eq!(kept(CallAnswer::Plain(answer(status, 3))), None, "{status}");
            assert_eq!(kept(CallAnswer::WithSecret { status, id: None }), None, "{status}");
        }
    }

    #[test]
    fn a_large_body_and_a_secret_are_not_kept() {
        let largest = answer(200, MAX_KEPT_BODY);
        assert_eq!(kept(CallAnswer::Plain(largest.clone())), Some(StoredAnswer::Whole(largest)));
        assert_eq!(kept(CallAnswer::Plain(answer(200, MAX_KEPT_BODY + 1))), Some(StoredAnswer::TooLarge));
        let id = Some("key_1".to_owned());
        let secret = CallAnswer::WithSecret { status: 201, id: id.clone() };
        assert_eq!(kept(secret), Some(StoredAnswer::Secret { id }));
    }
}
