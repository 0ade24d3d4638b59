//! The address of a database.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Store, StoreResult, TelemetryStore};

/// The address of a database, which is not opened yet: `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/NAME`.
///
/// ```
/// use hive_store::Database;
///
/// let database: Database = "sqlite:/var/lib/hive/hive.db".parse()?;
/// # Ok::<(), hive_store::InvalidDatabase>(())
/// ```
#[derive(Debug, Clone)]
pub struct Database(Address);

#[derive(Debug, Clone)]
enum Address {
    #[cfg(feature = "sqlite")]
    File(std::path::PathBuf),
    #[cfg(feature = "sqlite")]
    Memory,
    #[cfg(feature = "postgres")]
    Postgres(Box<crate::postgres::PostgresAddress>),
}

/// Why a text is not the address of a database. The message contains nothing of the text, which may have a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabase {
    /// Neither scheme is there.
    #[error("the database must be sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/NAME")]
    Unknown,
    /// There is no path after `sqlite:`.
    #[error("the database must be sqlite:PATH with the path of a file")]
    NoFile,
    /// This program was built without this database.
    #[error("this program was built without {0}")]
    NotBuilt(&'static str),
    /// It is not a valid PostgreSQL address.
    #[cfg(feature = "postgres")]
    #[error("the database {0}")]
    Address(crate::postgres::InvalidAddress),
}

impl Database {
    /// An SQLite file. It is created if it is missing.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(path: impl Into<std::path::PathBuf>) -> Self {
        Self(Address::File(path.into()))
    }

    /// SQLite in memory. It is deleted with the process.
    #[cfg(feature = "sqlite")]
    pub fn in_memory() -> Self {
        Self(Address::Memory)
    }

    /// The default: `hive.db` in the data directory, or in memory without one.
    ///
    /// # Errors
    /// If hive-store was built without SQLite.
    pub fn default_in(data_dir: Option<&Path>) -> Result<Self, InvalidDatabase> {
        #[cfg(feature = "sqlite")]
        return Ok(data_dir.map_or_else(Self::in_memory, |dir| Self::sqlite(dir.join("hive.db"))));
        #[cfg(not(feature = "sqlite"))]
        return Err(data_dir.map_or(InvalidDatabase::NotBuilt("SQLite"), |_| InvalidDatabase::NotBuilt("SQLite")));
    }

    /// Returns the directory of an SQLite file.
    pub fn dir(&self) -> Option<&Path> {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Address::File(path) => {
                path.parent().map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir })
            }
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            _ => None,
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            none => match *none {},
        }
    }

    /// Opens it, and runs the missing migrations.
    pub async fn open(&self) -> StoreResult<Arc<dyn Store>> {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Address::File(path) => Ok(Arc::new(crate::sqlite::open(path).await?)),
            #[cfg(feature = "sqlite")]
            Address::Memory => Ok(Arc::new(crate::sqlite::in_memory().await?)),
            #[cfg(feature = "postgres")]
            Address::Postgres(address) => Ok(Arc::new(crate::postgres::open(address).await?)),
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            none => match *none {},
        }
    }

    /// Opens the telemetry of its hive, and runs the missing migrations. For an SQLite file it is `telemetry.db` in the same
    /// directory: one that is missing or cannot be read is replaced.
    pub async fn open_telemetry(&self) -> StoreResult<Arc<dyn TelemetryStore>> {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Address::File(path) => Ok(Arc::new(crate::sqlite::telemetry::open(path).await?)),
            #[cfg(feature = "sqlite")]
            Address::Memory => Ok(Arc::new(crate::sqlite::telemetry::in_memory().await?)),
            #[cfg(feature = "postgres")]
            Address::Postgres(address) => Ok(Arc::new(crate::postgres::telemetry::open(address).await?)),
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            none => match *none {},
        }
    }

    /// Returns the file of the telemetry of an SQLite file.
    pub fn telemetry_file(&self) -> Option<std::path::PathBuf> {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Address::File(path) => Some(crate::sqlite::telemetry::file_of(path)),
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            _ => None,
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            none => match *none {},
        }
    }

    /// As [`check`](Self::check), of the telemetry. A missing file has no faults.
    ///
    /// # Errors
    /// If it cannot be read at all.
    pub async fn check_telemetry(&self) -> StoreResult<Vec<String>> {
        match self.telemetry_file() {
            #[cfg(feature = "sqlite")]
            Some(file) if file.exists() => crate::sqlite::telemetry::check(&file).await,
            _ => Ok(Vec::new()),
        }
    }

    /// Checks all of it for corruption, while a server may be using it. Returns one line for each fault. PostgreSQL is not
    /// checked: that is left to its administrator.
    ///
    /// # Errors
    /// If it cannot be read at all.
    pub async fn check(&self) -> StoreResult<Vec<String>> {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Address::File(path) => crate::sqlite::check(path).await,
            _ => Ok(Vec::new()),
        }
    }

    /// Opens a connection without checks and migrations. With `is_new`, a missing file is created.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[cfg_attr(not(feature = "sqlite"), expect(unused_variables, reason = "only files are made"))]
    pub(super) async fn connect(&self, is_new: bool) -> StoreResult<Box<dyn crate::sql::Connection>> {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Address::File(path) => crate::sqlite::connect_to(path, is_new).await,
            #[cfg(feature = "sqlite")]
            Address::Memory => Err(crate::StoreError::Unavailable("a hive in memory cannot be copied".into())),
            #[cfg(feature = "postgres")]
            Address::Postgres(address) => crate::postgres::connect_to(address).await,
        }
    }

    /// Opens a connection to the telemetry, without checks and migrations. `None` if there is none. With `is_new`, a missing file
    /// is created.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[cfg_attr(not(feature = "sqlite"), expect(unused_variables, reason = "only files are made"))]
    pub(super) async fn connect_telemetry(&self, is_new: bool) -> StoreResult<Option<Box<dyn crate::sql::Connection>>> {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Address::File(path) if is_new || crate::sqlite::telemetry::file_of(path).exists() => {
                crate::sqlite::telemetry::connect_to(path, is_new).await.map(Some)
            }
            #[cfg(feature = "sqlite")]
            Address::File(_) | Address::Memory => Ok(None),
            #[cfg(feature = "postgres")]
            Address::Postgres(address) => crate::postgres::telemetry::connect_to(address).await.map(Some),
        }
    }
}

impl FromStr for Database {
    type Err = InvalidDatabase;

    fn from_str(text: &str) -> Result<Self, InvalidDatabase> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            // `sqlite://PATH` is the form of other programs.
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
    // SQLite gives paths with a colon in front, such as `:memory:`, another meaning.
    let is_file = !path.is_empty() && !path.starts_with(':');
    is_file.then(|| Database::sqlite(path)).ok_or(InvalidDatabase::NoFile)
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(_path: &str) -> Result<Database, InvalidDatabase> {
    Err(InvalidDatabase::NotBuilt("SQLite"))
}

#[cfg(feature = "postgres")]
fn postgres(url: &str) -> Result<Database, InvalidDatabase> {
    url.parse().map(|address| Database(Address::Postgres(Box::new(address)))).map_err(InvalidDatabase::Address)
}

#[cfg(not(feature = "postgres"))]
fn postgres(_url: &str) -> Result<Database, InvalidDatabase> {
    Err(InvalidDatabase::NotBuilt("PostgreSQL"))
}
