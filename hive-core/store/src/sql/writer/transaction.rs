//! A write transaction, with the head of the audit chain.

use std::sync::Arc;

use hive_wire::api::AuditEntry;

use crate::audit::AuditDraft;
use crate::audit::chain::{self, GENESIS_HASH};
use crate::sql::audit::bind_audit;
use crate::sql::pool::{Pool, PooledConnection};
use crate::sql::{Dialect, Row, Statement, statements};
use crate::{StoreError, StoreResult};

const SAVEPOINT: &str = "SAVEPOINT request";
const MOVE_SAVEPOINT: &str = "RELEASE request; SAVEPOINT request";
const ROLLBACK_TO_SAVEPOINT: &str = "ROLLBACK TO request";

/// The last record of the audit chain. It is read in each transaction, because other processes append records too.
#[derive(Debug, Clone)]
struct Head {
    seq: u64,
    hash: String,
}

#[derive(Debug)]
pub(in crate::sql) struct Transaction {
    connection: PooledConnection,
    head: Head,
    /// The head at the savepoint, if one was set.
    head_at_savepoint: Option<Head>,
    /// Whether nothing was changed since the savepoint.
    is_at_savepoint: bool,
    /// Whether the current request may have changed something.
    has_changes: bool,
    /// Whether a statement failed and the database aborted the transaction back to the savepoint.
    is_aborted: bool,
}

impl Transaction {
    /// Begins a transaction on a connection of the pool.
    pub(super) async fn begin(pool: &Arc<Pool>) -> StoreResult<Self> {
        loop {
            let mut connection = pool.take().await?;
            match read_head(&mut connection).await {
                Ok(head) => {
                    return Ok(Self {
                        connection,
                        head,
                        head_at_savepoint: None,
                        is_at_savepoint: false,
                        has_changes: false,
                        is_aborted: false,
                    });
                }
                // Nothing was begun on it, so that another one can be tried safely.
                Err(_) if connection.was_lost_while_idle() => {}
                Err(error) => {
                    // The transaction may hold the lock already. The first error is the one to report.
                    connection.script("ROLLBACK").await.ok();
                    return Err(error);
                }
            }
        }
    }

    pub(in crate::sql) fn dialect(&self) -> &'static Dialect {
        self.connection.dialect()
    }

    /// Runs a statement and returns how many rows it changed.
    pub(in crate::sql) async fn execute(&mut self, statement: Statement) -> StoreResult<u64> {
        let rows = self.connection.execute(statement).await;
        self.record_result(&rows);
        rows
    }

    /// Runs a statement that returns at most one row.
    pub(in crate::sql) async fn fetch_optional(&mut self, statement: Statement) -> StoreResult<Option<Row>> {
        let rows = self.connection.fetch_all(statement).await;
        self.record_result(&rows);
        Ok(rows?.pop())
    }

    /// Appends an audit record.
    pub(in crate::sql) async fn audit(&mut self, draft: AuditDraft) -> StoreResult<AuditEntry> {
        let entry = self.audit_with(Statement::new(statements::AUDIT_INSERT), draft).await?;
        Ok(entry.expect("an insert of values inserts them"))
    }

    /// Runs statements of which the last one appends an audit record. The caller has bound all values before those of the
    /// record. `None` if no row was inserted, and therefore no record.
    pub(in crate::sql) async fn audit_with(
        &mut self,
        statements: Statement,
        draft: AuditDraft,
    ) -> StoreResult<Option<AuditEntry>> {
        let (entry, record) = chain::seal(draft, self.head.seq + 1, &self.head.hash);
        // If the last of several statements fails, the first one has changed something already.
        self.mark_changed();
        if self.execute(bind_audit(statements, &entry, record)).await? == 0 {
            return Ok(None);
        }
        self.head = Head { seq: entry.seq, hash: entry.hash.clone() };
        Ok(Some(entry))
    }

    fn record_result<T>(&mut self, result: &StoreResult<T>) {
        match result {
            Ok(_) => self.mark_changed(),
            Err(_) => self.is_aborted = self.dialect().aborts_on_error,
        }
    }

    fn mark_changed(&mut self) {
        self.has_changes = true;
        self.is_at_savepoint = false;
    }

    /// Resets what is known of the request before.
    pub(super) fn begin_request(&mut self) {
        self.has_changes = false;
    }

    /// Whether the current request may have changed something.
    pub(super) fn has_changes(&self) -> bool {
        self.has_changes
    }

    /// Sets the savepoint of the next request, and releases the one before.
    pub(super) async fn savepoint(&mut self) -> StoreResult<()> {
        // After a rollback to it the savepoint is still there, and a round trip can be saved.
        if !self.is_at_savepoint {
            let script = if self.head_at_savepoint.is_none() { SAVEPOINT } else { MOVE_SAVEPOINT };
            self.connection.script(script).await?;
        }
        self.head_at_savepoint = Some(self.head.clone());
        self.is_at_savepoint = true;
        Ok(())
    }

    /// Undoes the changes since the savepoint. Fails if the database rolled back the whole transaction.
    pub(super) async fn rollback_to_savepoint(&mut self) -> StoreResult<()> {
        self.connection.script(ROLLBACK_TO_SAVEPOINT).await?;
        self.head = self.head_at_savepoint.clone().expect("a savepoint was set before");
        self.is_at_savepoint = true;
        self.is_aborted = false;
        Ok(())
    }

    /// Commits.
    pub(super) async fn commit(&mut self) -> StoreResult<()> {
        // PostgreSQL answers COMMIT of an aborted transaction with success, and rolls back.
        if self.is_aborted {
            return Err(StoreError::Unavailable("a statement of the transaction failed".into()));
        }
        if let Err(error) = self.connection.script("COMMIT").await {
            self.rollback().await;
            self.overwrite_failed_commit().await;
            return Err(error);
        }
        Ok(())
    }

    /// Overwrites what a failed commit may have left in the database's log.
    async fn overwrite_failed_commit(&mut self) {
        let Some(script) = self.dialect().after_failed_commit else {
            return;
        };
        if let Err(error) = self.connection.script(script).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the database cannot be written");
            self.rollback().await;
        }
    }

    pub(super) async fn rollback(&mut self) {
        // It fails if the database has rolled back by itself, which is the same result.
        self.connection.script("ROLLBACK").await.ok();
    }
}

async fn read_head(connection: &mut PooledConnection) -> StoreResult<Head> {
    let begin = connection.dialect().begin_at_head;
    let rows = connection.script(begin).await?;
    match rows.last() {
        Some(row) => Ok(Head { seq: row.number("seq")?, hash: row.text("hash")? }),
        None => Ok(Head { seq: 0, hash: GENESIS_HASH.to_owned() }),
    }
}
