//! Reading a backup into an empty database, in a transaction that is open already.

use std::io::BufRead;
use std::path::Path;

use super::file::{Header, Line, Reader};
use super::tables::{self, Table};
use super::{BackupError, Connection, Version, keys as key_files};
use crate::sql::Value;

/// Values of one statement; databases take some 32,000.
const VALUES: usize = 30_000;
/// Rows of one statement.
const ROWS: usize = 200;

/// The layout as it was, the rows, then the layout as it is now; and the keys.
pub(super) async fn all(
    connection: &mut dyn Connection,
    file: impl BufRead + Send,
    keys: &Path,
) -> Result<(), BackupError> {
    let mut lines = Reader::new(file);
    let Some(Line::Header(Header { migration, .. })) = lines.next()? else {
        return Err(BackupError::Damaged("it has no header".into()));
    };
    if let Some(table) = tables::names(connection).await?.first() {
        return Err(BackupError::NotEmpty(format!("the database has a table {table}")));
    }
    if migration > Version::newest(connection).number() {
        return Err(BackupError::Newer);
    }
    Version::of(connection).await?.grow(connection, migration).await?;
    rows(connection, &mut lines, keys).await?;
    let newest = Version::newest(connection).number();
    Ok(Version::of(connection).await?.grow(connection, newest).await?)
}

async fn rows<R: BufRead + Send>(
    connection: &mut dyn Connection,
    lines: &mut Reader<R>,
    keys: &Path,
) -> Result<(), BackupError> {
    let mut known = tables::all(connection).await?;
    let mut batch: Option<Batch> = None;
    while let Some(line) = lines.next()? {
        match line {
            Line::Key { name, text } => key_files::restore(keys, &name, &text)?,
            Line::Table { name, columns } => {
                Batch::flush(batch.take(), connection).await?;
                let place = known.iter().position(|table| table.name == name);
                let unknown = || BackupError::Damaged("a table is not known".into());
                batch = Some(Batch::of(known.swap_remove(place.ok_or_else(unknown)?).select(&columns)?));
            }
            Line::Row(row) => {
                let batch = batch.as_mut().ok_or_else(|| BackupError::Damaged("a row has no table".into()))?;
                batch.values.extend(batch.table.values(row)?);
                if batch.is_full() {
                    batch.store(connection).await?;
                }
            }
            Line::Header(_) | Line::End { .. } => {}
        }
    }
    Batch::flush(batch, connection).await
}

/// Rows of one table on their way.
struct Batch {
    table: Table,
    values: Vec<Value>,
}

impl Batch {
    fn of(table: Table) -> Self {
        Self { table, values: Vec::new() }
    }

    fn is_full(&self) -> bool {
        let width = self.table.columns.len();
        self.values.len() >= (ROWS * width).min(VALUES / width * width)
    }

    async fn store(&mut self, connection: &mut dyn Connection) -> Result<(), BackupError> {
        let values = std::mem::take(&mut self.values);
        if !values.is_empty() {
            connection.execute(self.table.insert(values)).await?;
        }
        Ok(())
    }

    async fn flush(batch: Option<Self>, connection: &mut dyn Connection) -> Result<(), BackupError> {
        match batch {
            Some(mut batch) => batch.store(connection).await,
            None => Ok(()),
        }
    }
}
