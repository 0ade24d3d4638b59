//! A whole hive in one file: what is in its database, as of one moment, and its keys.
//!
//! The file is text, one JSON document a line: a header, the keys, and each table with its rows. The last line seals what is
//! before it, so that a file that was cut or changed is refused. It knows no database: what was backed up from one kind can be
//! restored into another. It holds all secrets of the hive.

mod file;
mod keys;
mod restore;
mod tables;

use std::io::{BufRead, Write};
use std::path::PathBuf;

use hive_wire::Timestamp;

use self::file::{Header, Line, SealedWriter};
use crate::key_files::KeysError;
use crate::private_files;
use crate::sql::{Connection, Row, Statement, Version};
use crate::{Database, StoreError, StoreResult};

/// The version of the format. Files of version 1 hold a layout of before the first release.
const FORMAT: u32 = 2;

/// A hive's database and its keys.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its database.
    pub database: Database,
    /// The directory of its keys.
    pub keys: PathBuf,
}

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Rows of all tables.
    pub rows: u64,
    /// SHA-256 of all but the last line, in hex.
    pub sha256: String,
}

/// Why there is no backup, or it was not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The file cannot be written or read.
    #[error("cannot write or read the backup")]
    Io(#[from] std::io::Error),
    /// The file is no whole backup.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// A newer program wrote it.
    #[error("the backup is of a newer program")]
    Newer,
    /// A program of before the first release wrote it.
    #[error("a version before the first release wrote the backup, and this one cannot read it")]
    Unsupported,
    /// There is something already where it should go.
    #[error("a backup is restored into an empty hive only: {0}")]
    NotEmpty(String),
}

/// Writes a backup of a hive, beside its running server.
///
/// Reads and writes files without yielding: it is for a program that does nothing else.
pub async fn create(place: &Place, now: Timestamp, out: &mut (dyn Write + Send)) -> Result<Summary, BackupError> {
    let mut out = SealedWriter::new(out);
    let mut connection = place.database.connect(false).await?;
    let begin = connection.dialect().begin_reading;
    connection.script(begin).await?;
    let migration = Version::of(&mut *connection).await?.number();
    if migration == 0 {
        return Err(StoreError::Damaged("there is no hive in the database".into()).into());
    }
    out.line(&Line::Header(Header {
        format: FORMAT,
        migration,
        program: env!("CARGO_PKG_VERSION").into(),
        created_at: now,
    }))?;
    for (name, text) in keys::read(&place.keys)? {
        out.line(&Line::Key { name: name.to_owned(), text: text.to_string() })?;
    }
    for table in tables::all(&mut *connection).await? {
        table.write(&mut *connection, &mut out).await?;
    }
    connection.script("COMMIT").await?;
    connection.close().await?;
    Ok(out.seal()?)
}

/// Restores a backup into a database without tables and a directory without keys, all of it or nothing. `open` opens the file
/// from its beginning; it is read twice, so that nothing is done with one that is not whole.
pub async fn restore<R: BufRead + Send>(
    place: &Place,
    open: impl Fn() -> std::io::Result<R>,
) -> Result<Summary, BackupError> {
    let summary = file::check(open()?)?;
    keys::expect_none(&place.keys).map_err(|path| BackupError::NotEmpty(format!("there is {}", path.display())))?;
    if let Some(data_dir) = place.keys.parent() {
        private_files::create_dir(data_dir)?;
    }
    let mut connection = place.database.connect(true).await?;
    let begin = connection.dialect().begin;
    connection.script(begin).await?;
    let restored = restore::all(&mut *connection, open()?, &place.keys).await;
    let ended = match &restored {
        Ok(()) => connection.script("COMMIT").await.map(drop).map_err(BackupError::from),
        Err(_) => connection.script("ROLLBACK").await.map(drop).map_err(BackupError::from),
    };
    if let Err(error) = restored.and(ended) {
        keys::remove(&place.keys);
        return Err(error);
    }
    connection.close().await?;
    Ok(summary)
}

/// The rows of a statement that has a few.
async fn rows(connection: &mut dyn Connection, statement: Statement) -> StoreResult<Vec<Row>> {
    connection.fetch_all(statement).await
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests;
