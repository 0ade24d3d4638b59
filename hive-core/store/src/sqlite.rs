//! The store in an SQLite file, or in memory for tests and embedding.
//!
//! There are a few connections for reads and one for writes. Several processes may open the same file: each write transaction
//! takes the lock of the file before it reads anything.

mod connection;
mod corruption;
mod error;
pub mod telemetry;
mod thread;
mod wal;

use std::path::Path;
use std::time::Duration;

use tokio::runtime::Handle;

use self::connection::{SqliteConnection, SqliteOptions};
use self::error::{is_busy, map_error};
use self::thread::ThreadConnection;
use super::sql::{self, Connection, Dialect, Pool, Schema, SqlStore};
use super::{StoreError, StoreResult};

pub(super) use corruption::check;

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
            include_str!("../migrations/sqlite/0007_stored_answers.sql"),
            include_str!("../migrations/sqlite/0008_lists.sql"),
            include_str!("../migrations/sqlite/0009_tenancy.sql"),
        ],
    },
};

/// Opens a database file, and creates it if it is missing.
pub async fn open(path: &Path) -> StoreResult<SqlStore> {
    create_private(path)?;
    // Before SQLite opens the file, because it truncates the log then.
    corruption::check_log(path).await?;
    let writer = open_writer(path, options_of_new(path)).await.map_err(corruption::with_path(path))?;
    let mut readers: Vec<Box<dyn Connection>> = Vec::with_capacity(READERS);
    for _ in 0..READERS {
        // Readers cannot write by mistake, which would bypass the writer.
        let options = options().file(path).pragma("query_only", "ON").pragma("cache_size", READER_CACHE);
        readers.push(Box::new(connect(options, &DIALECT).await?));
    }
    SqlStore::with_writer_thread(Pool::fixed(readers), Pool::fixed(vec![Box::new(writer)]))
}

async fn open_writer(path: &Path, options: SqliteOptions) -> StoreResult<SqliteConnection> {
    let path = path.to_owned();
    blocking(async move {
        let mut first = connect_with_retry(&options.pragma("journal_mode", "WAL"), &DIALECT).await?;
        corruption::check_tables(&path, &mut first).await?;
        sql::migrate(&mut first).await?;
        Ok(first)
    })
    .await
}

/// Runs a future that may block its thread.
async fn blocking<T: Send + 'static>(future: impl Future<Output = StoreResult<T>> + Send + 'static) -> StoreResult<T> {
    let runtime = Handle::current();
    let done = tokio::task::spawn_blocking(move || runtime.block_on(future)).await;
    done.map_err(|error| StoreError::Unavailable(error.into()))?
}

/// Opens a connection without checks and migrations. With `is_new`, a missing file is created.
pub(super) async fn connect_to(path: &Path, is_new: bool) -> StoreResult<Box<dyn Connection>> {
    if is_new {
        create_private(path)?;
    }
    let options = if is_new { options_of_new(path) } else { options().file(path) };
    Ok(Box::new(connect(options, &DIALECT).await.map_err(corruption::with_path(path))?))
}

/// Opens a database in memory, which is deleted with the store.
pub async fn in_memory() -> StoreResult<SqlStore> {
    let mut only = connect(options(), &DIALECT).await?;
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

fn options() -> SqliteOptions {
    SqliteOptions::new(BUSY_TIMEOUT)
        .pragma("synchronous", "FULL")
        .pragma("foreign_keys", "ON")
        .pragma("cache_size", CACHE)
}

/// The options of the first connection. An empty file becomes one that can get smaller. In an existing file without that, free
/// pages are used again.
fn options_of_new(path: &Path) -> SqliteOptions {
    let is_empty = std::fs::metadata(path).is_ok_and(|file| file.len() == 0);
    let options = options().file(path);
    // Not in other files: setting it again would write to the file.
    if is_empty { options.auto_vacuum() } else { options }
}

/// Opens a connection on a thread of its own.
async fn connect(options: SqliteOptions, dialect: &'static Dialect) -> StoreResult<ThreadConnection> {
    let opened = blocking(async move { options.open(dialect).map_err(map_error) }).await?;
    ThreadConnection::start(opened)
}

async fn connect_with_retry(options: &SqliteOptions, dialect: &'static Dialect) -> StoreResult<SqliteConnection> {
    let deadline = tokio::time::Instant::now() + BUSY_TIMEOUT;
    loop {
        match options.open(dialect) {
            Err(error) if is_busy(&error) && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(OPEN_RETRY).await;
            }
            result => return result.map_err(map_error),
        }
    }
}

#[cfg(test)]
mod retention_tests;
#[cfg(test)]
mod tests;
