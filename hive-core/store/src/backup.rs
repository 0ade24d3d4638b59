//! Backups: a snapshot of the database and the keys of a hive in one file.
//!
//! The file has one JSON record per line: a header, the keys, and each table with its rows. The last line has a checksum of
//! the lines before it, so that a truncated or changed file is refused. The format does not depend on the database: a backup
//! of SQLite can be restored to PostgreSQL. The file contains all secrets of the hive.

mod file;
mod keys;
mod restore;
mod tables;

use std::io::{BufRead, Write};
use std::path::PathBuf;

use hive_wire::Timestamp;

use self::file::{BackupRecord, Header, RecordWriter};
use crate::key_files::KeysError;
use crate::private_files;
use crate::sql::{Connection, Row, Statement, Version};
use crate::{Database, StoreError, StoreResult};

/// The version of the format. Version 1 has the database schema of before the first release.
const FORMAT: u32 = 2;

/// Where a hive is stored.
#[derive(Debug, Clone)]
pub struct HiveLocation {
    /// The database.
    pub database: Database,
    /// The directory of the keys.
    pub keys: PathBuf,
}

/// The size and checksum of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSummary {
    /// The number of rows of all tables.
    pub rows: u64,
    /// SHA-256 of all but the last line, in hex.
    pub sha256: String,
}

/// Why a backup could not be created or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys could not be read or written.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The file cannot be written or read.
    #[error("cannot write or read the backup")]
    Io(#[from] std::io::Error),
    /// The file is incomplete or was changed.
    #[error("the backup is damaged: {0}")]
    Corrupt(String),
    /// A newer program wrote it.
    #[error("the backup is of a newer program")]
    Newer,
    /// A program of before the first release wrote it.
    #[error("a version before the first release wrote the backup, and this one cannot read it")]
    Unsupported,
    /// The location to restore to is not empty.
    #[error("a backup is restored into an empty hive only: {0}")]
    NotEmpty(String),
}

/// Writes a backup of a hive, while its server may be running.
///
/// It blocks the thread while it reads and writes files.
pub async fn create(
    location: &HiveLocation,
    now: Timestamp,
    out: &mut (dyn Write + Send),
) -> Result<BackupSummary, BackupError> {
    let mut out = RecordWriter::new(out);
    let mut connection = location.database.connect(false).await?;
    // One snapshot for all tables, although the server writes on.
    let begin = connection.dialect().begin_reading;
    connection.script(begin).await?;
    let migration = Version::of(&mut *connection).await?.number();
    // An empty backup would restore to a hive that has lost everything.
    if migration == 0 {
        return Err(StoreError::Corrupt("there is no hive in the database".into()).into());
    }
    out.write(&BackupRecord::Header(Header {
        format: FORMAT,
        migration,
        program: env!("CARGO_PKG_VERSION").into(),
        created_at: now,
    }))?;
    for (name, text) in keys::read(&location.keys)? {
        out.write(&BackupRecord::Key { name: name.to_owned(), text: text.to_string() })?;
    }
    for table in tables::all(&mut *connection).await? {
        table.write(&mut *connection, &mut out).await?;
    }
    // The read transaction ends. Nothing was changed.
    connection.script("COMMIT").await?;
    connection.close().await?;
    Ok(out.finish()?)
}

/// Restores a backup to an empty database and a directory without keys, either completely or not at all.
///
/// `open` opens the file from its beginning. It is called twice, because the checksum is verified before anything is written.
pub async fn restore<R: BufRead + Send>(
    location: &HiveLocation,
    open: impl Fn() -> std::io::Result<R>,
) -> Result<BackupSummary, BackupError> {
    let summary = file::verify(open()?)?;
    keys::expect_none(&location.keys).map_err(|path| BackupError::NotEmpty(format!("there is {}", path.display())))?;
    // The database file may be in the same directory, which must be private from the start.
    if let Some(data_dir) = location.keys.parent() {
        private_files::create_dir(data_dir)?;
    }
    let mut connection = location.database.connect(true).await?;
    let begin = connection.dialect().begin;
    connection.script(begin).await?;
    let restored = restore::restore(&mut *connection, open()?, &location.keys).await;
    let ended = match &restored {
        Ok(()) => connection.script("COMMIT").await.map(drop).map_err(BackupError::from),
        Err(_) => connection.script("ROLLBACK").await.map(drop).map_err(BackupError::from),
    };
    if let Err(error) = restored.and(ended) {
        // The database was rolled back. Keys without it would block the next attempt.
        keys::remove(&location.keys);
        return Err(error);
    }
    connection.close().await?;
    Ok(summary)
}

/// Returns the rows of a statement that returns few.
async fn rows(connection: &mut dyn Connection, statement: Statement) -> StoreResult<Vec<Row>> {
    connection.fetch_all(statement).await
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests;
