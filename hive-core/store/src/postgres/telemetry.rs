//! Telemetry in a PostgreSQL database: tables beside those of the hive. Writers do not take the lock of the hive's writers, and
//! a commit does not wait for the disk.

use std::sync::Arc;
use std::time::Duration;

use super::{MIGRATION_TIMEOUT, PostgresAddress, PostgresConnector, STATEMENT_TIMEOUT, connect_patiently};
use crate::StoreResult;
use crate::sql::{self, Connection, Dialect, Pool, Schema, SqlStore, SqlTelemetryStore};

/// Connections for reads.
const READERS: usize = 2;

/// As for the other connections. What the database loses in a crash is some seconds of telemetry.
const SESSION_SETUP_SQL: &str = "SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '10s'; \
     SET synchronous_commit = off";

pub(crate) static DIALECT: Dialect = Dialect {
    // Migrations of several processes wait for each other.
    begin: super::DIALECT.begin,
    // There is no audit chain, and therefore no head and no lock.
    begin_at_head: "BEGIN",
    begin_reading: super::DIALECT.begin_reading,
    numbers_many_rows: true,
    aborts_on_error: true,
    after_failed_commit: None,
    reclaim_space: None,
    table_names: super::DIALECT.table_names,
    column_names: super::DIALECT.column_names,
    schema: &Schema {
        versions: "telemetry_migrations",
        marker: "satellite_heartbeats",
        migrations: &[include_str!("../../migrations/telemetry/postgres/0001_heartbeats.sql")],
    },
};

/// Opens the telemetry of a hive, and sets up its tables where they are missing.
pub async fn open(address: &PostgresAddress) -> StoreResult<SqlTelemetryStore> {
    let mut first = connect_to(address).await?;
    sql::migrate(&mut *first).await?;
    first.close().await?;
    let connector = Arc::new(connector(address, STATEMENT_TIMEOUT));
    let (readers, writer) = (Pool::with_connector(connector.clone(), READERS), Pool::with_connector(connector, 1));
    Ok(SqlTelemetryStore::new(SqlStore::new(readers, writer), None))
}

/// Opens a connection without migrations, with long timeouts.
pub(crate) async fn connect_to(address: &PostgresAddress) -> StoreResult<Box<dyn Connection>> {
    connect_patiently(connector(address, MIGRATION_TIMEOUT)).await
}

fn connector(address: &PostgresAddress, statement_timeout: Duration) -> PostgresConnector {
    PostgresConnector { address: address.clone(), dialect: &DIALECT, setup: SESSION_SETUP_SQL, statement_timeout }
}
