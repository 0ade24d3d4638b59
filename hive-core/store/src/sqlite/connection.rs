//! A connection to SQLite. Its statements run on the thread that calls them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Batch, OpenFlags, ToSql};

use super::error::map_error;
use crate::StoreResult;
use crate::sql::{Columns, Connection, Dialect, Row, Statement, Value, corrupt_column};

/// Prepared statements that a connection keeps: more than a hive has different ones that it runs often.
const PREPARED: usize = 128;

/// Where a database is, and the settings of a connection to it.
#[derive(Debug, Clone)]
pub(super) struct SqliteOptions {
    /// The file, which must exist; `None` for a database in memory.
    path: Option<PathBuf>,
    busy_timeout: Duration,
    /// Settings in the order in which they are made.
    pragmas: Vec<(&'static str, &'static str)>,
}

impl SqliteOptions {
    /// A connection that waits so long for the transaction of another one.
    pub(super) fn new(busy_timeout: Duration) -> Self {
        Self { path: None, busy_timeout, pragmas: Vec::new() }
    }

    /// The file of the database, which must exist.
    pub(super) fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Makes a setting, after those that were named before. The last value of a setting counts.
    pub(super) fn pragma(mut self, name: &'static str, value: &'static str) -> Self {
        self.pragmas.push((name, value));
        self
    }

    /// Makes a new file one that can get smaller.
    pub(super) fn auto_vacuum(mut self) -> Self {
        // First of all: most other settings write the first page, after which this one has no effect.
        self.pragmas.insert(0, ("auto_vacuum", "INCREMENTAL"));
        self
    }

    /// Opens a connection. It may block as long as the busy timeout.
    pub(super) fn open(&self, dialect: &'static Dialect) -> rusqlite::Result<SqliteConnection> {
        // Never created here, because the file would get the umask of the process. And no mutex: one thread at a time has it.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let inner = match &self.path {
            Some(path) => rusqlite::Connection::open_with_flags(path, flags)?,
            None => rusqlite::Connection::open_in_memory()?,
        };
        inner.busy_timeout(self.busy_timeout)?;
        inner.set_prepared_statement_cache_capacity(PREPARED);
        for (name, value) in &self.pragmas {
            inner.execute_batch(&format!("PRAGMA {name} = {value}"))?;
        }
        Ok(SqliteConnection { inner, dialect, scripts: HashMap::new() })
    }
}

/// A connection, and which tables are behind it.
#[derive(Debug)]
pub(super) struct SqliteConnection {
    inner: rusqlite::Connection,
    dialect: &'static Dialect,
    /// The statements of the scripts that were run, so that each is prepared once.
    scripts: HashMap<&'static str, Arc<[String]>>,
}

impl SqliteConnection {
    /// Runs a statement and gives its rows to `take`, as long as that returns true.
    pub(super) fn each_row(&self, statement: &Statement, take: impl FnMut(Row) -> bool) -> StoreResult<()> {
        self.run(&statement.text, &statement.values, take).map_err(map_error)
    }

    fn all_rows(&self, text: &str, values: &[Value]) -> rusqlite::Result<Vec<Row>> {
        let mut rows = Vec::new();
        self.run(text, values, |row| {
            rows.push(row);
            true
        })?;
        Ok(rows)
    }

    fn run(&self, text: &str, values: &[Value], mut take: impl FnMut(Row) -> bool) -> rusqlite::Result<()> {
        let mut statement = self.inner.prepare_cached(text)?;
        bind(&mut statement, values)?;
        // Once for all rows of the answer.
        let columns: Arc<[Box<str>]> = statement.column_names().map(Box::from).collect();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            let values = (0..columns.len()).map(|index| row.get_ref(index).map(ColumnValue::from));
            let values = values.collect::<rusqlite::Result<_>>()?;
            if !take(Row::new(SqliteRow { columns: columns.clone(), values })) {
                break;
            }
        }
        Ok(())
    }

    fn run_script(&mut self, text: &'static str) -> rusqlite::Result<Vec<Row>> {
        let statements = match self.scripts.get(text) {
            Some(statements) => statements.clone(),
            None => return self.run_new_script(text),
        };
        let mut rows = Vec::new();
        for statement in &*statements {
            rows = self.all_rows(statement, &[])?;
        }
        Ok(rows)
    }

    /// Runs a script whose statements are not known yet. One of them may make the table that the next one is about, so that each
    /// is prepared after the one before has run.
    fn run_new_script(&mut self, text: &'static str) -> rusqlite::Result<Vec<Row>> {
        let (mut statements, mut rows) = (Vec::new(), Vec::new());
        let mut batch = Batch::new(&self.inner, text);
        while let Some(statement) = batch.next()? {
            // Scripts have no values, so that the expanded text is the text.
            let statement = statement.expanded_sql().unwrap_or_default();
            rows = self.all_rows(&statement, &[])?;
            statements.push(statement);
        }
        self.scripts.insert(text, statements.into());
        Ok(rows)
    }

    /// Runs a statement and returns how many rows it changed.
    pub(super) fn execute_now(&self, statement: &Statement) -> StoreResult<u64> {
        self.each_row(statement, |_| true)?;
        Ok(self.inner.changes())
    }

    /// Runs a statement and returns its rows.
    pub(super) fn fetch_now(&self, statement: &Statement) -> StoreResult<Vec<Row>> {
        self.all_rows(&statement.text, &statement.values).map_err(map_error)
    }

    /// Runs statements without values, and returns the rows of the last one.
    pub(super) fn script_now(&mut self, text: &'static str) -> StoreResult<Vec<Row>> {
        self.run_script(text).map_err(map_error)
    }

    /// Closes it in an orderly way. The last connection to a file copies the log into it.
    pub(super) fn close_now(self) -> StoreResult<()> {
        self.inner.close().map_err(|(_, error)| map_error(error))
    }
}

