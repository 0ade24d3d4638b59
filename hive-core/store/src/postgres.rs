//! The store in a PostgreSQL database.
//!
//! Several processes may use one database: each write transaction begins with an advisory lock of the database, so that the
//! audit chain has one head. A lost connection is replaced when one is next needed. Every statement has a timeout, and a
//! statement whose outcome is unknown is reported as an error.

mod address;
mod connection;
pub mod telemetry;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::ConnectOptions;
use tokio::time::timeout;

use self::connection::{PostgresConnection, map_error};
use crate::sql::{self, Connection, Connector, Dialect, Pool, Schema, SqlStore};
use crate::{BoxError, StoreError, StoreResult};

pub use address::{InvalidAddress, PostgresAddress};

/// Connections for reads.
const READERS: usize = 8;
/// The timeout of a new connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The timeout of a statement. It includes the wait for other writers.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(6);
/// The timeout of a statement of a migration or a backup.
const MIGRATION_TIMEOUT: Duration = Duration::from_hours(1);

/// Runs first on every connection. The database cancels a statement a little before our own timeout, which would lose the
/// connection. It ends idle transactions, so that a writer that has disappeared does not keep the lock. A commit waits for the
/// disk, even if the default of the database is not to.
const SESSION_SETUP_SQL: &str = "SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '10s'; \
     SELECT set_config('synchronous_commit', 'local', false) WHERE current_setting('synchronous_commit') = 'off'";
const MIGRATION_SETUP_SQL: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";

/// The key of the writers' advisory lock is "hive" in ASCII.
macro_rules! begin {
    () => {
        "BEGIN; SELECT pg_advisory_xact_lock(1751742053)"
    };
}

pub(super) static DIALECT: Dialect = Dialect {
    begin: begin!(),
    // Separate statements: each has its own snapshot, so that the head is read as it is when the lock was granted. A plan that is
    // kept from when the tables were empty would read them from end to end.
    begin_at_head: concat!(
        begin!(),
        "; SET LOCAL plan_cache_mode = force_custom_plan; SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1"
    ),
    begin_reading: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    numbers_many_rows: true,
    aborts_on_error: true,
    after_failed_commit: None,
    // Autovacuum does it.
    reclaim_space: None,
    table_names: "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1",
    column_names: "SELECT column_name::text AS name, data_type::text AS kind FROM information_schema.columns \
         WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position",
    schema: &Schema {
        versions: "schema_migrations",
        marker: "hive",
        migrations: &[
            include_str!("../migrations/postgres/0001_foundation.sql"),
            include_str!("../migrations/postgres/0002_reads.sql"),
            include_str!("../migrations/postgres/0003_retention.sql"),
            include_str!("../migrations/postgres/0004_telemetry.sql"),
            include_str!("../migrations/postgres/0005_access.sql"),
            include_str!("../migrations/postgres/0006_groups.sql"),
            include_str!("../migrations/postgres/0007_stored_answers.sql"),
            include_str!("../migrations/postgres/0008_lists.sql"),
            include_str!("../migrations/postgres/0009_tenancy.sql"),
        ],
    },
};

/// Opens the database, and sets up its tables where they are missing.
pub async fn open(address: &PostgresAddress) -> StoreResult<SqlStore> {
    let mut first = connect_to(address).await?;
    sql::migrate(&mut *first).await?;
    // The pools make their own connections, with other timeouts.
    first.close().await?;
    let connector = Arc::new(PostgresConnector::of_hive(address, STATEMENT_TIMEOUT));
    Ok(SqlStore::new(Pool::with_connector(connector.clone(), READERS), Pool::with_connector(connector, 1)))
}

/// Opens a connection without migrations, with long timeouts.
pub(super) async fn connect_to(address: &PostgresAddress) -> StoreResult<Box<dyn Connection>> {
    connect_patiently(PostgresConnector::of_hive(address, MIGRATION_TIMEOUT)).await
}

/// Opens a connection for migrations and backups.
async fn connect_patiently(connector: PostgresConnector) -> StoreResult<Box<dyn Connection>> {
    let mut connection = connector.connect().await?;
    check_encoding(&mut *connection).await?;
    connection.script(MIGRATION_SETUP_SQL).await?;
    Ok(connection)
}

/// Refuses a database with an encoding that cannot store every text.
async fn check_encoding(connection: &mut dyn Connection) -> StoreResult<()> {
    let rows = connection.script("SELECT current_setting('server_encoding') AS encoding").await?;
    let encoding = rows.first().map_or(Ok(String::new()), |row| row.text("encoding"))?;
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(StoreError::Corrupt(format!("the database must have the encoding UTF8, and has {encoding}")))
}

/// The error of a connection attempt. It names the database and not the password.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to the database {address}")]
struct ConnectError {
    address: PostgresAddress,
    #[source]
    source: BoxError,
}

/// Opens connections to one database.
#[derive(Debug)]
struct PostgresConnector {
    address: PostgresAddress,
    dialect: &'static Dialect,
    /// Runs first on every connection.
    setup: &'static str,
    statement_timeout: Duration,
}

impl PostgresConnector {
    /// Opens connections to the tables of the hive.
    fn of_hive(address: &PostgresAddress, statement_timeout: Duration) -> Self {
        Self { address: address.clone(), dialect: &DIALECT, setup: SESSION_SETUP_SQL, statement_timeout }
    }

    fn failed(&self, source: impl Into<BoxError>) -> StoreError {
        StoreError::Unavailable(Box::new(ConnectError { address: self.address.clone(), source: source.into() }))
    }
}

#[async_trait]
impl Connector for PostgresConnector {
    async fn connect(&self) -> StoreResult<Box<dyn Connection>> {
        let connecting = async {
            let connection = self.address.options().connect().await.map_err(map_error)?;
            let mut connection = PostgresConnection::new(connection, self.dialect, self.statement_timeout);
            connection.script(self.setup).await?;
            StoreResult::Ok(connection)
        };
        match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(connection)) => Ok(Box::new(connection)),
            // The error names the database, so that a log line says which one.
            Ok(Err(StoreError::Unavailable(cause))) => Err(self.failed(cause)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.failed(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()))),
        }
    }
}

#[cfg(test)]
mod tests;
