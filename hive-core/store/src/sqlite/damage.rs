//! Looks for damage before a database is used: better no server than one that has forgotten what it acknowledged.
//!
//! What SQLite notices by itself it tells when it comes upon it. Here are looked for a log that it would silently cut short
//! ([`wal`](super::wal)) and, where that takes no time worth mentioning, tables that do not hang together. A byte that was
//! changed within a value is seen by neither: the audit trail has its hashes for that, sealed values their tags, and commands
//! their digests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{ConnectOptions, Connection, Executor, Row};

use super::wal::{self, Log};
use super::{BUSY_TIMEOUT, told};
use crate::{StoreError, StoreResult};

/// A larger database is not looked through at each start, which takes about 1.5 s for each gigabyte that is in memory:
/// `hive-server check` does that.
const SMALL: u64 = 256 * 1024 * 1024;
/// How long a log that looks damaged is left alone before it is looked at again: another process may just be writing it.
const SECOND_LOOK: Duration = Duration::from_millis(100);
const LOOKS: u32 = 3;

/// Refuses a database whose log is damaged. To be called before SQLite opens it.
pub(super) async fn check_log(database: &Path) -> StoreResult<()> {
    let path = beside(database, "-wal");
    let mut seen = look(&path).await?;
    for _ in 1..LOOKS {
        if !matches!(seen, Log::Damaged { .. }) {
            break;
        }
        tokio::time::sleep(SECOND_LOOK).await;
        seen = look(&path).await?;
    }
    match seen {
        Log::Whole => Ok(()),
        Log::Unfinished => {
            tracing::warn!(
                path = %path.display(),
                "the database's log ends within a transaction, which is left out: it was under way when the server was killed, \
                 or the file was cut off"
            );
            Ok(())
        }
        Log::Damaged { frame } => Err(StoreError::Damaged(format!(
            "{} is damaged in frame {frame}, and what was acknowledged after it would be lost; put back a backup, or accept \
             the loss by deleting that file",
            path.display()
        ))),
    }
}

async fn look(path: &Path) -> StoreResult<Log> {
    let owned = path.to_owned();
    let looked = tokio::task::spawn_blocking(move || wal::inspect(&owned)).await;
    let looked = looked.map_err(|error| StoreError::Unavailable(error.into()))?;
    looked.map_err(|error| StoreError::Unavailable(error.into()))
}

/// Refuses a small database whose tables do not hang together.
pub(super) async fn check_tables(database: &Path, connection: &mut SqliteConnection) -> StoreResult<()> {
    let size = tokio::fs::metadata(database).await.map_or(0, |file| file.len());
    if size > SMALL {
        return Ok(());
    }
    let row = connection.fetch_one("PRAGMA quick_check(1)").await.map_err(told)?;
    match text(&row, 0)?.as_str() {
        "ok" => Ok(()),
        fault => Err(StoreError::Damaged(fault.to_owned())),
    }
}

/// Looks through a whole database, also beside a server that uses it; what is wrong, one line each. Takes some seconds
/// for each gigabyte.
pub(crate) async fn check(database: &Path) -> StoreResult<Vec<String>> {
    let options = SqliteConnectOptions::new().filename(database).busy_timeout(BUSY_TIMEOUT).pragma("query_only", "ON");
    let mut connection = options.connect().await.map_err(told).map_err(named(database))?;
    let mut faults = Vec::new();
    for row in connection.fetch_all("PRAGMA integrity_check").await.map_err(told)? {
        faults.push(text(&row, 0)?);
    }
    faults.retain(|line| line != "ok");
    for row in connection.fetch_all("PRAGMA foreign_key_check").await.map_err(told)? {
        faults.push(format!("a row of {} refers to one of {} that is not there", text(&row, 0)?, text(&row, 2)?));
    }
    connection.close().await.map_err(told)?;
    Ok(faults)
}

fn text(row: &SqliteRow, column: usize) -> StoreResult<String> {
    row.try_get(column).map_err(told)
}

/// Says which file it is about, and what can be done.
pub(super) fn named(database: &Path) -> impl FnOnce(StoreError) -> StoreError {
    move |error| match error {
        StoreError::Damaged(what) if !what.contains(&*database.to_string_lossy()) => {
            StoreError::Damaged(format!("{}: {what}; put back a backup", database.display()))
        }
        StoreError::Unavailable(source) => {
            StoreError::Unavailable(Box::new(CannotOpen { path: database.to_owned(), source }))
        }
        other => other,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot open the database {path}")]
struct CannotOpen {
    path: PathBuf,
    #[source]
    source: crate::BoxError,
}

fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
