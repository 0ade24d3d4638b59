//! A write transaction: statements, and the head of the audit chain.

use hive_wire::api::AuditEntry;
use sqlx::sqlite::SqliteRow;
use sqlx::{Executor, Row, query};

use crate::audit::AuditDraft;
use crate::audit::chain::{self, GENESIS_HASH};
use crate::store::sqlite::audit::bind_audit;
use crate::store::sqlite::bind::Query;
use crate::store::sqlite::pool::Lease;
use crate::store::{StoreResult, sql};

const MARK: &str = "SAVEPOINT job";
const MOVE_MARK: &str = "RELEASE job; SAVEPOINT job";
const BACK_TO_MARK: &str = "ROLLBACK TO job";

/// The last record of the chain. Read inside each transaction: other processes append too.
#[derive(Debug, Clone)]
struct Head {
    seq: u64,
    hash: String,
}

#[derive(Debug)]
pub(in crate::store::sqlite) struct Transaction {
    connection: Lease,
    head: Head,
    /// The head at the mark.
    marked: Option<Head>,
    /// Whether nothing was done since the mark.
    is_fresh: bool,
    /// Whether the job at work may have changed something.
    is_touched: bool,
}

impl Transaction {
    pub(super) async fn begin(mut connection: Lease) -> StoreResult<Self> {
        let head = match connection.fetch_optional(query(sql::SQLITE_BEGIN)).await {
            Ok(Some(row)) => read_head(&row),
            Ok(None) => Ok(Head { seq: 0, hash: GENESIS_HASH.to_owned() }),
            Err(error) => Err(error),
        };
        match head {
            Ok(head) => Ok(Self { connection, head, marked: None, is_fresh: false, is_touched: false }),
            Err(error) => {
                // The lock may be taken already, and the error is told anyway.
                connection.execute("ROLLBACK").await.ok();
                Err(error.into())
            }
        }
    }

    /// Runs a statement; how many rows it changed.
    pub(in crate::store::sqlite) async fn execute(&mut self, query: Query) -> StoreResult<u64> {
        let rows = self.connection.execute(query).await?.rows_affected();
        self.touch();
        Ok(rows)
    }

    pub(in crate::store::sqlite) async fn fetch_optional(&mut self, query: Query) -> StoreResult<Option<SqliteRow>> {
        // Not sqlx's `fetch_optional`: it stops at the first row, before a changing statement with RETURNING is done.
        let row = self.connection.fetch_all(query).await?.pop();
        self.touch();
        Ok(row)
    }

    /// Appends an audit record.
    pub(in crate::store::sqlite) async fn audit(&mut self, draft: AuditDraft) -> StoreResult<AuditEntry> {
        self.audit_with(query(sql::AUDIT_INSERT), draft).await
    }

    /// Runs statements of which the last appends an audit record; all their other values are bound.
    pub(in crate::store::sqlite) async fn audit_with(
        &mut self,
        statements: Query,
        draft: AuditDraft,
    ) -> StoreResult<AuditEntry> {
        let (entry, record) = chain::seal(draft, self.head.seq + 1, &self.head.hash);
        // The first of several statements may have been done where the last fails.
        self.touch();
        self.execute(bind_audit(statements, &entry, record)).await?;
        self.head = Head { seq: entry.seq, hash: entry.hash.clone() };
        Ok(entry)
    }

    fn touch(&mut self) {
        self.is_touched = true;
        self.is_fresh = false;
    }

    /// Notes that the next job begins.
    pub(super) fn next(&mut self) {
        self.is_touched = false;
    }

    /// Whether the job at work can have left something behind.
    pub(super) fn is_touched(&self) -> bool {
        self.is_touched
    }

    /// Marks where the next job begins.
    pub(super) async fn mark(&mut self) -> StoreResult<()> {
        if !self.is_fresh {
            let statement = if self.marked.is_none() { MARK } else { MOVE_MARK };
            self.connection.execute(query(statement)).await?;
        }
        self.marked = Some(self.head.clone());
        self.is_fresh = true;
        Ok(())
    }

    /// Undoes what was done since the mark. Fails where the database gave up the whole transaction.
    pub(super) async fn back_to_mark(&mut self) -> StoreResult<()> {
        self.connection.execute(query(BACK_TO_MARK)).await?;
        self.head = self.marked.clone().expect("back to a mark that was set");
        self.is_fresh = true;
        Ok(())
    }

    pub(super) async fn commit(&mut self) -> StoreResult<()> {
        self.connection.execute(query("COMMIT")).await?;
        Ok(())
    }

    pub(super) async fn roll_back(&mut self) {
        // It may have been rolled back by the database itself, which is as good.
        self.connection.execute("ROLLBACK").await.ok();
    }
}

fn read_head(row: &SqliteRow) -> sqlx::Result<Head> {
    Ok(Head { seq: row.try_get::<i64, _>("seq")?.cast_unsigned(), hash: row.try_get("hash")? })
}
