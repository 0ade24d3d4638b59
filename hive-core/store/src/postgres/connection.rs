//! One connection to PostgreSQL, which may be lost at any time.

use std::borrow::Cow;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgArguments, PgConnection, PgDatabaseError, PgRow, PgSeverity};
use sqlx::{AssertSqlSafe, Either, Executor, Postgres, raw_sql};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::DIALECT;
use crate::sql::{self, Connection, Dialect, Row, Statement, Value};
use crate::{DiskError, DiskFault, StoreError, StoreResult};

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Classes of SQLSTATE that mean that the tables are not as we left them: data that cannot be, constraints, syntax and names,
/// files of the database.
const DAMAGE: [&str; 4] = ["22", "23", "42", "XX"];
/// The SQLSTATE of a disk without room.
const DISK_FULL: &str = "53100";
/// The SQLSTATE of a disk that fails.
const IO_ERROR: &str = "58030";

#[derive(Debug)]
pub(super) struct PostgresConnection {
    inner: PgConnection,
    patience: Duration,
    is_lost: bool,
}

impl PostgresConnection {
    pub(super) fn new(inner: PgConnection, patience: Duration) -> Self {
        Self { inner, patience, is_lost: false }
    }

    /// Begins a statement. It stays lost where nobody waits for the end: an answer that comes late would be taken for the next
    /// statement's.
    fn enter(&mut self) -> StoreResult<()> {
        if self.is_lost {
            return Err(StoreError::Unavailable("the connection to the database was lost".into()));
        }
        self.is_lost = true;
        Ok(())
    }

    fn leave<T>(&mut self, done: Result<sqlx::Result<T>, Elapsed>) -> StoreResult<T> {
        let result = done.map_err(|elapsed| StoreError::Unavailable(Box::new(elapsed)))?;
        // What the database answers it is alive to say, unless these are its last words.
        self.is_lost = match &result {
            Ok(_) => false,
            Err(error) => !error.as_database_error().is_some_and(is_survived),
        };
        result.map_err(told)
    }
}

#[async_trait]
impl Connection for PostgresConnection {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    async fn execute(&mut self, statement: Statement) -> StoreResult<u64> {
        self.enter()?;
        let done = timeout(self.patience, Executor::execute(&mut self.inner, query(statement))).await;
        Ok(self.leave(done)?.rows_affected())
    }

    async fn fetch_all(&mut self, statement: Statement) -> StoreResult<Vec<Row>> {
        self.enter()?;
        let done = timeout(self.patience, Executor::fetch_all(&mut self.inner, query(statement))).await;
        Ok(self.leave(done)?.into_iter().map(Row::new).collect())
    }

    fn fetch(&mut self, statement: Statement) -> BoxStream<'_, StoreResult<Row>> {
        if let Err(error) = self.enter() {
            return futures_util::stream::once(async { Err(error) }).boxed();
        }
        let (inner, is_lost) = (&mut self.inner, &mut self.is_lost);
        let rows = Executor::fetch(inner, query(statement)).map_ok(Row::new).map_err(told);
        // Used again only where all rows were taken.
        let end = futures_util::stream::poll_fn(move |_| {
            *is_lost = false;
            std::task::Poll::Ready(None)
        });
        rows.chain(end).boxed()
    }

    async fn script(&mut self, text: &'static str) -> StoreResult<Vec<Row>> {
        self.enter()?;
        let done = timeout(self.patience, rows_of_last(&mut self.inner, text)).await;
        Ok(self.leave(done)?.into_iter().map(Row::new).collect())
    }

    fn is_lost(&self) -> bool {
        self.is_lost
    }

    async fn close(self: Box<Self>) -> StoreResult<()> {
        match timeout(GOODBYE, sqlx::Connection::close(self.inner)).await {
            Ok(closed) => closed.map_err(told),
            Err(elapsed) => Err(StoreError::Unavailable(Box::new(elapsed))),
        }
    }
}

/// Runs several statements in one trip, by the simple protocol.
async fn rows_of_last(connection: &mut PgConnection, text: &'static str) -> sqlx::Result<Vec<PgRow>> {
    let (mut rows, mut last) = (Vec::new(), Vec::new());
    let mut said = raw_sql(text).fetch_many(connection);
    while let Some(said) = said.try_next().await? {
        match said {
            Either::Right(row) => rows.push(row),
            Either::Left(_end) => last = std::mem::take(&mut rows),
        }
    }
    Ok(last)
}

type Query = sqlx::query::Query<'static, Postgres, PgArguments>;

fn query(Statement { text, values }: Statement) -> Query {
    let query = match text {
        Cow::Borrowed(text) => sqlx::query(text),
        // Put together from constants; what callers say is in `values` alone.
        Cow::Owned(text) => sqlx::query(AssertSqlSafe(text)),
    };
    values.into_iter().fold(query, |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Number(number) => query.bind(number),
        Value::Flag(flag) => query.bind(flag),
        Value::Bytes(bytes) => query.bind(bytes.map(Vec::from)),
    })
}

/// Whether a connection can be used after this error.
fn is_survived(error: &(dyn DatabaseError + 'static)) -> bool {
    let error = error.try_downcast_ref::<PgDatabaseError>();
    error.is_some_and(|error| !matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

pub(super) fn told(error: sqlx::Error) -> StoreError {
    let fault = error.as_database_error().and_then(|error| match error.code()?.as_ref() {
        DISK_FULL => Some(DiskFault::Full),
        IO_ERROR => Some(DiskFault::Failing),
        _ => None,
    });
    if let Some(fault) = fault {
        return StoreError::Unavailable(Box::new(DiskError::new(fault, error)));
    }
    sql::told(error, |error| error.code().is_some_and(|code| DAMAGE.iter().any(|class| code.starts_with(class))))
}
