//! The store in an SQLite file, or in memory for tests and embedding.
//!
//! There are a few connections for reads and one for writes. Several processes may open the same file: each write transaction
//! takes the lock of the file before it reads anything.

mod corruption;
pub mod telemetry;
mod wal;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::error::DatabaseError;
use sqlx::sqlite::{
    SqliteArguments, SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteError, SqliteJournalMode,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Sqlite};

pub(super) use corruption::check;

use super::sql::{self, Connection, Dialect, Pool, Row, Schema, SqlStore, Statement, Value};
use super::{DiskError, DiskFault, StoreError, StoreResult};

/// Connections for reads.
const READERS: usize = 4;
/// How long a statement waits for the transaction of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause between attempts to open a new file that another process is setting up: the switch to WAL ignores the busy timeout.
const OPEN_RETRY: Duration = Duration::from_millis(20);
/// The page cache of the writer: a negative number is a size in KiB.
const CACHE: &str = "-8000";
/// The page cache of each reader. They read the same pages, which the system has in memory once.
const READER_CACHE: &str = "-2000";

// SQLite's primary result codes; the extended ones carry more in the bits above.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READ_ONLY: i32 = 8;
const INPUT_OUTPUT: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const NOT_A_DATABASE: i32 = 26;

pub(super) static DIALECT: Dialect = Dialect {
    // Takes the write lock before anything is read. A plain BEGIN would take it at the first write, and fail if another
    // process has written since the read.
    begin: "BEGIN IMMEDIATE",
    begin_at_head: "BEGIN IMMEDIATE; SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1",
    begin_reading: "BEGIN",
    numbers_many_rows: false,
    aborts_on_error: false,
    // The log may contain the whole transaction although its COMMIT failed. After a kill, SQLite would recover it as if it had
    // been acknowledged. This script has no effect but to overwrite the first page of it.
    after_failed_commit: Some("BEGIN IMMEDIATE; PRAGMA user_version = 0; COMMIT"),
    // 256 pages are 1 MiB. Each may have to be moved within the file.
    reclaim_space: Some(("PRAGMA freelist_count", "PRAGMA incremental_vacuum(256)")),
    table_names: "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name",
    column_names: "SELECT name, type AS kind FROM pragma_table_info($1) ORDER BY cid",
    schema: &Schema {
        versions: "schema_migrations",
        marker: "hive",
        migrations: &[
            include_str!("../migrations/sqlite/0001_foundation.sql"),
            include_str!("../migrations/sqlite/0002_reads.sql"),
            include_str!("../migrations/sqlite/0003_retention.sql"),
            include_str!("../migrations/sqlite/0004_telemetry.sql"),
            include_str!("../migrations/sqlite/0005_access.sql"),
            include_str!("../migrations/sqlite/0006_groups.sql"),
        ],
    },
};

/// Opens a database file, and creates it if it is missing.
pub async fn open(path: &Path) -> StoreResult<SqlStore> {
    create_private(path)?;
    // Before SQLite opens the file, because it truncates the log then.
    corruption::check_log(path).await?;
    let options = options().filename(path);
    let writer = open_writer(path, &options_of_new(path)).await.map_err(corruption::with_path(path))?;
    let mut readers: Vec<Box<dyn Connection>> = Vec::with_capacity(READERS);
    for _ in 0..READERS {
        // Readers cannot write by mistake, which would bypass the writer.
        let options = options.clone().pragma("query_only", "ON").pragma("cache_size", READER_CACHE);
        readers.push(Box::new(connect(&options, &DIALECT).await?));
    }
    Ok(SqlStore::new(Pool::fixed(readers), Pool::fixed(vec![Box::new(writer)])))
}

async fn open_writer(path: &Path, options: &SqliteConnectOptions) -> StoreResult<DialectConnection> {
    let mut first = connect_with_retry(&options.clone().journal_mode(SqliteJournalMode::Wal), &DIALECT).await?;
    corruption::check_tables(path, &mut first.inner).await?;
    sql::migrate(&mut first).await?;
    Ok(first)
}

/// Opens a connection without checks and migrations. With `is_new`, a missing file is created.
pub(super) async fn connect_to(path: &Path, is_new: bool) -> StoreResult<Box<dyn Connection>> {
    if is_new {
        create_private(path)?;
    }
    let options = if is_new { options_of_new(path) } else { options().filename(path) };
    Ok(Box::new(connect(&options, &DIALECT).await.map_err(corruption::with_path(path))?))
}

/// Opens a database in memory, which is deleted with the store.
pub async fn in_memory() -> StoreResult<SqlStore> {
    let mut only = connect(&options().filename(":memory:"), &DIALECT).await?;
    sql::migrate(&mut only).await?;
    // Such a database belongs to one connection, which reads and writes share.
    let pool = Pool::fixed(vec![Box::new(only)]);
    Ok(SqlStore::new(pool.clone(), pool))
}

