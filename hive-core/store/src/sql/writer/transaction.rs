//! A write transaction, with the head of the audit chain.
//!
//! The requests of a batch run in units, one after the other. A unit that fails is undone, and the others stay. Audit records
//! are sealed in memory, and appended together before the commit.

use std::sync::Arc;

use hive_wire::api::AuditEntry;

use crate::audit::chain::{self, GENESIS_HASH};
use crate::audit::{AuditDraft, AuditHead};
use crate::sql::audit::{audit_row, read_head};
use crate::sql::many_rows::ManyRowsStatement;
use crate::sql::pool::{Pool, PooledConnection};
use crate::sql::{Dialect, Row, Statement, Value, statements};
use crate::{StoreError, StoreResult};

const SAVEPOINT: &str = "SAVEPOINT unit";
const MOVE_SAVEPOINT: &str = "RELEASE unit; SAVEPOINT unit";
const ROLLBACK_TO_SAVEPOINT: &str = "ROLLBACK TO unit";
/// The most audit records of one statement.
const MAX_RECORDS: usize = 256;

/// An audit record that is not appended yet, with its canonical text.
type SealedRecord = (AuditEntry, String);

#[derive(Debug)]
pub(in crate::sql) struct Transaction {
    connection: PooledConnection,
    /// The last record of the chain. It is read in each transaction, because other processes append records too.
    head: AuditHead,
    records: Vec<SealedRecord>,
    unit: Unit,
    savepoint: Savepoint,
    /// Whether a statement failed and the database aborted the transaction back to the savepoint.
    is_aborted: bool,
}

/// What runs now, and how it is undone.
#[derive(Debug)]
struct Unit {
    /// The head and the number of records when it began.
    head: AuditHead,
    records: usize,
    /// Whether units before it have changed something.
    has_predecessors: bool,
    /// Whether it has run a statement.
    has_begun: bool,
}

/// Where the savepoint of the transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Savepoint {
    NotSet,
    /// Nothing was changed since.
    Here,
    Behind,
}

