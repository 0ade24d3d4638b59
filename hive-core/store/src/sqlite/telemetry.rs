//! The telemetry of a hive in SQLite: a file beside its database, with a writer of its own.
//!
//! A file that cannot be read is set aside and replaced by an empty one, because no promise depends on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{error, warn};

use super::connection::{SqliteConnection, SqliteOptions};
use super::{blocking, connect, connect_with_retry, corruption, create_private};
use crate::sql::{self, Connection, Dialect, Pool, Schema, SqlStore, SqlTelemetryStore, Version};
use crate::{StoreError, StoreResult};

/// The name of the file.
const FILE: &str = "telemetry.db";
/// Is added to the name of a file that was set aside. An earlier one is replaced.
const SET_ASIDE: &str = ".damaged";
/// Connections for reads.
const READERS: usize = 2;
/// How long a statement waits for the transaction of another process. The hive tries again later.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// The page cache of each connection: a negative number is a size in KiB.
const CACHE: &str = "-2000";
/// Gives up to 10,000 free pages back to the file system.
const RECLAIM: &str = "PRAGMA incremental_vacuum(10000)";

pub(crate) static DIALECT: Dialect = Dialect {
    begin: "BEGIN IMMEDIATE",
    // There is no audit chain, and therefore no head.
    begin_at_head: "BEGIN IMMEDIATE",
    begin_reading: "BEGIN",
    numbers_many_rows: false,
    aborts_on_error: false,
    // A heartbeat that is stored although it was not acknowledged does no harm.
    after_failed_commit: None,
    // It is part of each deletion.
    reclaim_space: None,
    table_names: super::DIALECT.table_names,
    column_names: super::DIALECT.column_names,
    schema: &Schema {
        versions: "telemetry_migrations",
        marker: "satellite_heartbeats",
        migrations: &[include_str!("../../migrations/telemetry/sqlite/0001_heartbeats.sql")],
    },
};

/// Returns the file of the telemetry of a database.
pub(crate) fn file_of(database: &Path) -> PathBuf {
    database.with_file_name(FILE)
}

/// Opens the telemetry of a database, and creates it if it is missing. It is in memory if its file can be neither opened nor
/// replaced.
pub async fn open(database: &Path) -> StoreResult<SqlTelemetryStore> {
    let path = file_of(database);
    if path == database {
        return Err(StoreError::Unavailable(format!("{FILE} is the name of the telemetry beside a database").into()));
    }
    let opened = match open_file(&path).await {
        Err(reason @ (StoreError::Corrupt(_) | StoreError::Unsupported)) => replace(&path, &reason).await,
        opened => opened,
    };
    match opened {
        Err(reason) => {
            log_missing(&path, &reason);
            in_memory().await
        }
        opened => opened,
    }
}

fn log_missing(path: &Path, reason: &StoreError) {
    let (path, error) = (path.display(), reason as &dyn std::error::Error);
    error!(%path, error, "the telemetry database cannot be opened; telemetry is in memory until the next start");
}

/// Sets a file aside, and opens an empty one in its place.
async fn replace(path: &Path, reason: &StoreError) -> StoreResult<SqlTelemetryStore> {
    let aside = corruption::with_suffix(path, SET_ASIDE);
    let (from, to) = (path.display(), aside.display());
    warn!(path = %from, moved_to = %to, error = reason as &dyn std::error::Error, "the telemetry database is set aside, and a new one is created");
    for suffix in ["", "-wal", "-shm"] {
        let (from, to) = (corruption::with_suffix(path, suffix), corruption::with_suffix(&aside, suffix));
        match tokio::fs::rename(&from, &to).await {
            // The log of an earlier file does not belong to this one.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                tokio::fs::remove_file(&to).await.ok();
            }
            renamed => renamed.map_err(|error| StoreError::Unavailable(error.into()))?,
        }
    }
    open_file(path).await
}

async fn open_file(path: &Path) -> StoreResult<SqlTelemetryStore> {
    create_private(path)?;
    // Before SQLite opens the file, because it truncates the log then.
    if let Some(frame) = corruption::damaged_frame(path).await? {
        return Err(StoreError::Corrupt(damaged_log(frame)));
    }
    let writer = open_writer(path).await?;
    let mut readers: Vec<Box<dyn Connection>> = Vec::with_capacity(READERS);
    for _ in 0..READERS {
        readers.push(Box::new(connect(options().file(path).pragma("query_only", "ON"), &DIALECT).await?));
    }
    let store = SqlStore::with_writer_thread(Pool::fixed(readers), Pool::fixed(vec![Box::new(writer)]))?;
    Ok(SqlTelemetryStore::new(store, Some(RECLAIM)))
}

async fn open_writer(path: &Path) -> StoreResult<SqliteConnection> {
    let path = path.to_owned();
    blocking(async move {
        let mut options = options().file(&path).pragma("journal_mode", "WAL");
        if is_empty(&path).await {
            // Only before the first table. Later it changes nothing, but would wait for other writers.
            options = options.auto_vacuum();
        }
        let mut writer = connect_with_retry(&options, &DIALECT).await?;
        corruption::check_tables(&path, &mut writer).await?;
        // A start does not wait for another process that is writing, unless there is something to migrate.
        if Version::of(&mut writer).await?.number() != Version::newest(&writer).number() {
            sql::migrate(&mut writer).await?;
        }
        Ok(writer)
    })
    .await
}

async fn is_empty(path: &Path) -> bool {
    tokio::fs::metadata(path).await.is_ok_and(|file| file.len() == 0)
}

/// Opens telemetry in memory, which is deleted with the store.
pub async fn in_memory() -> StoreResult<SqlTelemetryStore> {
    let mut only = connect(options(), &DIALECT).await?;
    sql::migrate(&mut only).await?;
    let pool = Pool::fixed(vec![Box::new(only)]);
    Ok(SqlTelemetryStore::new(SqlStore::new(pool.clone(), pool), None))
}

/// Checks the whole file, which a server may be using. Returns one line for each fault.
pub(crate) async fn check(path: &Path) -> StoreResult<Vec<String>> {
    // Before SQLite opens the file, as above.
    if let Some(frame) = corruption::damaged_frame(path).await? {
        return Ok(vec![damaged_log(frame)]);
    }
    match corruption::check(path).await {
        // The whole file cannot be read. That is a fault like others, because the hive can do without it.
        Err(StoreError::Corrupt(fault)) => Ok(vec![fault]),
        checked => checked,
    }
}

fn damaged_log(frame: u64) -> String {
    format!("the log of the telemetry is damaged in frame {frame}")
}

/// Opens a connection without checks and migrations. With `is_new`, a missing file is created.
pub(crate) async fn connect_to(database: &Path, is_new: bool) -> StoreResult<Box<dyn Connection>> {
    let path = file_of(database);
    if is_new {
        create_private(&path)?;
    }
    // A restored file is as one that the hive has created.
    let options = if is_empty(&path).await { options().auto_vacuum() } else { options() };
    Ok(Box::new(connect(options.file(&path), &DIALECT).await.map_err(corruption::with_path(&path))?))
}

fn options() -> SqliteOptions {
    SqliteOptions::new(BUSY_TIMEOUT)
        // A commit does not wait for the disk. The log is synced before it is copied into the file, so that the file stays whole.
        .pragma("synchronous", "NORMAL")
        .pragma("cache_size", CACHE)
}

#[cfg(test)]
mod tests;
