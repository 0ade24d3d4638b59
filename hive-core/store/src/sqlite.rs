//! The store in one SQLite file, or in memory for tests and embedding.
//!
//! Reads go through a few connections, writes through one. Several processes may open the same file: each write transaction
//! takes the file's lock before it reads anything.

mod damage;
mod wal;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::error::DatabaseError;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteError, SqliteJournalMode, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Sqlite};

pub(super) use damage::check;

use super::sql::{self, Connection, Dialect, Pool, Row, SqlStore, Statement, Value};
use super::{DiskError, DiskFault, StoreError, StoreResult};

/// Connections that read at the same time.
const READERS: usize = 4;
/// How long a statement waits for another process's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a new file is tried again that another process is just setting up: switching to WAL does not wait by itself.
const OPEN_RETRY: Duration = Duration::from_millis(20);
/// The page cache of each connection, in KiB (negative is SQLite's way to say so).
const CACHE: &str = "-8000";

// SQLite's primary result codes; the extended ones carry more in the bits above.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READ_ONLY: i32 = 8;
const INPUT_OUTPUT: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const NOT_A_DATABASE: i32 = 26;

pub(super) static DIALECT: Dialect = Dialect {
    // Takes the write lock before anything is read, so that what is read stays true.
    begin: "BEGIN IMMEDIATE",
    begin_at_head: "BEGIN IMMEDIATE; SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1",
    begin_reading: "BEGIN",
    command_insert_and_audit: sql::SQLITE_COMMAND_INSERT_AND_AUDIT,
    is_spoiled_by_failure: false,
    // A server that is killed now would find a whole transaction in the log, and take it for one that was acknowledged.
    // This changes nothing that means anything, and writes one page over it.
    after_failed_commit: Some("BEGIN IMMEDIATE; PRAGMA user_version = 0; COMMIT"),
    table_names: "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name",
    column_names: "SELECT name, type AS kind FROM pragma_table_info($1) ORDER BY cid",
    migrations: &[include_str!("../migrations/sqlite/0001_foundation.sql")],
};

/// Opens the database file, and makes it where it is missing.
pub async fn open(path: &Path) -> StoreResult<SqlStore> {
    create_private(path)?;
    damage::check_log(path).await?;
    let options = options().filename(path);
    let writer = first_connection(path, &options).await.map_err(damage::named(path))?;
    let mut readers: Vec<Box<dyn Connection>> = Vec::with_capacity(READERS);
    for _ in 0..READERS {
        readers.push(Box::new(connect(&options.clone().pragma("query_only", "ON")).await?));
    }
    Ok(SqlStore::new(Pool::of(readers), Pool::of(vec![Box::new(writer)])))
}

async fn first_connection(path: &Path, options: &SqliteConnectOptions) -> StoreResult<SqliteConnection> {
    let mut first = connect_patiently(&options.clone().journal_mode(SqliteJournalMode::Wal)).await?;
    damage::check_tables(path, &mut first).await?;
    sql::migrate(&mut first).await?;
    Ok(first)
}

/// A connection to the database file as it is; `is_new` makes it where it is missing.
pub(super) async fn connect_to(path: &Path, is_new: bool) -> StoreResult<Box<dyn Connection>> {
    if is_new {
        create_private(path)?;
    }
    Ok(Box::new(connect(&options().filename(path)).await.map_err(damage::named(path))?))
}

/// A database in memory, gone with the store.
pub async fn in_memory() -> StoreResult<SqlStore> {
    let mut only = connect(&options().filename(":memory:")).await?;
    sql::migrate(&mut only).await?;
    // A database in memory belongs to its connection, so that reading and writing take turns.
    let pool = Pool::of(vec![Box::new(only)]);
    Ok(SqlStore::new(pool.clone(), pool))
}

/// Makes the file where it is missing, for its owner alone. SQLite gives the files beside it the same mode.
fn create_private(path: &Path) -> StoreResult<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let opened = options.open(path).map(drop);
    opened.map_err(|error| damage::named(path)(StoreError::Unavailable(error.into())))
}

fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cache_size", CACHE)
        .disable_statement_logging()
}

async fn connect(options: &SqliteConnectOptions) -> StoreResult<SqliteConnection> {
    options.connect().await.map_err(told)
}

async fn connect_patiently(options: &SqliteConnectOptions) -> StoreResult<SqliteConnection> {
    let deadline = tokio::time::Instant::now() + BUSY_TIMEOUT;
    loop {
        match options.connect().await {
            Err(error) if is_busy(&error) && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(OPEN_RETRY).await;
            }
            result => return result.map_err(told),
        }
    }
}

#[async_trait]
impl Connection for SqliteConnection {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    async fn execute(&mut self, statement: Statement) -> StoreResult<u64> {
        let done = Executor::execute(self, query(statement)).await.map_err(told)?;
        Ok(done.rows_affected())
    }

    async fn fetch_all(&mut self, statement: Statement) -> StoreResult<Vec<Row>> {
        let rows = Executor::fetch_all(self, query(statement)).await.map_err(told)?;
        Ok(rows.into_iter().map(Row::new).collect())
    }

    fn fetch(&mut self, statement: Statement) -> BoxStream<'_, StoreResult<Row>> {
        Executor::fetch(self, query(statement)).map_ok(Row::new).map_err(told).boxed()
    }

    async fn script(&mut self, text: &'static str) -> StoreResult<Vec<Row>> {
        // SQLite takes several statements at once, and keeps them prepared. No script has rows before its last statement.
        Connection::fetch_all(self, Statement::new(text)).await
    }

    async fn close(self: Box<Self>) -> StoreResult<()> {
        sqlx::Connection::close(*self).await.map_err(told)
    }
}

type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

fn query(Statement { text, values }: Statement) -> Query {
    let query = match text {
        std::borrow::Cow::Borrowed(text) => sqlx::query(text),
        // Put together from constants; what callers say is in `values` alone.
        std::borrow::Cow::Owned(text) => sqlx::query(AssertSqlSafe(text)),
    };
    values.into_iter().fold(query, |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Number(number) => query.bind(number),
        Value::Flag(flag) => query.bind(flag),
        Value::Bytes(bytes) => query.bind(bytes.map(Vec::from)),
    })
}

fn told(error: sqlx::Error) -> StoreError {
    let fault = error.as_database_error().and_then(primary_code).and_then(|code| match code {
        FULL => Some(DiskFault::Full),
        READ_ONLY => Some(DiskFault::ReadOnly),
        INPUT_OUTPUT => Some(DiskFault::Failing),
        _ => None,
    });
    if let Some(fault) = fault {
        return StoreError::Unavailable(Box::new(DiskError::new(fault, error)));
    }
    sql::told(error, |error| matches!(primary_code(error), Some(CORRUPT | NOT_A_DATABASE)))
}

/// Whether another connection holds the database.
fn is_busy(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(primary_code).is_some_and(|code| code == BUSY || code == LOCKED)
}

fn primary_code(error: &dyn DatabaseError) -> Option<i32> {
    let code: i32 = error.try_downcast_ref::<SqliteError>()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

#[cfg(test)]
mod tests;
