//! The growth of the database's layout. Migrations are only ever added.

use sqlx::{Executor, Row, SqliteConnection, query, raw_sql};

use crate::store::{StoreError, StoreResult};

/// Each migration's text; its version is its place, from 1.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/sqlite/0001_foundation.sql"),
    include_str!("../../../migrations/sqlite/0002_sessions.sql"),
];

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER NOT NULL PRIMARY KEY)";

/// Brings the database up to date. Of several processes that start at once one does it and the others wait.
pub(super) async fn run(connection: &mut SqliteConnection) -> StoreResult<()> {
    connection.execute("BEGIN IMMEDIATE").await?;
    let result = apply(connection).await;
    let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = connection.execute(end).await;
    result?;
    ended?;
    Ok(())
}

async fn apply(connection: &mut SqliteConnection) -> StoreResult<()> {
    connection.execute(VERSIONS).await?;
    let row = connection.fetch_one("SELECT COALESCE(MAX(version), 0) FROM schema_migrations").await?;
    let version: i64 = row.try_get(0)?;
    let newest = MIGRATIONS.len() as i64;
    if version > newest {
        return Err(StoreError::Damaged(format!(
            "the database has version {version}, this program knows up to {newest}; a newer program wrote it"
        )));
    }
    for (migration, version) in MIGRATIONS.iter().zip(1i64..).filter(|(_, number)| *number > version) {
        raw_sql(*migration).execute(&mut *connection).await?;
        connection.execute(query("INSERT INTO schema_migrations (version) VALUES ($1)").bind(version)).await?;
    }
    Ok(())
}
