//! A connection to PostgreSQL.

use std::borrow::Cow;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::postgres::{PgArguments, PgConnection, PgDatabaseError, PgRow, PgSeverity};
use sqlx::{AssertSqlSafe, Either, Executor, Postgres, Row as _, raw_sql};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::sql::{Columns, Connection, DatabaseFault, Dialect, Row, Statement, Value, corrupt_column, store_error};
use crate::{DiskError, DiskFault, StoreError, StoreResult};

/// The timeout of an orderly close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Classes of SQLSTATE that mean that the tables are not as this program left them: data exceptions, constraint violations,
/// unknown names, and internal errors of the database.
const CORRUPT_CLASSES: [&str; 4] = ["22", "23", "42", "XX"];
/// The SQLSTATE `disk_full`.
const DISK_FULL: &str = "53100";
/// The SQLSTATE `io_error`.
const IO_ERROR: &str = "58030";

#[derive(Debug)]
pub(super) struct PostgresConnection {
    inner: PgConnection,
    dialect: &'static Dialect,
    statement_timeout: Duration,
    is_lost: bool,
}

impl PostgresConnection {
    pub(super) fn new(inner: PgConnection, dialect: &'static Dialect, statement_timeout: Duration) -> Self {
        Self { inner, dialect, statement_timeout, is_lost: false }
    }

    /// Marks the connection as lost until [`end_statement`](Self::end_statement) has seen the answer. If the caller drops the
    /// future in between, the late answer would be taken for that of the next statement.
    fn begin_statement(&mut self) -> StoreResult<()> {
        if self.is_lost {
            return Err(StoreError::Unavailable("the connection to the database was lost".into()));
        }
        self.is_lost = true;
        Ok(())
    }

    fn end_statement<T>(&mut self, done: Result<sqlx::Result<T>, Elapsed>) -> StoreResult<T> {
        let limit = self.statement_timeout;
        let result =
            done.map_err(|_| StoreError::Unavailable(format!("no answer within {} s", limit.as_secs()).into()))?;
        // An answer of the database means that the connection is alive, unless it is a fatal error.
        self.is_lost = match &result {
            Ok(_) => false,
            Err(error) => !error.as_database_error().is_some_and(keeps_connection),
        };
        result.map_err(map_error)
    }
}

#[async_trait]
impl Connection for PostgresConnection {
    fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    async fn execute(&mut self, statement: Statement) -> StoreResult<u64> {
        self.begin_statement()?;
        let done = timeout(self.statement_timeout, Executor::execute(&mut self.inner, query(statement))).await;
        Ok(self.end_statement(done)?.rows_affected())
    }

    async fn fetch_all(&mut self, statement: Statement) -> StoreResult<Vec<Row>> {
        self.begin_statement()?;
        let done = timeout(self.statement_timeout, Executor::fetch_all(&mut self.inner, query(statement))).await;
        Ok(self.end_statement(done)?.into_iter().map(Row::new).collect())
    }

    // There is no timeout here: only a backup reads in this way, and it may take long.
    fn fetch(&mut self, statement: Statement) -> BoxStream<'_, StoreResult<Row>> {
        if let Err(error) = self.begin_statement() {
            return futures_util::stream::once(async { Err(error) }).boxed();
        }
        // Two fields of `self` are borrowed apart: the stream keeps both.
        let (inner, is_lost) = (&mut self.inner, &mut self.is_lost);
        let rows = Executor::fetch(inner, query(statement)).map_ok(Row::new).map_err(map_error);
        // The connection can be used again only if all rows were read.
        let end = futures_util::stream::poll_fn(move |_| {
            *is_lost = false;
            std::task::Poll::Ready(None)
        });
        rows.chain(end).boxed()
    }

    async fn script(&mut self, text: &'static str) -> StoreResult<Vec<Row>> {
        self.begin_statement()?;
        let done = timeout(self.statement_timeout, rows_of_last(&mut self.inner, text)).await;
        Ok(self.end_statement(done)?.into_iter().map(Row::new).collect())
    }

    fn is_lost(&self) -> bool {
        self.is_lost
    }

    async fn close(self: Box<Self>) -> StoreResult<()> {
        match timeout(CLOSE_TIMEOUT, sqlx::Connection::close(self.inner)).await {
            Ok(closed) => closed.map_err(map_error),
            Err(_) => Err(StoreError::Unavailable("the connection was not closed in time".into())),
        }
    }
}

