//! The tables of a hive, as they are written and read.

use bytes::Bytes;
use data_encoding::BASE64;
use futures_util::TryStreamExt;
use serde_json::{Value as Json, json};

use super::file::{Line, SealedWriter};
use super::{BackupError, rows};
use crate::sql::{Connection, Row, Statement, Value};
use crate::{StoreError, StoreResult};

/// All tables: what others refer to comes first.
pub(super) const TABLES: [&str; 18] = [
    "hive",
    "teams",
    "users",
    "team_members",
    "logins",
    "api_keys",
    "registration_tokens",
    "satellites",
    "satellite_tags",
    "superseded_keys",
    "satellite_commands",
    "command_output",
    "jobs",
    "job_teams",
    "job_targets",
    "idempotency_keys",
    "sessions",
    "audit_log",
];

/// What says how far the layout has grown; it is written by the migrations themselves.
const VERSIONS: &str = "schema_migrations";

/// A table as it is in a database.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: Vec<Column>,
}

pub(super) struct Column {
    pub(super) name: String,
    kind: Kind,
}

/// What a column holds.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Flag,
    Bytes,
}

/// The tables of a database. One that is not known here would be left out silently, and is refused.
pub(super) async fn all(connection: &mut dyn Connection) -> StoreResult<Vec<Table>> {
    for name in names(connection).await? {
        if !TABLES.contains(&&*name) && name != VERSIONS {
            return Err(StoreError::Damaged(format!("the table {name} is not one of a hive")));
        }
    }
    let mut tables = Vec::with_capacity(TABLES.len());
    for name in TABLES {
        // Earlier layouts lack some.
        let columns = columns(connection, name).await?;
        if !columns.is_empty() {
            tables.push(Table { name, columns });
        }
    }
    Ok(tables)
}

/// The names of all tables there are.
pub(super) async fn names(connection: &mut dyn Connection) -> StoreResult<Vec<String>> {
    let statement = Statement::new(connection.dialect().table_names);
    rows(connection, statement).await?.iter().map(|row| row.text("name")).collect()
}

async fn columns(connection: &mut dyn Connection, table: &str) -> StoreResult<Vec<Column>> {
    let statement = Statement::new(connection.dialect().column_names).bind(table);
    let column = |row: &Row| Ok(Column { name: row.text("name")?, kind: Kind::of(&row.text("kind")?)? });
    rows(connection, statement).await?.iter().map(column).collect()
}

impl Table {
    /// Writes all its rows.
    pub(super) async fn write(
        &self,
        connection: &mut dyn Connection,
        out: &mut SealedWriter<'_>,
    ) -> Result<(), BackupError> {
        let names: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        let text = format!("SELECT {} FROM {}", names.join(", "), self.name);
        out.line(&Line::Table { name: self.name.to_owned(), columns: names })?;
        let mut rows = connection.fetch(Statement { text: text.into(), values: Vec::new() });
        while let Some(row) = rows.try_next().await? {
            let values = self.columns.iter().map(|column| column.kind.read(&row, &column.name));
            out.line(&Line::Row(values.collect::<StoreResult<_>>()?))?;
        }
        Ok(())
    }

    /// The columns of these names, in their order.
    pub(super) fn select(self, names: &[String]) -> Result<Self, BackupError> {
        let Self { name, mut columns } = self;
        let mut take = |wanted: &String| {
            let place = columns.iter().position(|column| column.name == *wanted)?;
            Some(columns.swap_remove(place))
        };
        let unknown = || BackupError::Damaged(format!("the table {name} has other columns"));
        let columns = names.iter().map(|name| take(name).ok_or_else(unknown)).collect::<Result<_, _>>()?;
        Ok(Self { name, columns })
    }

    /// The values of a row as it stands in a backup.
    pub(super) fn values(&self, row: Vec<Json>) -> Result<Vec<Value>, BackupError> {
        let damaged = || BackupError::Damaged(format!("a row of {} cannot be read", self.name));
        if row.len() != self.columns.len() {
            return Err(damaged());
        }
        let values = self.columns.iter().zip(row).map(|(column, value)| column.kind.value(value));
        values.collect::<Option<_>>().ok_or_else(damaged)
    }

    /// The statement that inserts so many rows.
    pub(super) fn insert(&self, values: Vec<Value>) -> Statement {
        let width = self.columns.len();
        let names: Vec<&str> = self.columns.iter().map(|column| &*column.name).collect();
        let row = |row: usize| {
            let places: Vec<String> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
            format!("({})", places.join(", "))
        };
        let rows: Vec<String> = (0..values.len() / width).map(row).collect();
        let text = format!("INSERT INTO {} ({}) VALUES {}", self.name, names.join(", "), rows.join(", "));
        Statement { text: text.into(), values }
    }
}

impl Kind {
    fn of(name: &str) -> StoreResult<Self> {
        match name.to_ascii_uppercase().as_str() {
            "TEXT" => Ok(Self::Text),
            "INTEGER" | "BIGINT" => Ok(Self::Number),
            "BOOLEAN" => Ok(Self::Flag),
            "BLOB" | "BYTEA" => Ok(Self::Bytes),
            _ => Err(StoreError::Damaged(format!("a column is of the kind {name}"))),
        }
    }

    fn read(self, row: &Row, column: &str) -> StoreResult<Json> {
        Ok(match self {
            Self::Text => json!(row.text_opt(column)?),
            Self::Number => json!(row.number_opt::<i64>(column)?),
            Self::Flag => json!(row.flag_opt(column)?),
            Self::Bytes => json!(row.bytes_opt(column)?.map(|bytes| BASE64.encode(&bytes))),
        })
    }

    fn value(self, value: Json) -> Option<Value> {
        Some(match (self, value) {
            (Self::Text, Json::Null) => Value::Text(None),
            (Self::Text, Json::String(text)) => text.into(),
            (Self::Number, Json::Null) => Value::Number(None),
            (Self::Number, Json::Number(number)) => number.as_i64()?.into(),
            (Self::Flag, Json::Null) => Value::Flag(None),
            (Self::Flag, Json::Bool(flag)) => flag.into(),
            (Self::Bytes, Json::Null) => Value::Bytes(None),
            (Self::Bytes, Json::String(text)) => Bytes::from(BASE64.decode(text.as_bytes()).ok()?).into(),
            _ => return None,
        })
    }
}
