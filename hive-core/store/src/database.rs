//! Which database a hive keeps what must last in.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use super::{Store, StoreResult};

/// A database, named and not opened yet: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/NAME`.
///
/// ```
/// use hive_store::Database;
///
/// let database: Database = "sqlite:/var/lib/hive/hive.db".parse()?;
/// # Ok::<(), hive_store::InvalidDatabase>(())
/// ```
#[derive(Debug, Clone)]
pub struct Database(Kind);

#[derive(Debug, Clone)]
enum Kind {
    #[cfg(feature = "sqlite")]
    File(std::path::PathBuf),
    #[cfg(feature = "sqlite")]
    Memory,
    #[cfg(feature = "postgres")]
    Postgres(Box<super::postgres::PostgresAddress>),
}

/// Why a text names no database. It never says what was in it: there may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabase {
    /// It is neither of the kinds there are.
    #[error("the database must be sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/NAME")]
    Unknown,
    /// There is no path behind `sqlite:`.
    #[error("the database must be sqlite:PATH with the path of a file")]
    NoFile,
    /// It is of a kind this program was built without.
    #[error("this program was built without {0}")]
    NotBuilt(&'static str),
    /// It is no address of a PostgreSQL database.
    #[cfg(feature = "postgres")]
    #[error("the database {0}")]
    Address(super::postgres::InvalidAddress),
}

impl Database {
    /// The SQLite file at this path, made where it is missing.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(path: impl Into<std::path::PathBuf>) -> Self {
        Self(Kind::File(path.into()))
    }

    /// SQLite in memory, gone with the process.
    #[cfg(feature = "sqlite")]
    pub fn in_memory() -> Self {
        Self(Kind::Memory)
    }

    /// Where nobody says it: `hive.db` in the data directory, or memory without one.
    ///
    /// # Errors
    /// Where hive-store is built without SQLite.
    pub fn default_in(data_dir: Option<&Path>) -> Result<Self, InvalidDatabase> {
        #[cfg(feature = "sqlite")]
        return Ok(data_dir.map_or_else(Self::in_memory, |dir| Self::sqlite(dir.join("hive.db"))));
        #[cfg(not(feature = "sqlite"))]
        return Err(data_dir.map_or(InvalidDatabase::NotBuilt("SQLite"), |_| InvalidDatabase::NotBuilt("SQLite")));
    }

    /// Returns the directory of the file that it is, where it is one.
    pub fn dir(&self) -> Option<&Path> {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Kind::File(path) => path.parent().map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir }),
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            _ => None,
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            none => match *none {},
        }
    }

    /// Opens it, and sets up its tables where they are missing.
    pub async fn open(&self) -> StoreResult<Arc<dyn Store>> {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Kind::File(path) => Ok(Arc::new(super::sqlite::open(path).await?)),
            #[cfg(feature = "sqlite")]
            Kind::Memory => Ok(Arc::new(super::sqlite::in_memory().await?)),
            #[cfg(feature = "postgres")]
            Kind::Postgres(address) => Ok(Arc::new(super::postgres::open(address).await?)),
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            none => match *none {},
        }
    }

    /// Looks through all of it for damage, also beside a server that uses it; what is wrong, one line each. Of PostgreSQL
    /// nothing is found: that is its own administrator's to look after.
    ///
    /// # Errors
    /// Where it cannot be read at all.
    pub async fn check(&self) -> StoreResult<Vec<String>> {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Kind::File(path) => super::sqlite::check(path).await,
            _ => Ok(Vec::new()),
        }
    }

    /// A connection to it as it is. `is_new` makes a file that is missing.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[cfg_attr(not(feature = "sqlite"), expect(unused_variables, reason = "only files are made"))]
    pub(super) async fn connect(&self, is_new: bool) -> StoreResult<Box<dyn super::sql::Connection>> {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Kind::File(path) => super::sqlite::connect_to(path, is_new).await,
            #[cfg(feature = "sqlite")]
            Kind::Memory => Err(super::StoreError::Unavailable("a hive in memory cannot be copied".into())),
            #[cfg(feature = "postgres")]
            Kind::Postgres(address) => super::postgres::connect_to(address).await,
        }
    }
}

impl FromStr for Database {
    type Err = InvalidDatabase;

    fn from_str(text: &str) -> Result<Self, InvalidDatabase> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            return sqlite(path.strip_prefix("//").unwrap_or(path));
        }
        if text.starts_with("postgres:") || text.starts_with("postgresql:") {
            return postgres(text);
        }
        Err(InvalidDatabase::Unknown)
    }
}

#[cfg(feature = "sqlite")]
fn sqlite(path: &str) -> Result<Database, InvalidDatabase> {
    let is_file = !path.is_empty() && !path.starts_with(':');
    is_file.then(|| Database::sqlite(path)).ok_or(InvalidDatabase::NoFile)
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(_path: &str) -> Result<Database, InvalidDatabase> {
    Err(InvalidDatabase::NotBuilt("SQLite"))
}

#[cfg(feature = "postgres")]
fn postgres(url: &str) -> Result<Database, InvalidDatabase> {
    url.parse().map(|address| Database(Kind::Postgres(Box::new(address)))).map_err(InvalidDatabase::Address)
}

#[cfg(not(feature = "postgres"))]
fn postgres(_url: &str) -> Result<Database, InvalidDatabase> {
    Err(InvalidDatabase::NotBuilt("PostgreSQL"))
}
