//! Backups: a snapshot of the database and the keys of a hive in one file.
//!
//! The file has one JSON record per line: a header, the keys, and each table with its rows. The last line has a checksum of
//! the lines before it, so that a truncated or changed file is refused. The format does not depend on the database: a backup
//! of SQLite can be restored to PostgreSQL. The file contains all secrets of the hive. It contains its telemetry only if that is
//! asked for.

mod file;
mod keys;
mod restore;
mod tables;

use std::io::{BufRead, Write};
use std::path::PathBuf;

use hive_wire::Timestamp;

use self::file::{BackupRecord, Header, RecordReader, RecordWriter};
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

/// Whether the telemetry of a hive is in its backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupScope {
    /// The hive alone.
    Hive,
    /// The hive and its telemetry.
    HiveAndTelemetry,
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
    scope: BackupScope,
    now: Timestamp,
    out: &mut (dyn Write + Send),
) -> Result<BackupSummary, BackupError> {
    let mut out = RecordWriter::new(out);
    let mut connection = location.database.connect(false).await?;
    let migration = begin_reading(&mut *connection).await?;
    // An empty backup would restore to a hive that has lost everything.
    if migration == 0 {
        return Err(StoreError::Corrupt("there is no hive in the database".into()).into());
    }
    let mut telemetry = match scope {
        BackupScope::Hive => None,
        BackupScope::HiveAndTelemetry => location.database.connect_telemetry(false).await?,
    };
    let telemetry_migration = match &mut telemetry {
        // A server of an earlier version has not set it up yet.
        Some(connection) => Some(begin_reading(&mut **connection).await?).filter(|migration| *migration > 0),
        None => None,
    };
    out.write(&BackupRecord::Header(Header {
        format: FORMAT,
        migration,
        telemetry: telemetry_migration,
        program: env!("CARGO_PKG_VERSION").into(),
        created_at: now,
    }))?;
    for (name, text) in keys::read(&location.keys)? {
        out.write(&BackupRecord::Key { name: name.to_owned(), text: text.to_string() })?;
    }
    write_tables(connection, &tables::TABLES, &mut out).await?;
    if let (Some(telemetry), Some(_)) = (telemetry, telemetry_migration) {
        write_tables(telemetry, &tables::TELEMETRY_TABLES, &mut out).await?;
    }
    Ok(out.finish()?)
}

/// Begins a transaction on one snapshot of all tables, although the server writes on. Returns the version of the schema.
async fn begin_reading(connection: &mut dyn Connection) -> StoreResult<i64> {
    let begin = connection.dialect().begin_reading;
    connection.script(begin).await?;
    Ok(Version::of(connection).await?.number())
}

/// Writes these tables, and closes the connection.
async fn write_tables(
    mut connection: Box<dyn Connection>,
    names: &'static [&'static str],
    out: &mut RecordWriter<'_>,
) -> Result<(), BackupError> {
    for table in tables::all(&mut *connection, names).await? {
        table.write(&mut *connection, out).await?;
    }
    // The read transaction ends. Nothing was changed.
    connection.script("COMMIT").await?;
    Ok(connection.close().await?)
}

/// Restores a backup to an empty database and a directory without keys, either completely or not at all. Telemetry of the backup
/// is restored after the hive: if that fails, the hive is there without it.
///
/// `open` opens the file from its beginning. It is called several times, because the checksum is verified before anything is
/// written.
pub async fn restore<R: BufRead + Send>(
    location: &HiveLocation,
    open: impl Fn() -> std::io::Result<R>,
) -> Result<BackupSummary, BackupError> {
    let summary = file::verify(open()?)?;
    let telemetry = RecordReader::new(open()?).header()?.telemetry;
    keys::expect_none(&location.keys).map_err(|path| BackupError::NotEmpty(format!("there is {}", path.display())))?;
    if let Some(file) = location.database.telemetry_file().filter(|file| telemetry.is_some() && file.exists()) {
        return Err(BackupError::NotEmpty(format!("there is {}", file.display())));
    }
    // The database file may be in the same directory, which must be private from the start.
    if let Some(data_dir) = location.keys.parent() {
        private_files::create_dir(data_dir)?;
    }
    let mut connection = location.database.connect(true).await?;
    let begin = connection.dialect().begin;
    connection.script(begin).await?;
    let restored = restore::restore_hive(&mut *connection, open()?, &location.keys).await;
    if let Err(error) = end(connection, restored).await {
        // The database was rolled back. Keys without it would block the next attempt.
        keys::remove(&location.keys);
        return Err(error);
    }
    if let Some(migration) = telemetry
        && let Some(mut connection) = location.database.connect_telemetry(true).await?
    {
        let begin = connection.dialect().begin;
        connection.script(begin).await?;
        let restored = restore::restore_telemetry(&mut *connection, open()?, migration).await;
        end(connection, restored).await?;
    }
    Ok(summary)
}

/// Ends a transaction by its result, and closes the connection.
async fn end(mut connection: Box<dyn Connection>, result: Result<(), BackupError>) -> Result<(), BackupError> {
    let ended = connection.script(if result.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    result?;
    ended?;
    Ok(connection.close().await?)
}

/// Returns the rows of a statement that returns few.
async fn rows(connection: &mut dyn Connection, statement: Statement) -> StoreResult<Vec<Row>> {
    connection.fetch_all(statement).await
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests;
