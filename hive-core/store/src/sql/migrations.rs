//! The growth of the database's layout. Migrations are only ever added, with the same numbers for every database.

use super::{Connection, Statement};
use crate::{StoreError, StoreResult};

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (version BIGINT NOT NULL PRIMARY KEY)";
const NEWEST: &str = "SELECT COALESCE(MAX(version), 0) AS version FROM schema_migrations";
const NOTE: &str = "INSERT INTO schema_migrations (version) VALUES ($1)";

/// How far the layout of a database has grown.
pub(crate) struct Version(i64);

/// Brings the database up to date. Of several processes that start at once one does it and the others wait.
pub(crate) async fn run(connection: &mut dyn Connection) -> StoreResult<()> {
    let begin = connection.dialect().begin;
    connection.script(begin).await?;
    let result = apply(connection).await;
    let ended = connection.script(if result.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    result?;
    ended?;
    Ok(())
}

async fn apply(connection: &mut dyn Connection) -> StoreResult<()> {
    let (Version(there), Version(newest)) = (Version::of(connection).await?, Version::newest(connection));
    if there > newest {
        return Err(StoreError::Damaged(format!(
            "the database has version {there}, this program knows up to {newest}; a newer program wrote it"
        )));
    }
    Version(there).grow(connection, newest).await
}

impl Version {
    /// The one this program knows.
    pub(crate) fn newest(connection: &dyn Connection) -> Self {
        Self(connection.dialect().migrations.len() as i64)
    }

    /// The one a database has; 0 where there is nothing in it. `Unsupported` where its layout is not kept any more.
    pub(crate) async fn of(connection: &mut dyn Connection) -> StoreResult<Self> {
        let names = Statement::new(connection.dialect().table_names);
        let names: Vec<String> =
            connection.fetch_all(names).await?.iter().map(|row| row.text("name")).collect::<StoreResult<_>>()?;
        let has = |table: &str| names.iter().any(|name| name == table);
        if !has("schema_migrations") {
            return Ok(Self(0));
        }
        // Layouts before the first one that is kept counted from 1 as well.
        if !has("hive") {
            return Err(StoreError::Unsupported);
        }
        let rows = connection.fetch_all(Statement::new(NEWEST)).await?;
        rows.first().map_or(Ok(0), |row| row.int("version")).map(Self)
    }

    pub(crate) fn number(&self) -> i64 {
        self.0
    }

    /// Runs the migrations behind this one, up to another.
    pub(crate) async fn grow(self, connection: &mut dyn Connection, to: i64) -> StoreResult<()> {
        connection.script(VERSIONS).await?;
        let migrations = connection.dialect().migrations.iter().zip(1i64..);
        for (migration, version) in migrations.filter(|(_, number)| (self.0 + 1..=to).contains(number)) {
            connection.script(migration).await?;
            connection.execute(Statement::new(NOTE).bind(version)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(all(feature = "sqlite", feature = "postgres"))]
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
