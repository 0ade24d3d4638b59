//! Migrations of the database schema. They are only ever added, with the same numbers for every database.

use super::{Connection, Statement};
use crate::{StoreError, StoreResult};

/// The tables of the hive, or those of telemetry. PostgreSQL has both in one database.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The table that has the numbers of the migrations that were run.
    pub(crate) versions: &'static str,
    /// A table of every version.
    pub(crate) marker: &'static str,
    /// The text of each migration. Its version is its index, counted from 1.
    pub(crate) migrations: &'static [&'static str],
}

impl Schema {
    fn create_versions(&self) -> Statement {
        self.statement("CREATE TABLE IF NOT EXISTS", "(version BIGINT NOT NULL PRIMARY KEY)")
    }

    fn select_version(&self) -> Statement {
        self.statement("SELECT COALESCE(MAX(version), 0) AS version FROM", "")
    }

    fn insert_version(&self, version: i64) -> Statement {
        self.statement("INSERT INTO", "(version) VALUES ($1)").bind(version)
    }

    fn statement(&self, before: &str, after: &str) -> Statement {
        Statement { text: format!("{before} {} {after}", self.versions).into(), values: Vec::new() }
    }
}

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
        Self(connection.dialect().schema.migrations.len() as i64)
    }

    /// The version of a database; 0 for an empty one. `Unsupported` if there is no migration from its schema.
    pub(crate) async fn of(connection: &mut dyn Connection) -> StoreResult<Self> {
        let schema = connection.dialect().schema;
        let names = Statement::new(connection.dialect().table_names);
        let names: Vec<String> =
            connection.fetch_all(names).await?.iter().map(|row| row.text("name")).collect::<StoreResult<_>>()?;
        let has = |table: &str| names.iter().any(|name| name == table);
        if !has(schema.versions) {
            return Ok(Self(0));
        }
        // Schemas of before the first release have version numbers too, and no table `hive`.
        if !has(schema.marker) {
            return Err(StoreError::Unsupported);
        }
        let rows = connection.fetch_all(schema.select_version()).await?;
        rows.first().map_or(Ok(0), |row| row.int("version")).map(Self)
    }

    pub(crate) fn number(&self) -> i64 {
        self.0
    }

    /// Runs the migrations after this version, up to and including `to`.
    pub(crate) async fn migrate_to(self, connection: &mut dyn Connection, to: i64) -> StoreResult<()> {
        let schema = connection.dialect().schema;
        // The table may be missing in an empty database.
        connection.execute(schema.create_versions()).await?;
        let migrations = schema.migrations.iter().zip(1i64..);
        for (migration, version) in migrations.filter(|(_, number)| (self.0 + 1..=to).contains(number)) {
            connection.script(migration).await?;
            connection.execute(schema.insert_version(version)).await?;
        }
        Ok(())
    }
}

#[cfg(all(feature = "sqlite", feature = "postgres"))]
#[cfg(test)]
mod tests {
    use super::Schema;
    use crate::{postgres, sqlite};

    #[test]
    fn every_database_has_the_same_migrations() {
        let check = |folder: &str, schemas: [&Schema; 2]| {
            let names = |database| {
                let dir = format!("{}/migrations/{folder}{database}", env!("CARGO_MANIFEST_DIR"));
                let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name()).collect();
                names.sort();
                names
            };
            assert_eq!(names("sqlite"), names("postgres"));
            assert_eq!(schemas.map(|schema| schema.migrations.len()), [names("sqlite").len(); 2]);
        };
        check("", [sqlite::DIALECT.schema, postgres::DIALECT.schema]);
        check("telemetry/", [sqlite::telemetry::DIALECT.schema, postgres::telemetry::DIALECT.schema]);
    }
}
