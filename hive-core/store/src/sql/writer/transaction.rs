//! A write transaction: statements, and the head of the audit chain.

use std::sync::Arc;

use hive_wire::api::AuditEntry;

use crate::audit::AuditDraft;
use crate::audit::chain::{self, GENESIS_HASH};
use crate::sql::audit::bind_audit;
use crate::sql::pool::{Lease, Pool};
use crate::sql::{Dialect, Row, Statement, text};
use crate::{StoreError, StoreResult};

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
pub(in crate::sql) struct Transaction {
    connection: Lease,
    head: Head,
    /// The head at the mark.
    marked: Option<Head>,
    /// Whether nothing was done since the mark.
    is_fresh: bool,
    /// Whether the job at work may have changed something.
    is_touched: bool,
    /// Whether a statement failed and took with it what was done since the mark.
    is_spoiled: bool,
}

impl Transaction {
    /// Begins on a connection of the pool. One that was lost while it was idle is nobody's trouble: another is taken.
    pub(super) async fn begin(pool: &Arc<Pool>) -> StoreResult<Self> {
        loop {
            let mut connection = pool.take().await?;
            match read_head(&mut connection).await {
                Ok(head) => {
                    return Ok(Self {
                        connection,
                        head,
                        marked: None,
                        is_fresh: false,
                        is_touched: false,
                        is_spoiled: false,
                    });
                }
                Err(_) if connection.was_stale() => {}
                Err(error) => {
                    // The lock may be taken already, and the error is told anyway.
                    connection.script("ROLLBACK").await.ok();
                    return Err(error);
                }
            }
        }
    }

    pub(in crate::sql) fn dialect(&self) -> &'static Dialect {
        self.connection.dialect()
    }

    /// Runs a statement; how many rows it changed.
    pub(in crate::sql) async fn execute(&mut self, statement: Statement) -> StoreResult<u64> {
        let rows = self.connection.execute(statement).await;
        self.note(&rows);
        rows
    }

    /// Runs a statement to its end, and returns the row of one that has at most one.
    pub(in crate::sql) async fn fetch_optional(&mut self, statement: Statement) -> StoreResult<Option<Row>> {
        let rows = self.connection.fetch_all(statement).await;
        self.note(&rows);
        Ok(rows?.pop())
    }

    /// Appends an audit record.
    pub(in crate::sql) async fn audit(&mut self, draft: AuditDraft) -> StoreResult<AuditEntry> {
        let entry = self.audit_with(Statement::new(text::AUDIT_INSERT), draft).await?;
        Ok(entry.expect("an insert of values inserts them"))
    }

    /// Runs statements of which the last appends an audit record; all their other values are bound. `None` where they
    /// changed nothing: then there is no record.
    pub(in crate::sql) async fn audit_with(
        &mut self,
        statements: Statement,
        draft: AuditDraft,
    ) -> StoreResult<Option<AuditEntry>> {
        let (entry, record) = chain::seal(draft, self.head.seq + 1, &self.head.hash);
        // The first of several statements may have been done where the last fails.
        self.touch();
        if self.execute(bind_audit(statements, &entry, record)).await? == 0 {
            return Ok(None);
        }
        self.head = Head { seq: entry.seq, hash: entry.hash.clone() };
        Ok(Some(entry))
    }

    fn note<T>(&mut self, done: &StoreResult<T>) {
        match done {
            Ok(_) => self.touch(),
            Err(_) => self.is_spoiled = self.dialect().is_spoiled_by_failure,
        }
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
            self.connection.script(statement).await?;
        }
        self.marked = Some(self.head.clone());
        self.is_fresh = true;
        Ok(())
    }

    /// Undoes what was done since the mark. Fails where the database gave up the whole transaction.
    pub(super) async fn back_to_mark(&mut self) -> StoreResult<()> {
        self.connection.script(BACK_TO_MARK).await?;
        self.head = self.marked.clone().expect("back to a mark that was set");
        self.is_fresh = true;
        self.is_spoiled = false;
        Ok(())
    }

    /// Makes it last. One that is spoiled is refused here: a database may call it committed when nothing is.
    pub(super) async fn commit(&mut self) -> StoreResult<()> {
        if self.is_spoiled {
            return Err(StoreError::Unavailable("a statement of the transaction failed".into()));
        }
        if let Err(error) = self.connection.script("COMMIT").await {
            self.roll_back().await;
            self.supersede().await;
            return Err(error);
        }
        Ok(())
    }

    /// Writes over what a failed commit may have left behind.
    async fn supersede(&mut self) {
        let Some(script) = self.dialect().after_failed_commit else {
            return;
        };
        if let Err(error) = self.connection.script(script).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the database cannot be written");
            self.roll_back().await;
        }
    }

    pub(super) async fn roll_back(&mut self) {
        // It may have been rolled back by the database itself, which is as good.
        self.connection.script("ROLLBACK").await.ok();
    }
}

async fn read_head(connection: &mut Lease) -> StoreResult<Head> {
    let begin = connection.dialect().begin_at_head;
    let rows = connection.script(begin).await?;
    match rows.last() {
        Some(row) => Ok(Head { seq: row.number("seq")?, hash: row.text("hash")? }),
        None => Ok(Head { seq: 0, hash: GENESIS_HASH.to_owned() }),
    }
}
