//! One connection to a database, whichever it is.

use std::fmt::Debug;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use super::{Row, Statement};
use crate::StoreResult;

/// What has to be said to each database in its own words.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// Begins a transaction that overlaps with no other writer's, of this process or another.
    pub(crate) begin: &'static str,
    /// Does the same and returns the `seq` and `hash` of the audit chain's head, where there is one.
    pub(crate) begin_at_head: &'static str,
    /// Begins a transaction that only reads, and sees everything as of one moment.
    pub(crate) begin_reading: &'static str,
    /// Inserts a command and the record that goes with it in one trip.
    pub(crate) command_insert_and_audit: &'static str,
    /// Whether a statement that fails spoils its transaction back to the last mark.
    pub(crate) is_spoiled_by_failure: bool,
    /// Writes over what a commit that failed may have left behind, where the database needs that.
    pub(crate) after_failed_commit: Option<&'static str>,
    /// Finds the `name` of each table.
    pub(crate) table_names: &'static str,
    /// Finds `name` and `kind` of each column of a table, in their order.
    pub(crate) column_names: &'static str,
    /// Each migration's text; its version is its place, from 1.
    pub(crate) migrations: &'static [&'static str],
}

/// A connection to a database.
#[async_trait]
pub(crate) trait Connection: Debug + Send {
    /// How to talk to it.
    fn dialect(&self) -> &'static Dialect;

    /// Runs a statement; how many rows it changed.
    async fn execute(&mut self, statement: Statement) -> StoreResult<u64>;

    /// Runs a statement to its end and returns its rows.
    async fn fetch_all(&mut self, statement: Statement) -> StoreResult<Vec<Row>>;

    /// Runs a statement and returns its rows as they come.
    fn fetch(&mut self, statement: Statement) -> BoxStream<'_, StoreResult<Row>>;

    /// Runs one or several statements without values in one trip, and returns the rows of the last.
    async fn script(&mut self, text: &'static str) -> StoreResult<Vec<Row>>;

    /// Whether it is of no use any more: cut, or left in the middle of a statement.
    fn is_lost(&self) -> bool {
        false
    }

    /// Says goodbye.
    async fn close(self: Box<Self>) -> StoreResult<()>;
}

/// Makes connections.
#[async_trait]
pub(crate) trait Connect: Debug + Send + Sync {
    async fn connect(&self) -> StoreResult<Box<dyn Connection>>;
}
