//! The store in an SQL database, written once for all of them.
//!
//! In the order in which a call meets it:
//!
//! - the store's traits are implemented in a file each (`commands`, `satellites`, …), of the statements in `text` and
//!   `filter`;
//! - `statement` binds our types to a statement, `fields` reads them from a row;
//! - reads go through a few connections of a `pool`, writes through the one task in `writer`, which commits all that wait
//!   in one transaction;
//! - `connection` is what a database has to offer. `sqlite` and `postgres` beside this module do, and nothing else knows
//!   which of them it is.
//!
//! Several processes may write one database: each write transaction takes the database's lock before it reads anything.

mod audit;
#[cfg(test)]
pub(super) mod checks;
mod commands;
mod connection;
mod error;
mod fields;
mod filter;
mod hive;
mod identity;
mod jobs;
mod migrations;
mod output;
mod pool;
mod registration_tokens;
mod satellites;
mod sessions;
mod statement;
mod text;
mod writer;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::StoreResult;
use crate::audit::AuditDraft;
use writer::{Transaction, Undo, Writer};

pub(super) use connection::{Connect, Connection, Dialect};
pub(super) use error::told;
pub(super) use fields::Row;
pub(super) use migrations::{Version, run as migrate};
pub(super) use pool::Pool;
pub(super) use statement::{Statement, Value};
#[cfg(feature = "postgres")]
pub(super) use text::POSTGRES_COMMAND_INSERT_AND_AUDIT;
#[cfg(feature = "sqlite")]
pub(super) use text::SQLITE_COMMAND_INSERT_AND_AUDIT;

/// A store in an SQL database.
#[derive(Debug)]
pub struct SqlStore {
    readers: Arc<Pool>,
    writer: Writer,
}

impl SqlStore {
    /// A store that reads and writes through these connections. The writers' pool holds one.
    pub(super) fn new(readers: Arc<Pool>, writer: Arc<Pool>) -> Self {
        Self { readers, writer: Writer::start(writer) }
    }

    /// Finishes what was handed in before, and closes the database. What is handed in later is refused.
    ///
    /// Dropping the store without it loses nothing that was acknowledged.
    pub async fn close(&self) -> StoreResult<()> {
        self.writer.close().await;
        self.readers.close().await
    }

    /// Reads rows. A connection that was lost while it was idle is nobody's trouble: another is taken.
    async fn fetch_all(&self, statement: Statement) -> StoreResult<Vec<Row>> {
        loop {
            let mut connection = self.readers.take().await?;
            let rows = connection.fetch_all(statement.clone()).await;
            if rows.is_ok() || !connection.was_stale() {
                return rows;
            }
        }
    }

    /// Reads the row of a statement that finds at most one.
    async fn fetch_optional(&self, statement: Statement) -> StoreResult<Option<Row>> {
        Ok(self.fetch_all(statement).await?.pop())
    }

    /// Reads the column `total` of the statement's only row.
    async fn fetch_total(&self, statement: Statement) -> StoreResult<u64> {
        self.fetch_optional(statement).await?.ok_or_else(|| fields::damaged("total"))?.number("total")
    }

    /// Runs `work` in a transaction. Where it fails, all that it did is undone.
    async fn write<T, W>(&self, work: W) -> StoreResult<T>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, StoreResult<T>> + Send + 'static,
    {
        self.writer.run(work, Undo::ToMark).await
    }

    /// Like [`write`](Self::write) and a little faster, for work that fails with its first statement or not at all.
    ///
    /// Where it fails later nevertheless, the other work of the same transaction is undone with it.
    async fn write_simple<T, W>(&self, work: W) -> StoreResult<T>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, StoreResult<T>> + Send + 'static,
    {
        self.writer.run(work, Undo::WithAll).await
    }

    /// Runs a statement that is not audited; whether it changed something.
    async fn change(&self, statement: Statement) -> StoreResult<bool> {
        self.write_simple(move |transaction| Box::pin(async move { Ok(transaction.execute(statement).await? > 0) }))
            .await
    }

    /// Runs a statement, and writes the record where it changed something; whether it did.
    async fn change_audited(&self, statement: Statement, audit: AuditDraft) -> StoreResult<bool> {
        self.write_simple(move |transaction| {
            Box::pin(async move {
                let is_done = transaction.execute(statement).await? > 0;
                if is_done {
                    transaction.audit(audit).await?;
                }
                Ok(is_done)
            })
        })
        .await
    }

    /// Runs a statement on the writing connection.
    #[cfg(all(test, feature = "sqlite"))]
    pub(super) async fn run(&self, statement: &'static str) {
        self.change(Statement::new(statement)).await.expect("a test's statement runs");
    }
}
