//! What a database driver has to provide.

use std::fmt::Debug;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::{Row, Schema, Statement};
use crate::StoreResult;

/// The SQL that differs between databases.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// Begins a write transaction. It excludes all other writers, of this process and of others.
    pub(crate) begin: &'static str,
    /// Begins a write transaction and returns `seq` and `hash` of the last audit record, if there is one.
    pub(crate) begin_at_head: &'static str,
    /// Begins a read transaction on a snapshot.
    pub(crate) begin_reading: &'static str,
    /// Whether the placeholders of a statement of many rows have numbers.
    pub(crate) numbers_many_rows: bool,
    /// Whether a failed statement aborts the transaction back to the last savepoint.
    pub(crate) aborts_on_error: bool,
    /// Overwrites what a failed commit may have left behind, if the database needs that.
    pub(crate) after_failed_commit: Option<&'static str>,
    /// Returns the `freelist_count` of the database file, and returns some of these pages to the file system; if the database
    /// has that to do.
    pub(crate) reclaim_space: Option<(&'static str, &'static str)>,
    /// Returns the `name` of each table.
    pub(crate) table_names: &'static str,
    /// Returns `name` and `kind` of each column of a table, in their order.
    pub(crate) column_names: &'static str,
    /// The tables, and how they came to be.
    pub(crate) schema: &'static Schema,
}

/// A connection to a database.
#[async_trait]
pub(crate) trait Connection: Debug + Send {
    fn dialect(&self) -> &'static Dialect;

    /// Runs a statement and returns how many rows it changed.
    async fn execute(&mut self, statement: Statement) -> StoreResult<u64>;

    /// Runs a statement and returns its rows.
    async fn fetch_all(&mut self, statement: Statement) -> StoreResult<Vec<Row>>;

    /// Runs a statement and returns its rows one by one.
    fn fetch(&mut self, statement: Statement) -> BoxStream<'_, StoreResult<Row>>;

    /// Runs statements without values in one round trip, and returns the rows of the last one.
    async fn script(&mut self, text: &'static str) -> StoreResult<Vec<Row>>;

    /// Whether it cannot be used any more: it was cut, or an answer to a statement is outstanding.
    fn is_lost(&self) -> bool {
        false
    }

    /// Closes it in an orderly way.
    async fn close(self: Box<Self>) -> StoreResult<()>;
}

/// Opens connections.
#[async_trait]
pub(crate) trait Connector: Debug + Send + Sync {
    async fn connect(&self) -> StoreResult<Box<dyn Connection>>;
}
