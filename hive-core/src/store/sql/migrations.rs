//! The growth of the database's layout. Migrations are only ever added, with the same numbers for every database.

use super::{Connection, Statement};
use crate::store::{StoreError, StoreResult};

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT NOT NULL PRIMARY KEY)";
const NEWEST: &str = "SELECT COALESCE(MAX(version), 0) AS version FROM schema_migrations";
const NOTE: &str = "INSERT INTO schema_migrations (version) VALUES ($1)";

/// Brings the database up to date. Of several processes that start at once one does it and the others wait.
pub(in crate::store) async fn run(connection: &mut dyn Connection) -> StoreResult<()> {
    let begin = connection.dialect().begin;
    connection.script(begin).await?;
    let result = apply(connection).await;
    let ended = connection.script(if result.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    result?;
    ended?;
    Ok(())
}

async fn apply(connection: &mut dyn Connection) -> StoreResult<()> {
    connection.script(VERSIONS).await?;
    let rows = connection.fetch_all(Statement::new(NEWEST)).await?;
    let version: i64 = rows.first().map_or(Ok(0), |row| row.int("version"))?;
    let migrations = connection.dialect().migrations;
    let newest = migrations.len() as i64;
    if version > newest {
        return Err(StoreError::Damaged(format!(
            "the database has version {version}, this program knows up to {newest}; a newer program wrote it"
        )));
    }
    for (migration, version) in migrations.iter().zip(1i64..).filter(|(_, number)| *number > version) {
        connection.script(migration).await?;
        connection.execute(Statement::new(NOTE).bind(version)).await?;
    }
    Ok(())
}

#[cfg(all(test, feature = "sqlite", feature = "postgres"))]
mod tests {
    use crate::store::{postgres, sqlite};

    #[test]
    fn every_database_has_the_same_migrations() {
        let names = |database| {
            let dir = format!("{}/migrations/{database}", env!("CARGO_MANIFEST_DIR"));
            let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names("sqlite"), names("postgres"));
        let count = names("sqlite").len();
        assert_eq!((sqlite::DIALECT.migrations.len(), postgres::DIALECT.migrations.len()), (count, count));
    }
}
