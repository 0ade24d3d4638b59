//! Restoring a part of a backup to an empty database, in a transaction of the caller.

use std::io::BufRead;
use std::path::Path;

use super::file::{BackupRecord, RecordReader};
use super::tables::{self, TableDump};
use super::{BackupError, Connection, Version, keys as key_files};
use crate::sql::Value;

/// The most values of one statement. SQLite allows 32,766.
const VALUES: usize = 30_000;
/// The most rows of one statement.
const ROWS: usize = 200;

/// Creates the schema of the backup, inserts its rows, migrates to the current schema, and writes the keys. Leaves out telemetry.
pub(super) async fn restore_hive(
    connection: &mut dyn Connection,
    file: impl BufRead + Send,
    keys: &Path,
) -> Result<(), BackupError> {
    let mut records = RecordReader::new(file);
    let migration = records.header()?.migration;
    if let Some(table) = tables::names(connection).await?.first() {
        return Err(BackupError::NotEmpty(format!("the database has a table {table}")));
    }
    let part = BackupPart { tables: &tables::TABLES, others: &tables::TELEMETRY_TABLES, keys: Some(keys) };
    part.restore(connection, &mut records, migration).await
}

/// The same for telemetry, of a backup that has it in a schema of the version `migration`.
pub(super) async fn restore_telemetry(
    connection: &mut dyn Connection,
    file: impl BufRead + Send,
    migration: i64,
) -> Result<(), BackupError> {
    let mut records = RecordReader::new(file);
    records.header()?;
    let part = BackupPart { tables: &tables::TELEMETRY_TABLES, others: &tables::TABLES, keys: None };
    part.restore(connection, &mut records, migration).await
}

/// A part of a backup.
#[derive(Clone, Copy)]
struct BackupPart<'k> {
    tables: &'static [&'static str],
    /// The tables of the other part.
    others: &'static [&'static str],
    /// Where its keys are written.
    keys: Option<&'k Path>,
}

impl BackupPart<'_> {
    async fn restore<R: BufRead + Send>(
        self,
        connection: &mut dyn Connection,
        records: &mut RecordReader<R>,
        migration: i64,
    ) -> Result<(), BackupError> {
        let newest = Version::newest(connection).number();
        if migration > newest {
            return Err(BackupError::Newer);
        }
        // The rows fit the schema of the backup. Later migrations then convert them.
        Version::of(connection).await?.migrate_to(connection, migration).await?;
        self.restore_rows(connection, records).await?;
        Ok(Version::of(connection).await?.migrate_to(connection, newest).await?)
    }

    async fn restore_rows<R: BufRead + Send>(
        self,
        connection: &mut dyn Connection,
        records: &mut RecordReader<R>,
    ) -> Result<(), BackupError> {
        let mut known = tables::all(connection, self.tables).await?;
        let (mut batch, mut is_other): (Option<Batch>, bool) = (None, false);
        while let Some(line) = records.next()? {
            match line {
                BackupRecord::Key { name, text } => {
                    if let Some(keys) = self.keys {
                        key_files::restore(keys, &name, &text)?;
                    }
                }
                BackupRecord::Table { name, columns } => {
                    Batch::flush(batch.take(), connection).await?;
                    is_other = self.others.contains(&&*name);
                    if is_other {
                        continue;
                    }
                    let index = known.iter().position(|table| table.name == name);
                    let unknown = || BackupError::Corrupt("a table is not known".into());
                    // A table comes once: a second occurrence is not found any more, and refused.
                    batch = Some(Batch::of(known.swap_remove(index.ok_or_else(unknown)?).select(&columns)?));
                }
                BackupRecord::Row(_) if is_other => {}
                BackupRecord::Row(row) => {
                    let batch = batch.as_mut().ok_or_else(|| BackupError::Corrupt("a row has no table".into()))?;
                    batch.values.extend(batch.table.values(row)?);
                    if batch.is_full() {
                        batch.store(connection).await?;
                    }
                }
                BackupRecord::Header(_) | BackupRecord::End { .. } => {}
            }
        }
        Batch::flush(batch, connection).await
    }
}

/// Rows of one table that are inserted together.
struct Batch {
    table: TableDump,
    values: Vec<Value>,
}

impl Batch {
    fn of(table: TableDump) -> Self {
        Self { table, values: Vec::new() }
    }

    fn is_full(&self) -> bool {
        let width = self.table.columns.len();
        // Whole rows only.
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
