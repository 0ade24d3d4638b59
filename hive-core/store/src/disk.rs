//! Faults of the disk under the database, as opposed to a database that cannot be reached.

use std::error::Error as StdError;
use std::io::ErrorKind;

use crate::BoxError;

/// A fault of the disk under the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFault {
    /// There is no space left.
    Full,
    /// There is so little space left that new work is refused.
    NearlyFull,
    /// It is read-only.
    ReadOnly,
    /// Reads, writes or syncs fail.
    Failing,
}

impl DiskFault {
    /// The stable name, which clients see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::NearlyFull => "nearly_full",
            Self::ReadOnly => "read_only",
            Self::Failing => "failing",
        }
    }

    /// Returns the fault of the first [`DiskError`] in the chain of an error and its sources.
    pub fn find(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(disk) = error.downcast_ref::<DiskError>() {
                return Some(disk.fault);
            }
            next = error.source();
        }
        None
    }
}

impl std::fmt::Display for DiskFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full => "the disk of the hive's database is full",
            Self::NearlyFull => "the disk of the hive's database is nearly full",
            Self::ReadOnly => "the disk of the hive's database is read-only",
            Self::Failing => "the disk of the hive's database fails",
        })
    }
}

/// Data could not be stored because of the disk.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub struct DiskError {
    /// The fault.
    pub fault: DiskFault,
    #[source]
    source: BoxError,
}

impl DiskError {
    /// An error with this fault and this cause.
    pub fn new(fault: DiskFault, source: impl Into<BoxError>) -> Self {
        Self { fault, source: source.into() }
    }
}

impl From<std::io::Error> for DiskError {
    fn from(error: std::io::Error) -> Self {
        let fault = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskFault::Full,
            ErrorKind::ReadOnlyFilesystem => DiskFault::ReadOnly,
            _ => DiskFault::Failing,
        };
        Self::new(fault, error)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::StoreError;

    #[test]
    fn a_disk_is_found_behind_other_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("the transaction was not committed")]
        struct Uncommitted(#[source] Arc<StoreError>);

        let disk = StoreError::Unavailable(Box::new(DiskError::from(std::io::Error::from(ErrorKind::StorageFull))));
        assert_eq!(DiskFault::find(&Uncommitted(Arc::new(disk))), Some(DiskFault::Full));
        assert_eq!(DiskFault::find(&StoreError::Corrupt("a row".into())), None);
    }
}
