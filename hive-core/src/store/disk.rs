//! Disks that take nothing more, told apart from databases that cannot be reached.

use std::error::Error as StdError;
use std::io::ErrorKind;

use hive_wire::ErrorCode;
use hive_wire::api::ApiError;
use serde_json::json;

use crate::error::Source;

/// What is wrong with the disk that the database is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFault {
    /// There is no room left.
    Full,
    /// It can be read only.
    ReadOnly,
    /// Reading, writing or syncing fails.
    Failing,
}

impl DiskFault {
    /// The stable word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::Failing => "failing",
        }
    }
}

impl std::fmt::Display for DiskFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Full => "the disk of the hive's database is full",
            Self::ReadOnly => "the disk of the hive's database is read-only",
            Self::Failing => "the disk of the hive's database fails",
        })
    }
}

/// Something could not be stored because of the disk. Callers are told so, in these words; the cause is for the log.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub struct DiskError {
    /// What is wrong with it.
    pub fault: DiskFault,
    told: ApiError,
    #[source]
    source: Source,
}

impl DiskError {
    /// The fault, and how it showed.
    pub fn new(fault: DiskFault, source: impl Into<Source>) -> Self {
        let told = ApiError {
            code: ErrorCode::Unavailable,
            message: format!("{fault}; nothing was changed"),
            details: Some(json!({ "disk": fault.as_str() })),
        };
        Self { fault, told, source: source.into() }
    }

    /// What callers are told.
    pub(crate) fn told(&self) -> &ApiError {
        &self.told
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

/// Finds out whether an error, or one of its causes, is that of a disk.
pub(crate) fn find_fault(error: &(dyn StdError + 'static)) -> Option<DiskFault> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(disk) = error.downcast_ref::<DiskError>() {
            return Some(disk.fault);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::store::StoreError;

    #[test]
    fn a_caller_is_told_of_the_disk_and_not_of_the_cause() {
        let error = Error::from(StoreError::Unavailable(Box::new(DiskError::new(DiskFault::Full, "/var/lib/hive"))));
        let told = error.to_wire();
        assert_eq!(told.code, ErrorCode::Unavailable);
        assert_eq!(told.message, "the disk of the hive's database is full; nothing was changed");
        assert_eq!(told.details, Some(json!({ "disk": "full" })));
        assert_eq!(Error::from_wire(told.clone()).to_wire(), told, "it is the same behind the wire");
        let elsewhere = Error::from(StoreError::Unavailable("no route to host".into()));
        assert_eq!(elsewhere.to_wire().details, None);
    }

    #[test]
    fn a_disk_is_found_behind_other_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("the transaction was not committed")]
        struct Lost(#[source] std::sync::Arc<StoreError>);

        let disk = StoreError::Unavailable(Box::new(DiskError::from(std::io::Error::from(ErrorKind::StorageFull))));
        let lost = StoreError::Unavailable(Box::new(Lost(std::sync::Arc::new(disk))));
        assert_eq!(Error::from(lost).to_wire().details, Some(json!({ "disk": "full" })));
    }
}