/// Creates the file if it is missing, with mode 0600. SQLite gives its log the same mode.
fn create_private(path: &Path) -> StoreResult<()> {
    let mut options = std::fs::OpenOptions::new();
    // SQLite would create the file with the umask of the process.
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let opened = options.open(path).map(drop);
    opened.map_err(|error| corruption::with_path(path)(StoreError::Unavailable(error.into())))
}

fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cache_size", CACHE)
        .disable_statement_logging()
}

/// The options of the first connection. An empty file becomes one that can get smaller. In an existing file without that, free
/// pages are used again.
fn options_of_new(path: &Path) -> SqliteConnectOptions {
    let is_empty = std::fs::metadata(path).is_ok_and(|file| file.len() == 0);
    let options = options().filename(path);
    // Not in other files: setting it again would write to the file.
    if is_empty { options.auto_vacuum(SqliteAutoVacuum::Incremental) } else { options }
}

/// A connection, and which tables are behind it.
#[derive(Debug)]
struct DialectConnection {
    inner: SqliteConnection,
    dialect: &'static Dialect,
}

async fn connect(options: &SqliteConnectOptions, dialect: &'static Dialect) -> StoreResult<DialectConnection> {
    let inner = options.connect().await.map_err(map_error)?;
    Ok(DialectConnection { inner, dialect })
}

async fn connect_with_retry(
    options: &SqliteConnectOptions,
    dialect: &'static Dialect,
) -> StoreResult<DialectConnection> {
    let deadline = tokio::time::Instant::now() + BUSY_TIMEOUT;
    loop {
        match options.connect().await {
            Err(error) if is_busy(&error) && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(OPEN_RETRY).await;
            }
            result => return Ok(DialectConnection { inner: result.map_err(map_error)?, dialect }),
        }
    }
}

#[async_trait]
impl Connection for DialectConnection {
    fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    async fn execute(&mut self, statement: Statement) -> StoreResult<u64> {
        let done = Executor::execute(&mut self.inner, query(statement)).await.map_err(map_error)?;
        Ok(done.rows_affected())
    }

    async fn fetch_all(&mut self, statement: Statement) -> StoreResult<Vec<Row>> {
        let rows = Executor::fetch_all(&mut self.inner, query(statement)).await.map_err(map_error)?;
        Ok(rows.into_iter().map(Row::new).collect())
    }

    fn fetch(&mut self, statement: Statement) -> BoxStream<'_, StoreResult<Row>> {
        Executor::fetch(&mut self.inner, query(statement)).map_ok(Row::new).map_err(map_error).boxed()
    }

    async fn script(&mut self, text: &'static str) -> StoreResult<Vec<Row>> {
        // SQLite takes several statements at once, and sqlx caches them. No script has rows before its last statement.
        Connection::fetch_all(self, Statement::new(text)).await
    }

    async fn close(self: Box<Self>) -> StoreResult<()> {
        sqlx::Connection::close(self.inner).await.map_err(map_error)
    }
}

type SqliteQuery = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

fn query(Statement { text, values }: Statement) -> SqliteQuery {
    let query = match text {
        std::borrow::Cow::Borrowed(text) => sqlx::query(text),
        // Put together from constants: input is in `values` only.
        std::borrow::Cow::Owned(text) => sqlx::query(AssertSqlSafe(text)),
    };
    values.into_iter().fold(query, |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Integer(number) => query.bind(number),
        Value::Bool(flag) => query.bind(flag),
        // sqlx binds owned bytes only as `Vec<u8>`.
        Value::Bytes(bytes) => query.bind(bytes.map(Vec::from)),
    })
}

fn map_error(error: sqlx::Error) -> StoreError {
    let fault = error.as_database_error().and_then(primary_code).and_then(|code| match code {
        FULL => Some(DiskFault::Full),
        READ_ONLY => Some(DiskFault::ReadOnly),
        INPUT_OUTPUT => Some(DiskFault::Failing),
        _ => None,
    });
    if let Some(fault) = fault {
        return StoreError::Unavailable(Box::new(DiskError::new(fault, sql::cause(&error))));
    }
    sql::map_db_error(error, |error| matches!(primary_code(error), Some(CORRUPT | NOT_A_DATABASE)))
}

/// Whether another connection has locked the database.
fn is_busy(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(primary_code).is_some_and(|code| code == BUSY || code == LOCKED)
}

fn primary_code(error: &dyn DatabaseError) -> Option<i32> {
    let code: i32 = error.try_downcast_ref::<SqliteError>()?.code()?.parse().ok()?;
    // The lower byte of an extended code is the primary one.
    Some(code & 0xff)
}

#[cfg(test)]
mod retention_tests;
#[cfg(test)]
mod tests;
