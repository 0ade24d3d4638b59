//! Deletion of what is kept long enough, in an SQL database.

use async_trait::async_trait;
use hive_wire::id::Seed;
use hive_wire::{CommandId, Timestamp};

use super::writer::Transaction;
use super::{SqlStore, Statement, statements};
use crate::audit::AuditDraft;
use crate::{AuditRange, RetentionStore, StoreResult};

/// Free pages that are kept, because they will be used again soon: 4 MiB.
const KEPT_PAGES: u64 = 1024;

#[async_trait]
impl RetentionStore for SqlStore {
    async fn command_output_prune(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        let bind = move |text| Statement::new(text).time(before).text(newest_command(before)).number(limit);
        self.delete_each([bind(statements::OUTPUT_PRUNE_MARK), bind(statements::OUTPUT_PRUNE)]).await
    }

    async fn command_prune(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        let statement =
            Statement::new(statements::COMMAND_PRUNE).time(before).text(newest_command(before)).number(limit);
        self.delete_each([statement]).await
    }

    async fn job_prune(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        let bind = |text| Statement::new(text).time(before).number(limit);
        let statements = [statements::JOB_TARGETS_PRUNE, statements::JOB_TEAMS_PRUNE, statements::JOB_PRUNE];
        self.delete_each(statements.map(bind)).await
    }

    async fn session_prune(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        self.delete_each([Statement::new(statements::SESSION_PRUNE).time(before).number(limit)]).await
    }

    async fn answer_prune(&self, now: Timestamp, limit: u32) -> StoreResult<u64> {
        let bind = |text| Statement::new(text).time(now).number(limit);
        // The keys first: they are found by the answers.
        self.delete_each([statements::ANSWER_KEYS_PRUNE, statements::ANSWER_PRUNE].map(bind)).await
    }

    async fn satellite_prune(&self, before: Timestamp, limit: u32) -> StoreResult<u64> {
        let bind = |text| Statement::new(text).time(before).number(limit);
        let statements = [
            statements::SATELLITE_TAGS_PRUNE,
            statements::SATELLITE_KEYS_PRUNE,
            statements::SATELLITE_CLEAR,
            statements::SATELLITE_PRUNE,
        ];
        self.delete_each(statements.map(bind)).await
    }

    async fn audit_prune(&self, range: AuditRange, checkpoint: AuditDraft) -> StoreResult<bool> {
        let AuditRange { first_seq, last_seq, last_hash } = range;
        let delete = Statement::new(statements::AUDIT_PRUNE).number(first_seq).number(last_seq).bind(last_hash);
        self.execute_audited(delete, checkpoint).await
    }

    async fn space_reclaim(&self) -> StoreResult<bool> {
        self.write(move |transaction| Box::pin(reclaim(transaction))).await
    }
}

impl SqlStore {
    /// Runs statements in one transaction. Returns how many rows they changed.
    async fn delete_each(&self, statements: impl IntoIterator<Item = Statement>) -> StoreResult<u64> {
        let statements: Vec<_> = statements.into_iter().collect();
        self.write(move |transaction| {
            Box::pin(async move {
                let mut rows = 0;
                for statement in statements {
                    rows += transaction.execute(statement).await?;
                }
                Ok(rows)
            })
        })
        .await
    }
}

/// The last id that a command created at this time can have. Ids begin with the time, so that the primary key finds old
/// commands and no further index delays each new one.
fn newest_command(at: Timestamp) -> CommandId {
    CommandId::new(Seed { unix_millis: at.unix_millis(), random: [0xff; 10] })
}

async fn reclaim(transaction: &mut Transaction) -> StoreResult<bool> {
    let Some((count, reclaim)) = transaction.dialect().reclaim_space else {
        return Ok(false);
    };
    let free = async |transaction: &mut Transaction| {
        let row = transaction.fetch_optional(Statement::new(count)).await?;
        row.map_or(Ok(0), |row| row.number::<u64>("freelist_count"))
    };
    let before = free(transaction).await?;
    if before <= KEPT_PAGES {
        return Ok(false);
    }
    transaction.execute(Statement::new(reclaim)).await?;
    let after = free(transaction).await?;
    // A file that was made without incremental vacuum keeps its free pages, and uses them again.
    Ok(after < before && after > KEPT_PAGES)
}
