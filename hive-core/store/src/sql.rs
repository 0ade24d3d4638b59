//! The store in an SQL database, written once for all databases.
//!
//! In the order in which a call meets it:
//!
//! - each trait of the store is implemented in a file of its own (`satellites`, `commands`, …);
//! - `statements` has the SQL, `filter` builds the conditions of lists, `sorting` their order and where a part of them begins,
//!   `many_rows` the statements of many rows;
//! - `binding` binds our types to a statement, `fields` reads them from a row;
//! - reads use one of a few connections of a `pool`; writes are queued for the task of `writer`, which runs all that wait in
//!   one transaction;
//! - `connection` is the interface of a database driver. The modules `sqlite` and `postgres` implement it. Nothing else
//!   depends on which database it is.
//!
//! Several processes may write one database: each write transaction takes a lock of the database before it reads anything.

mod allow_lists;
mod answers;
mod audit;
mod commands;
mod groups;
mod hive;
mod idempotency;
mod identity;
mod jobs;
mod output;
mod registration_tokens;
mod retention;
mod satellites;
mod sessions;
mod telemetry;

mod binding;
mod connection;
mod error;
mod fields;
mod filter;
mod many_rows;
mod migrations;
mod pool;
mod sorting;
mod statements;
mod writer;

#[cfg(test)]
pub(super) mod checks;

use std::sync::Arc;
#[cfg(test)]
use std::sync::PoisonError;

use futures_util::future::BoxFuture;

use crate::audit::AuditDraft;
use crate::row_range::MAX_COUNTED;
use crate::{RowRange, StoreResult};
use filter::Filter;
use many_rows::ManyRowsStatement;
use sorting::SqlOrder;
use writer::{Transaction, Writer};

pub(super) use binding::{Statement, Value};
pub(super) use connection::{Connection, Connector, Dialect};
pub(super) use error::{DatabaseFault, store_error};
pub(super) use fields::{Columns, Row, corrupt_column};
pub(super) use migrations::{Schema, Version, run as migrate};
pub(super) use pool::Pool;

pub use telemetry::SqlTelemetryStore;

/// A store in an SQL database.
#[derive(Debug)]
pub struct SqlStore {
    readers: Arc<Pool>,
    writer: Writer,
    /// The texts of the statements that read, for tests of how they are executed.
    #[cfg(test)]
    noted: std::sync::Mutex<Vec<String>>,
}

impl SqlStore {
    /// A store that reads and writes through these pools. The writer's pool has one connection.
    pub(super) fn new(readers: Arc<Pool>, writer: Arc<Pool>) -> Self {
        Self {
            readers,
            writer: Writer::start(writer),
            #[cfg(test)]
            noted: std::sync::Mutex::default(),
        }
    }

    /// A store whose writer has a thread of its own, because its connection blocks.
    #[cfg(feature = "sqlite")]
    pub(super) fn with_writer_thread(readers: Arc<Pool>, writer: Arc<Pool>) -> StoreResult<Self> {
        Ok(Self {
            readers,
            writer: Writer::start_on_thread(writer)?,
            #[cfg(test)]
            noted: std::sync::Mutex::default(),
        })
    }

    /// Finishes the writes that are queued, and closes the database. Later calls fail with `Unavailable`.
    ///
    /// A store that is dropped without it loses no write that was acknowledged.
    pub async fn close(&self) -> StoreResult<()> {
        self.writer.close().await;
        self.readers.close().await
    }

    /// Runs a statement that reads, and returns its rows.
    async fn fetch_all(&self, statement: Statement) -> StoreResult<Vec<Row>> {
        self.fetch_with(|_| statement.clone()).await
    }

    /// Runs a statement that reads, with these rows, at most [`MAX_ROWS`](many_rows::MAX_ROWS). Returns the rows of its result.
    async fn fetch_rows(&self, statement: &'static ManyRowsStatement, rows: Vec<Vec<Value>>) -> StoreResult<Vec<Row>> {
        self.fetch_with(|dialect| statement.with_rows(rows.clone(), dialect.numbers_many_rows)).await
    }

    async fn fetch_with(&self, statement: impl Fn(&Dialect) -> Statement + Send) -> StoreResult<Vec<Row>> {
        loop {
            let mut connection = self.readers.take().await?;
            // Built with the connection, because the form of a statement of many rows depends on the database.
            let statement = statement(connection.dialect());
            #[cfg(test)]
            self.noted.lock().unwrap_or_else(PoisonError::into_inner).push(statement.text.to_string());
            let rows = connection.fetch_all(statement).await;
            // The database may have closed idle connections, for example in a restart. A read can be repeated.
            if rows.is_ok() || !connection.was_lost_while_idle() {
                return rows;
            }
        }
    }

    /// Runs a statement that returns at most one row.
    async fn fetch_optional(&self, statement: Statement) -> StoreResult<Option<Row>> {
        Ok(self.fetch_all(statement).await?.pop())
    }

    /// Runs a statement that returns one row, and reads its column `total`.
    async fn fetch_total(&self, statement: Statement) -> StoreResult<u64> {
        self.fetch_optional(statement).await?.ok_or_else(|| corrupt_column("total"))?.number("total")
    }

    /// Counts the rows of a list, up to one more than [`MAX_COUNTED`].
    async fn fetch_counted(&self, filter: &Filter, select: &str) -> StoreResult<u64> {
        // One more than is reported, so that the caller learns that there are more.
        let limit = MAX_COUNTED as i64 + 1;
        self.fetch_total(filter.statement(select, statements::COUNT_LIMIT, &[limit])).await
    }

    /// Reads a part of the list with these conditions, and counts the list. They are two statements without a common snapshot:
    /// the total may differ by what changes in between.
    async fn fetch_part<C: SqlOrder, T>(
        &self,
        filter: &Filter,
        select: &str,
        count: &str,
        range: RowRange<C>,
        read: impl Fn(&Row) -> StoreResult<T> + Send,
    ) -> StoreResult<(Vec<T>, u64)> {
        let rows = self.fetch_all(filter.part(select, &range)).await?;
        let total = self.fetch_counted(filter, count).await?;
        Ok((rows.iter().map(read).collect::<StoreResult<_>>()?, total))
    }

    /// Runs `work` in a transaction. If it fails, its changes are undone.
    async fn write<T, W>(&self, work: W) -> StoreResult<T>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, StoreResult<T>> + Send + 'static,
    {
        self.writer.run(work).await
    }

    /// Runs a statement without an audit record. Returns whether it changed a row.
    async fn execute_unaudited(&self, statement: Statement) -> StoreResult<bool> {
        self.write(move |transaction| Box::pin(async move { Ok(transaction.execute(statement).await? > 0) })).await
    }

    /// Runs a statement, and appends the audit record if it changed a row. Returns whether it did.
    async fn execute_audited(&self, statement: Statement, audit: AuditDraft) -> StoreResult<bool> {
        self.write(move |transaction| {
            Box::pin(async move {
                let has_changed = transaction.execute(statement).await? > 0;
                if has_changed {
                    transaction.audit(audit);
                }
                Ok(has_changed)
            })
        })
        .await
    }

    /// Returns the texts of the statements that were read with.
    #[cfg(all(test, feature = "sqlite"))]
    fn read_statements(&self) -> Vec<String> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs a statement on the writer's connection.
    #[cfg(all(test, feature = "sqlite"))]
    pub(super) async fn run(&self, statement: &'static str) {
        self.execute_unaudited(Statement::new(statement)).await.expect("a test's statement runs");
    }
}
