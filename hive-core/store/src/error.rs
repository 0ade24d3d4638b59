//! Errors of the store.

/// An underlying error of any type. It goes to the log, and is not shown to API clients.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The result of a store method.
pub type StoreResult<T> = Result<T, StoreError>;

/// Why a store method failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique value is in use. Nothing was changed.
    #[error("{0} is taken")]
    Taken(&'static str),
    /// The storage cannot be reached or written. Nothing was changed. If a disk is the reason, the error chain contains a
    /// [`DiskError`](crate::DiskError).
    #[error("storage is not reachable")]
    Unavailable(#[source] BoxError),
    /// Stored data cannot be read.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    /// The database has the layout of a version before the first release. There is no migration from it.
    #[error(
        "a version before the first release wrote the database, and this one cannot read it: begin with an empty one"
    )]
    Unsupported,
}
