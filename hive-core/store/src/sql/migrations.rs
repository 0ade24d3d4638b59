//! Migrations of the database schema. They are only ever added, with the same numbers for every database.

use super::{Connection, Statement};
use crate::{StoreError, StoreResult};

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT NOT NULL PRIMARY KEY)";
const SELECT_VERSION: &str = "SELECT COALESCE(MAX(version), 0) AS version FROM schema_migrations";
const INSERT_VERSION: &str = "INSERT INTO schema_migrations (version) VALUES ($1)";

/// The version of a schema: the number of its last migration.
pub(crate) struct Version(i64);

/// Runs the missing migrations. Of several processes that start at once, one runs them and the others wait.
pub(crate) async fn run(connection: &mut dyn Connection) -> StoreResult<()> {
    let begin = connection.dialect().begin;
    connection.script(begin).await?;
    // DDL is part of the transaction in both databases: a migration is applied completely or not at all.
    let result = apply(connection).await;
    let ended = connection.script(if result.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    result?;
    ended?;
    Ok(())
}

async fn apply(connection: &mut dyn Connection) -> StoreResult<()> {
    let (Version(current), Version(newest)) = (Version::of(connection).await?, Version::newest(connection));
    if current > newest {
        return Err(StoreError::Corrupt(format!(
            "the database has version {current}, this program knows up to {newest}; a newer program wrote it"
        )));
    }
    Version(current).migrate_to(connection, newest).await
}

impl Version {
    /// The version of this program.
    pub(crate) fn newest(connection: &dyn Connection) -> Self {
        Self(connection.dialect().migrations.len() as i64)
    }

    /// The version of a database; 0 for an empty one. `Unsupported` if there is no migration from its schema.
    pub(crate) async fn of(connection: &mut dyn Connection) -> StoreResult<Self> {
        let names = Statement::new(connection.dialect().table_names);
        let names: Vec<String> =
            connection.fetch_all(names).await?.iter().map(|row| row.text("name")).collect::<StoreResult<_>>()?;
        let has = |table: &str| names.iter().any(|name| name == table);
        if !has("schema_migrations") {
            return Ok(Self(0));
        }
        // Schemas of before the first release have version numbers too, and no table `hive`.
        if !has("hive") {
            return Err(StoreError::Unsupported);
        }
        let rows = connection.fetch_all(Statement::new(SELECT_VERSION)).await?;
        rows.first().map_or(Ok(0), |row| row.int("version")).map(Self)
    }

    pub(crate) fn number(&self) -> i64 {
        self.0
    }

    /// Runs the migrations after this version, up to and including `to`.
    pub(crate) async fn migrate_to(self, connection: &mut dyn Connection, to: i64) -> StoreResult<()> {
        // The table may be missing in an empty database.
        connection.script(CREATE_TABLE).await?;
        let migrations = connection.dialect().migrations.iter().zip(1i64..);
        for (migration, version) in migrations.filter(|(_, number)| (self.0 + 1..=to).contains(number)) {
            connection.script(migration).await?;
            connection.execute(Statement::new(INSERT_VERSION).bind(version)).await?;
        }
        Ok(())
    }
}

#[cfg(all(feature = "sqlite", feature = "postgres"))]
#[cfg(test)]
mod tests {
    use crate::{postgres, sqlite};

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