#[async_trait]
impl Connection for SqliteConnection {
    fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    async fn execute(&mut self, statement: Statement) -> StoreResult<u64> {
        self.execute_now(&statement)
    }

    async fn fetch_all(&mut self, statement: Statement) -> StoreResult<Vec<Row>> {
        self.fetch_now(&statement)
    }

    fn fetch(&mut self, statement: Statement) -> BoxStream<'_, StoreResult<Row>> {
        let rows = match self.fetch_now(&statement) {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        futures_util::stream::iter(rows).boxed()
    }

    async fn script(&mut self, text: &'static str) -> StoreResult<Vec<Row>> {
        self.script_now(text)
    }

    async fn close(self: Box<Self>) -> StoreResult<()> {
        self.close_now()
    }
}

/// Binds the values to the placeholders: `$2` takes the second value, and each `?` the next one.
fn bind(statement: &mut rusqlite::Statement<'_>, values: &[Value]) -> rusqlite::Result<()> {
    let mut next = 0;
    for parameter in 1..=statement.parameter_count() {
        // SQLite numbers `$2` by its first place in the text, and not by its name.
        let named = statement.parameter_name(parameter).and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok());
        let index = named.map_or(next, |number| number - 1);
        next += usize::from(named.is_none());
        if let Some(value) = values.get(index) {
            statement.raw_bind_parameter(parameter, value)?;
        }
    }
    Ok(())
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Self::Text(text) => text.as_ref().map(|text| ValueRef::Text(text.as_bytes())),
            Self::Integer(number) => number.map(ValueRef::Integer),
            Self::Bool(flag) => flag.map(|flag| ValueRef::Integer(flag.into())),
            Self::Bytes(bytes) => bytes.as_ref().map(|bytes| ValueRef::Blob(bytes)),
        };
        Ok(ToSqlOutput::Borrowed(value.unwrap_or(ValueRef::Null)))
    }
}

/// A row, apart from its statement.
struct SqliteRow {
    columns: Arc<[Box<str>]>,
    values: Vec<ColumnValue>,
}

/// A value as a hive stores it.
enum ColumnValue {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
    /// Nothing that a hive writes. It fails where it is read, so that the rest of its row can be.
    Unreadable,
}

impl From<ValueRef<'_>> for ColumnValue {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Text(text) => String::from_utf8(text.to_vec()).map_or(Self::Unreadable, Self::Text),
            ValueRef::Blob(bytes) => Self::Bytes(bytes.to_vec()),
            ValueRef::Real(_) => Self::Unreadable,
        }
    }
}

impl SqliteRow {
    /// Returns a value, unless it is NULL.
    fn value(&self, column: &str) -> StoreResult<Option<&ColumnValue>> {
        // Rows have a few columns, so that a search is as fast as a map and needs no building.
        let index = self.columns.iter().position(|name| **name == *column).ok_or_else(|| corrupt_column(column))?;
        Ok(self.values.get(index).filter(|value| !matches!(value, ColumnValue::Null)))
    }

    fn read<T>(&self, column: &str, read: impl FnOnce(&ColumnValue) -> Option<T>) -> StoreResult<Option<T>> {
        self.value(column)?.map(|value| read(value).ok_or_else(|| corrupt_column(column))).transpose()
    }
}

impl Columns for SqliteRow {
    fn text(&self, column: &str) -> StoreResult<Option<String>> {
        self.read(column, |value| match value {
            ColumnValue::Text(text) => Some(text.clone()),
            _ => None,
        })
    }

    fn int(&self, column: &str) -> StoreResult<Option<i64>> {
        self.read(column, |value| match value {
            ColumnValue::Integer(number) => Some(*number),
            _ => None,
        })
    }

    fn bool(&self, column: &str) -> StoreResult<Option<bool>> {
        self.read(column, |value| match value {
            ColumnValue::Integer(number) => Some(*number != 0),
            _ => None,
        })
    }

    fn bytes(&self, column: &str) -> StoreResult<Option<Vec<u8>>> {
        self.read(column, |value| match value {
            ColumnValue::Bytes(bytes) => Some(bytes.clone()),
            _ => None,
        })
    }
}