/// Runs several statements in one round trip by the simple protocol, and returns the rows of the last one.
async fn rows_of_last(connection: &mut PgConnection, text: &'static str) -> sqlx::Result<Vec<PgRow>> {
    let (mut rows, mut last) = (Vec::new(), Vec::new());
    let mut results = raw_sql(text).fetch_many(connection);
    while let Some(result) = results.try_next().await? {
        match result {
            Either::Right(row) => rows.push(row),
            Either::Left(_end) => last = std::mem::take(&mut rows),
        }
    }
    Ok(last)
}

type PostgresQuery = sqlx::query::Query<'static, Postgres, PgArguments>;

fn query(Statement { text, values }: Statement) -> PostgresQuery {
    let query = match text {
        Cow::Borrowed(text) => sqlx::query(text),
        // Put together from constants: input is in `values` only.
        Cow::Owned(text) => sqlx::query(AssertSqlSafe(text)),
    };
    values.into_iter().fold(query, |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Integer(number) => query.bind(number),
        Value::Bool(flag) => query.bind(flag),
        // sqlx binds owned bytes only as `Vec<u8>`.
        Value::Bytes(bytes) => query.bind(bytes.map(Vec::from)),
    })
}

/// Whether the connection can be used after this error.
fn keeps_connection(error: &(dyn DatabaseError + 'static)) -> bool {
    let error = error.try_downcast_ref::<PgDatabaseError>();
    error.is_some_and(|error| !matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

pub(super) fn map_error(error: sqlx::Error) -> StoreError {
    let fault = error.as_database_error().and_then(|error| match error.code()?.as_ref() {
        DISK_FULL => Some(DiskFault::Full),
        IO_ERROR => Some(DiskFault::Failing),
        _ => None,
    });
    if let Some(fault) = fault {
        return StoreError::Unavailable(Box::new(DiskError::new(fault, cause(&error))));
    }
    let fault = error.as_database_error().map_or(DatabaseFault::Other, |error| match error.kind() {
        ErrorKind::UniqueViolation => DatabaseFault::NotUnique,
        ErrorKind::ForeignKeyViolation => DatabaseFault::MissingReference,
        ErrorKind::NotNullViolation | ErrorKind::CheckViolation => DatabaseFault::Corrupt,
        _ if is_corruption(error) => DatabaseFault::Corrupt,
        _ => DatabaseFault::Other,
    });
    store_error(fault, cause(&error))
}

fn is_corruption(error: &dyn DatabaseError) -> bool {
    error.code().is_some_and(|code| CORRUPT_CLASSES.iter().any(|class| code.starts_with(class)))
}

/// What the database or the network reports, without the words that the driver puts around it.
fn cause(error: &sqlx::Error) -> String {
    use sqlx::Error::{ColumnDecode, Configuration, Database, Decode, Io, Protocol, Tls};
    match error {
        Database(database) => database.message().to_owned(),
        Io(error) => error.to_string(),
        Tls(error) => format!("no secure connection: {error}"),
        Protocol(why) => format!("an answer of the database cannot be understood: {why}"),
        Configuration(why) => why.to_string(),
        ColumnDecode { index, source } => format!("the column {index} cannot be read: {source}"),
        Decode(source) => format!("a value cannot be read: {source}"),
        other => other.to_string(),
    }
}

impl Columns for PgRow {
    fn text(&self, column: &str) -> StoreResult<Option<String>> {
        self.try_get(column).map_err(|_| corrupt_column(column))
    }

    fn int(&self, column: &str) -> StoreResult<Option<i64>> {
        self.try_get(column).map_err(|_| corrupt_column(column))
    }

    fn bool(&self, column: &str) -> StoreResult<Option<bool>> {
        self.try_get(column).map_err(|_| corrupt_column(column))
    }

    fn bytes(&self, column: &str) -> StoreResult<Option<Vec<u8>>> {
        self.try_get(column).map_err(|_| corrupt_column(column))
    }
}