impl Transaction {
    /// Begins a transaction on a connection of the pool.
    pub(super) async fn begin(pool: &Arc<Pool>) -> StoreResult<Self> {
        loop {
            let mut connection = pool.take().await?;
            match begin_at_head(&mut connection).await {
                Ok(head) => {
                    let unit = Unit { head: head.clone(), records: 0, has_predecessors: false, has_begun: false };
                    let (records, savepoint) = (Vec::new(), Savepoint::NotSet);
                    return Ok(Self { connection, head, records, unit, savepoint, is_aborted: false });
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

    /// Runs a statement and returns how many rows it changed.
    pub(in crate::sql) async fn execute(&mut self, statement: Statement) -> StoreResult<u64> {
        self.begin_statement().await?;
        let result = self.connection.execute(statement).await;
        self.end_statement(result)
    }

    /// Runs a statement and returns its rows.
    pub(in crate::sql) async fn fetch_all(&mut self, statement: Statement) -> StoreResult<Vec<Row>> {
        self.begin_statement().await?;
        let result = self.connection.fetch_all(statement).await;
        self.end_statement(result)
    }

    /// Runs a statement with these rows, at most [`MAX_ROWS`](crate::sql::many_rows::MAX_ROWS), and returns its rows.
    pub(in crate::sql) async fn run_rows(
        &mut self,
        statement: &'static ManyRowsStatement,
        rows: Vec<Vec<Value>>,
    ) -> StoreResult<Vec<Row>> {
        self.fetch_all(statement.with_rows(rows, self.dialect().numbers_many_rows)).await
    }

    /// Runs a statement that returns at most one row.
    pub(in crate::sql) async fn fetch_optional(&mut self, statement: Statement) -> StoreResult<Option<Row>> {
        Ok(self.fetch_all(statement).await?.pop())
    }

    /// Adds an audit record to the chain. It is appended to the log before the commit.
    pub(in crate::sql) fn audit(&mut self, draft: AuditDraft) -> &AuditEntry {
        let (entry, text) = chain::seal(draft, self.head.seq + 1, &self.head.hash);
        self.head = AuditHead { seq: entry.seq, hash: entry.hash.clone() };
        &self.records.push_mut((entry, text)).0
    }

    /// Begins the next unit. Everything before stays if it fails.
    pub(super) fn begin_unit(&mut self) {
        self.unit = Unit {
            head: self.head.clone(),
            records: self.records.len(),
            // The records of the units before depend on the head that this transaction has read.
            has_predecessors: self.unit.has_predecessors || self.unit.has_begun || !self.records.is_empty(),
            has_begun: false,
        };
    }

    /// Undoes the current unit. Fails if the units before it are lost with it.
    pub(super) async fn undo_unit(&mut self) -> StoreResult<()> {
        if self.unit.has_begun && self.unit.has_predecessors {
            self.connection.script(ROLLBACK_TO_SAVEPOINT).await?;
            self.savepoint = Savepoint::Here;
        } else if self.unit.has_begun {
            // It is the first one, and had no savepoint. The lock is released in between, so that the head may be another one.
            self.rollback().await;
            self.unit.head = begin_at_head(&mut self.connection).await?;
            self.savepoint = Savepoint::NotSet;
        }
        self.head = self.unit.head.clone();
        self.records.truncate(self.unit.records);
        self.unit.has_begun = false;
        self.is_aborted = false;
        Ok(())
    }

    /// Appends the audit records and commits.
    pub(super) async fn commit(&mut self) -> StoreResult<()> {
        // PostgreSQL answers COMMIT of an aborted transaction with success, and rolls back.
        if self.is_aborted {
            return Err(StoreError::Unavailable("a statement of the transaction failed".into()));
        }
        for records in self.records.chunks(MAX_RECORDS) {
            let rows = records.iter().map(|(entry, text)| audit_row(entry, text)).collect();
            let statement = statements::AUDIT_INSERT.with_rows(rows, self.dialect().numbers_many_rows);
            self.connection.execute(statement).await?;
        }
        if let Err(error) = self.connection.script("COMMIT").await {
            self.rollback().await;
            self.overwrite_failed_commit().await;
            return Err(error);
        }
        Ok(())
    }

    pub(super) async fn rollback(&mut self) {
        // It fails if the database has rolled back by itself, which is the same result.
        self.connection.script("ROLLBACK").await.ok();
    }

    /// Sets the savepoint before the first statement of a unit.
    async fn begin_statement(&mut self) -> StoreResult<()> {
        let needs_savepoint = !self.unit.has_begun && self.unit.has_predecessors;
        self.unit.has_begun = true;
        if needs_savepoint {
            match self.savepoint {
                Savepoint::NotSet => drop(self.connection.script(SAVEPOINT).await?),
                Savepoint::Behind => drop(self.connection.script(MOVE_SAVEPOINT).await?),
                // After a rollback to it the savepoint is still there, and a round trip can be saved.
                Savepoint::Here => {}
            }
            self.savepoint = Savepoint::Behind;
        }
        Ok(())
    }

    fn end_statement<T>(&mut self, result: StoreResult<T>) -> StoreResult<T> {
        self.is_aborted |= result.is_err() && self.dialect().aborts_on_error;
        result
    }

    pub(in crate::sql) fn dialect(&self) -> &'static Dialect {
        self.connection.dialect()
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
}

async fn begin_at_head(connection: &mut PooledConnection) -> StoreResult<AuditHead> {
    let begin = connection.dialect().begin_at_head;
    let rows = connection.script(begin).await?;
    match rows.last() {
        Some(row) => read_head(row),
        None => Ok(AuditHead { seq: 0, hash: GENESIS_HASH.to_owned() }),
    }
}
