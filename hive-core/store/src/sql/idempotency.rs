//! Idempotency keys in an SQL database, of commands and of jobs.

use hive_wire::{CommandId, JobId, Timestamp};

use super::writer::Transaction;
use super::{Statement, statements};
use crate::{IdempotencyKey, StoreResult};

/// The request that used an idempotency key before.
pub(super) enum EarlierRequest {
    /// The same request. It stored these commands.
    Commands(Vec<CommandId>),
    /// The same request. It stored this job.
    Job(JobId),
    /// A request with another body.
    Different,
}

/// Stores an idempotency key for these commands or this job. If the key is in use, returns the request that used it.
pub(super) async fn claim(
    transaction: &mut Transaction,
    key: IdempotencyKey,
    commands: &[CommandId],
    job: Option<JobId>,
    now: Timestamp,
) -> StoreResult<Option<EarlierRequest>> {
    // There are few expired keys at a time: no task of its own is needed to delete them.
    transaction.execute(Statement::new(statements::IDEMPOTENCY_PURGE).time(now)).await?;
    let found = transaction
        .fetch_optional(Statement::new(statements::IDEMPOTENCY_FIND).text(&key.owner).text(&key.key))
        .await?;
    if let Some(row) = found {
        return Ok(Some(match row.parse_opt("job_id")? {
            _ if row.text("body_hash")? != key.body_hash => EarlierRequest::Different,
            Some(job) => EarlierRequest::Job(job),
            None => EarlierRequest::Commands(row.json("command_ids")?),
        }));
    }
    let statement = Statement::new(statements::IDEMPOTENCY_INSERT)
        .bind(key.owner)
        .bind(key.key)
        .bind(key.body_hash)
        .json(&commands)
        .text_opt(job)
        .time(key.expires_at);
    transaction.execute(statement).await?;
    Ok(None)
}
