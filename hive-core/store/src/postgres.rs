//! The store in a PostgreSQL database.
//!
//! Several processes may use one database: each write transaction begins with a lock that is the database's own, so that the
//! audit chain has one head. A connection that is lost is made again when it is next needed. Nobody waits long for a
//! database that does not answer: what is in doubt is an error, never a success.

mod address;
mod connection;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::ConnectOptions;
use tokio::time::timeout;

use self::connection::{PostgresConnection, told};
use super::sql::{self, Connect, Connection, Dialect, Pool, SqlStore};
use super::{StoreError, StoreResult};

pub use address::{InvalidAddress, PostgresAddress};

/// Connections that read at the same time.
const READERS: usize = 8;
/// How long a new connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a statement may take, the wait for other writers included, before the database counts as gone.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long a statement may take that concerns everything: the growth of the layout, a backup.
const MIGRATION_PATIENCE: Duration = Duration::from_hours(1);

/// What every connection is told first. The database gives up a statement a little before we give up the database, and the
/// lock of a writer that is not heard of any more. Acknowledged means on disk, whatever the database's default.
const GREETING: &str = "SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '10s'; \
     SELECT set_config('synchronous_commit', 'local', false) WHERE current_setting('synchronous_commit') = 'off'";
const MIGRATION_GREETING: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";

/// Names the writers' lock among the advisory locks of the database ("hive" in ASCII).
macro_rules! begin {
    () => {
        "BEGIN; SELECT pg_advisory_xact_lock(1751742053)"
    };
}

pub(super) static DIALECT: Dialect = Dialect {
    begin: begin!(),
    // Statements of their own, so that the head is read behind the lock and not as of before it.
    begin_at_head: concat!(begin!(), "; SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1"),
    begin_reading: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    command_insert_and_audit: sql::POSTGRES_COMMAND_INSERT_AND_AUDIT,
    is_spoiled_by_failure: true,
    after_failed_commit: None,
    table_names: "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1",
    column_names: "SELECT column_name::text AS name, data_type::text AS kind FROM information_schema.columns \
         WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position",
    migrations: &[include_str!("../migrations/postgres/0001_foundation.sql")],
};

/// Opens the database, and sets up its tables where they are missing.
pub async fn open(address: &PostgresAddress) -> StoreResult<SqlStore> {
    let mut first = connect_to(address).await?;
    sql::migrate(&mut *first).await?;
    first.close().await?;
    let connect = Arc::new(PostgresConnector { address: address.clone(), patience: PATIENCE });
    Ok(SqlStore::new(Pool::connecting(connect.clone(), READERS), Pool::connecting(connect, 1)))
}

/// A connection to the database as it is, with all the time of the world.
pub(super) async fn connect_to(address: &PostgresAddress) -> StoreResult<Box<dyn Connection>> {
    let connector = PostgresConnector { address: address.clone(), patience: MIGRATION_PATIENCE };
    let mut connection = connector.connect().await?;
    check_encoding(&mut *connection).await?;
    connection.script(MIGRATION_GREETING).await?;
    Ok(connection)
}

/// Text is kept as it is said, which not every database can.
async fn check_encoding(connection: &mut dyn Connection) -> StoreResult<()> {
    let rows = connection.script("SELECT current_setting('server_encoding') AS encoding").await?;
    let encoding = rows.first().map_or(Ok(String::new()), |row| row.text("encoding"))?;
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(StoreError::Damaged(format!("the database must have the encoding UTF8, and has {encoding}")))
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to the database {address}")]
struct NoConnection {
    address: PostgresAddress,
    #[source]
    source: crate::BoxError,
}

/// Makes connections to one database.
#[derive(Debug)]
struct PostgresConnector {
    address: PostgresAddress,
    /// How long a statement may take.
    patience: Duration,
}

impl PostgresConnector {
    fn failed(&self, source: impl Into<crate::BoxError>) -> StoreError {
        StoreError::Unavailable(Box::new(NoConnection { address: self.address.clone(), source: source.into() }))
    }
}

#[async_trait]
impl Connect for PostgresConnector {
    async fn connect(&self) -> StoreResult<Box<dyn Connection>> {
        let connecting = async {
            let connection = self.address.options().connect().await.map_err(told)?;
            let mut connection = PostgresConnection::new(connection, self.patience);
            connection.script(GREETING).await?;
            StoreResult::Ok(connection)
        };
        match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(connection)) => Ok(Box::new(connection)),
            Ok(Err(StoreError::Unavailable(cause))) => Err(self.failed(cause)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.failed(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))),
        }
    }
}

#[cfg(test)]
mod tests;
