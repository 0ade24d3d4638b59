//! Detects corruption before a database is used. A server that refuses to start is better than one that has lost acknowledged
//! changes.
//!
//! SQLite reports some corruption when it reads a page. The checks here find the rest: a log that SQLite would cut off without
//! an error ([`wal`](super::wal)) and, in small databases, inconsistent tables. A byte that changed within a value is found by
//! neither. Hashes of the audit log, authentication tags of sealed values and digests of commands cover that.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::connection::{SqliteConnection, SqliteOptions};
use super::wal::{self, WalState};
use super::{BUSY_TIMEOUT, DIALECT};
use crate::sql::{Connection, Statement};
use crate::{StoreError, StoreResult};

/// Only databases up to this size are checked at each start. The check takes about 1.5 s for each gigabyte in memory.
/// `hive-server check` checks larger ones.
const MAX_CHECKED_SIZE: u64 = 256 * 1024 * 1024;
/// The pause before a log that looks corrupt is read again: another process may be writing it.
const RECHECK_DELAY: Duration = Duration::from_millis(100);
/// How often a log is read before it counts as corrupt.
const MAX_CHECKS: u32 = 3;

/// Refuses a database with a corrupt log. Call it before SQLite opens the database, because SQLite changes the log.
pub(super) async fn check_log(database: &Path) -> StoreResult<()> {
    match damaged_frame(database).await? {
        None => Ok(()),
        Some(frame) => Err(StoreError::Corrupt(format!(
            "{} is damaged in frame {frame}, and what was acknowledged after it would be lost; put back a backup, or accept \
             the loss by deleting that file",
            log_of(database).display()
        ))),
    }
}

/// Returns the number of the first damaged frame of a database's log that others follow.
pub(super) async fn damaged_frame(database: &Path) -> StoreResult<Option<u64>> {
    let path = log_of(database);
    let mut state = inspect(&path).await?;
    for _ in 1..MAX_CHECKS {
        if !matches!(state, WalState::Corrupt { .. }) {
            break;
        }
        tokio::time::sleep(RECHECK_DELAY).await;
        state = inspect(&path).await?;
    }
    match state {
        WalState::Complete => Ok(None),
        WalState::Truncated => {
            tracing::warn!(
                path = %path.display(),
                "the database's log ends within a transaction, which is left out: it was under way when the server was killed, \
                 or the file was cut off"
            );
            Ok(None)
        }
        WalState::Corrupt { frame } => Ok(Some(frame)),
    }
}

fn log_of(database: &Path) -> PathBuf {
    with_suffix(database, "-wal")
}

async fn inspect(path: &Path) -> StoreResult<WalState> {
    let owned = path.to_owned();
    let inspected = tokio::task::spawn_blocking(move || wal::inspect(&owned)).await;
    let inspected = inspected.map_err(|error| StoreError::Unavailable(error.into()))?;
    inspected.map_err(|error| StoreError::Unavailable(error.into()))
}

/// Refuses a small database with inconsistent tables.
pub(super) async fn check_tables(database: &Path, connection: &mut SqliteConnection) -> StoreResult<()> {
    let size = tokio::fs::metadata(database).await.map_or(0, |file| file.len());
    if size > MAX_CHECKED_SIZE {
        return Ok(());
    }
    let rows = connection.fetch_now(&Statement::new("PRAGMA quick_check(1)"))?;
    match rows.first().map(|row| row.text("quick_check")).transpose()?.as_deref() {
        Some("ok") => Ok(()),
        fault => Err(StoreError::Corrupt(fault.unwrap_or("the database cannot be checked").to_owned())),
    }
}

/// Checks a whole database, which a server may be using. Returns one line for each fault. It takes some seconds for each
/// gigabyte.
pub(crate) async fn check(database: &Path) -> StoreResult<Vec<String>> {
    let options = SqliteOptions::new(BUSY_TIMEOUT).file(database).pragma("query_only", "ON");
    let mut connection = super::connect(options, &DIALECT).await.map_err(with_path(database))?;
    let mut faults = Vec::new();
    for row in connection.fetch_all(Statement::new("PRAGMA integrity_check")).await? {
        faults.push(row.text("integrity_check")?);
    }
    faults.retain(|line| line != "ok");
    for row in connection.fetch_all(Statement::new("PRAGMA foreign_key_check")).await? {
        faults.push(format!(
            "a row of {} refers to one of {} that is not there",
            row.text("table")?,
            row.text("parent")?
        ));
    }
    Connection::close(Box::new(connection)).await?;
    Ok(faults)
}

/// Adds the path of the database to an error, and what to do.
pub(super) fn with_path(database: &Path) -> impl FnOnce(StoreError) -> StoreError {
    move |error| match error {
        StoreError::Corrupt(what) if !what.contains(&*database.to_string_lossy()) => {
            StoreError::Corrupt(format!("{}: {what}; put back a backup", database.display()))
        }
        StoreError::Unavailable(source) => {
            StoreError::Unavailable(Box::new(OpenError { path: database.to_owned(), source }))
        }
        other => other,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot open the database {path}")]
struct OpenError {
    path: PathBuf,
    #[source]
    source: crate::BoxError,
}

/// Adds a suffix to the name of a file.
pub(super) fn with_suffix(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
