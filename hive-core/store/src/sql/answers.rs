//! Kept answers in an SQL database.

use async_trait::async_trait;
use bytes::Bytes;
use hive_wire::Timestamp;

use super::idempotency::{self, EarlierRequest};
use super::writer::Transaction;
use super::{Row, SqlStore, Statement, Value, statements};
use crate::{AnswerClaim, AnswerClaimOutcome, AnswerRow, AnswerStore, IdempotencyKey, StoreResult, StoredAnswer};

#[async_trait]
impl AnswerStore for SqlStore {
    async fn answer_claim(&self, claim: AnswerClaim) -> StoreResult<AnswerClaimOutcome> {
        self.write(move |transaction| Box::pin(claim_key(transaction, claim))).await
    }

    async fn answer_renew(&self, owner: &str, key: &str, leased_until: Timestamp) -> StoreResult<bool> {
        self.execute_unaudited(of_key(statements::ANSWER_RENEW, owner, key).time(leased_until)).await
    }

    async fn answer_keep(&self, owner: &str, key: &str, answer: StoredAnswer) -> StoreResult<bool> {
        let (answer, body) = answer.into_columns();
        let statement = of_key(statements::ANSWER_KEEP, owner, key).json(&answer);
        self.execute_unaudited(statement.bind(Value::Bytes(body))).await
    }

    async fn answer_release(&self, owner: &str, key: &str) -> StoreResult<bool> {
        let answer = of_key(statements::ANSWER_RELEASE, owner, key);
        let key = of_key(statements::IDEMPOTENCY_RELEASE, owner, key);
        self.write(move |transaction| {
            Box::pin(async move {
                let is_released = transaction.execute(answer).await? > 0;
                if is_released {
                    transaction.execute(key).await?;
                }
                Ok(is_released)
            })
        })
        .await
    }
}

fn of_key(text: &'static str, owner: &str, key: &str) -> Statement {
    Statement::new(text).text(owner).text(key)
}

async fn claim_key(transaction: &mut Transaction, claim: AnswerClaim) -> StoreResult<AnswerClaimOutcome> {
    let AnswerClaim { key, route, now, leased_until } = claim;
    let IdempotencyKey { owner, key: text, expires_at, .. } = key.clone();
    match idempotency::claim(transaction, key, &[], None, now).await? {
        None => {}
        Some(EarlierRequest::Commands(_)) => {
            let found = transaction.fetch_optional(of_key(statements::ANSWER_GET, &owner, &text)).await?;
            // A digest of a command or job is never that of another call, so that a key of theirs does not come here.
            return Ok(match found {
                Some(row) => AnswerClaimOutcome::Existing(read_answer(&row)?),
                None => AnswerClaimOutcome::Conflict,
            });
        }
        Some(EarlierRequest::Job(_) | EarlierRequest::Different) => return Ok(AnswerClaimOutcome::Conflict),
    }
    // The answer of an expired key may not be pruned yet.
    transaction.execute(of_key(statements::ANSWER_CLEAR, &owner, &text)).await?;
    let insert = of_key(statements::ANSWER_INSERT, &owner, &text).bind(route).time(leased_until).time(expires_at);
    transaction.execute(insert).await?;
    Ok(AnswerClaimOutcome::New)
}

fn read_answer(row: &Row) -> StoreResult<AnswerRow> {
    let body = row.bytes_opt("body")?.map(Bytes::from);
    let answer = row.json_opt("answer")?.map(|answer| StoredAnswer::from_columns(answer, body));
    Ok(AnswerRow { leased_until: row.time("leased_until")?, answer })
}
