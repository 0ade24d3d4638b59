//! The tables of a hive in a backup.

use bytes::Bytes;
use data_encoding::BASE64;
use futures_util::TryStreamExt;
use serde_json::{Value as Json, json};

use super::file::{BackupRecord, RecordWriter};
use super::{BackupError, rows};
use crate::sql::{Connection, Row, Statement, Value};
use crate::{StoreError, StoreResult};

/// All tables of the hive. A table comes after those that it refers to, because foreign keys are checked on restore.
pub(super) const TABLES: [&str; 21] = [
    "hive",
    "teams",
    "users",
    "team_members",
    "logins",
    "api_keys",
    "registration_tokens",
    "satellites",
    "satellite_tags",
    "satellite_groups",
    "satellite_group_members",
    "superseded_keys",
    "satellite_commands",
    "command_output",
    "jobs",
    "job_teams",
    "job_targets",
    "idempotency_keys",
    "stored_answers",
    "sessions",
    "audit_log",
];

/// All tables of telemetry.
pub(super) const TELEMETRY_TABLES: [&str; 2] = ["satellite_presence", "satellite_heartbeats"];

/// The tables of the schema versions. They are not in a backup: the migrations fill them.
const MIGRATIONS_TABLES: [&str; 2] = ["schema_migrations", "telemetry_migrations"];

/// A table of a database.
pub(super) struct TableDump {
    pub(super) name: &'static str,
    pub(super) columns: Vec<Column>,
}

pub(super) struct Column {
    pub(super) name: String,
    column_type: ColumnType,
}

/// The type of a column.
#[derive(Clone, Copy)]
enum ColumnType {
    Text,
    Integer,
    Bool,
    Bytes,
}

/// Returns those of the tables `wanted` that a database has. An unknown table is an error: the backup would lack it.
pub(super) async fn all(
    connection: &mut dyn Connection,
    wanted: &'static [&'static str],
) -> StoreResult<Vec<TableDump>> {
    let known = || TABLES.iter().chain(&TELEMETRY_TABLES).chain(&MIGRATIONS_TABLES);
    for name in names(connection).await? {
        if !known().any(|known| *known == name) {
            return Err(StoreError::Corrupt(format!("the table {name} is not one of a hive")));
        }
    }
    let mut tables = Vec::with_capacity(wanted.len());
    for name in wanted {
        // Earlier schemas lack some.
        let columns = columns(connection, name).await?;
        if !columns.is_empty() {
            tables.push(TableDump { name, columns });
        }
    }
    Ok(tables)
}

/// Returns the names of all tables of a database.
pub(super) async fn names(connection: &mut dyn Connection) -> StoreResult<Vec<String>> {
    let statement = Statement::new(connection.dialect().table_names);
    rows(connection, statement).await?.iter().map(|row| row.text("name")).collect()
}

async fn columns(connection: &mut dyn Connection, table: &str) -> StoreResult<Vec<Column>> {
    let statement = Statement::new(connection.dialect().column_names).bind(table);
    let column = |row: &Row| Ok(Column { name: row.text("name")?, column_type: ColumnType::of(&row.text("kind")?)? });
    rows(connection, statement).await?.iter().map(column).collect()
}

impl TableDump {
    /// Writes all rows of the table.
    pub(super) async fn write(
        &self,
        connection: &mut dyn Connection,
        out: &mut RecordWriter<'_>,
    ) -> Result<(), BackupError> {
        let names: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        let text = format!("SELECT {} FROM {}", names.join(", "), self.name);
        out.write(&BackupRecord::Table { name: self.name.to_owned(), columns: names })?;
        let mut rows = connection.fetch(Statement { text: text.into(), values: Vec::new() });
        while let Some(row) = rows.try_next().await? {
            let values = self.columns.iter().map(|column| column.column_type.read(&row, &column.name));
            out.write(&BackupRecord::Row(values.collect::<StoreResult<_>>()?))?;
        }
        Ok(())
    }

    /// Selects the columns with these names, in this order.
    pub(super) fn select(self, names: &[String]) -> Result<Self, BackupError> {
        let Self { name, mut columns } = self;
        let mut take = |selected: &String| {
            let index = columns.iter().position(|column| column.name == *selected)?;
            Some(columns.swap_remove(index))
        };
        let unknown = || BackupError::Corrupt(format!("the table {name} has other columns"));
        let columns = names.iter().map(|name| take(name).ok_or_else(unknown)).collect::<Result<_, _>>()?;
        Ok(Self { name, columns })
    }

    /// Converts a row of a backup to values of the columns.
    pub(super) fn values(&self, row: Vec<Json>) -> Result<Vec<Value>, BackupError> {
        let corrupt = || BackupError::Corrupt(format!("a row of {} cannot be read", self.name));
        // A row that is too short would shift the values of the next one.
        if row.len() != self.columns.len() {
            return Err(corrupt());
        }
        let values = self.columns.iter().zip(row).map(|(column, value)| column.column_type.value(value));
        values.collect::<Option<_>>().ok_or_else(corrupt)
    }

    /// Returns the statement that inserts these values as rows.
    pub(super) fn insert(&self, values: Vec<Value>) -> Statement {
        let width = self.columns.len();
        let names: Vec<&str> = self.columns.iter().map(|column| &*column.name).collect();
        let row = |row: usize| {
            let placeholders: Vec<String> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
            format!("({})", placeholders.join(", "))
        };
        let rows: Vec<String> = (0..values.len() / width).map(row).collect();
        let text = format!("INSERT INTO {} ({}) VALUES {}", self.name, names.join(", "), rows.join(", "));
        Statement { text: text.into(), values }
    }
}

impl ColumnType {
    fn of(name: &str) -> StoreResult<Self> {
        match name.to_ascii_uppercase().as_str() {
            "TEXT" => Ok(Self::Text),
            // The names of both databases.
            "INTEGER" | "BIGINT" => Ok(Self::Integer),
            "BOOLEAN" => Ok(Self::Bool),
            "BLOB" | "BYTEA" => Ok(Self::Bytes),
            _ => Err(StoreError::Corrupt(format!("a column is of the kind {name}"))),
        }
    }

    fn read(self, row: &Row, column: &str) -> StoreResult<Json> {
        Ok(match self {
            Self::Text => json!(row.text_opt(column)?),
            Self::Integer => json!(row.number_opt::<i64>(column)?),
            Self::Bool => json!(row.bool_opt(column)?),
            Self::Bytes => json!(row.bytes_opt(column)?.map(|bytes| BASE64.encode(&bytes))),
        })
    }

    fn value(self, value: Json) -> Option<Value> {
        Some(match (self, value) {
            (Self::Text, Json::Null) => Value::Text(None),
            (Self::Text, Json::String(text)) => text.into(),
            (Self::Integer, Json::Null) => Value::Integer(None),
            (Self::Integer, Json::Number(number)) => number.as_i64()?.into(),
            (Self::Bool, Json::Null) => Value::Bool(None),
            (Self::Bool, Json::Bool(flag)) => flag.into(),
            (Self::Bytes, Json::Null) => Value::Bytes(None),
            (Self::Bytes, Json::String(text)) => Bytes::from(BASE64.decode(text.as_bytes()).ok()?).into(),
            _ => return None,
        })
    }
}
