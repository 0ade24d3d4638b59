//! Errors of SQLite as [`StoreError`].

use rusqlite::{Error, ffi};

use crate::sql::{DatabaseFault, store_error};
use crate::{DiskError, DiskFault, StoreError};

/// Maps an error of SQLite.
pub(super) fn map_error(error: Error) -> StoreError {
    // Before the error is taken apart for its message.
    let extended = error.sqlite_extended_error_code().unwrap_or_default();
    let cause = cause(error);
    let disk_fault = match primary(extended) {
        ffi::SQLITE_FULL => Some(DiskFault::Full),
        ffi::SQLITE_READONLY => Some(DiskFault::ReadOnly),
        ffi::SQLITE_IOERR => Some(DiskFault::Failing),
        _ => None,
    };
    if let Some(fault) = disk_fault {
        return StoreError::Unavailable(Box::new(DiskError::new(fault, cause)));
    }
    let fault = match (extended, primary(extended)) {
        (ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY, _) => DatabaseFault::NotUnique,
        (ffi::SQLITE_CONSTRAINT_FOREIGNKEY, _) => DatabaseFault::MissingReference,
        (ffi::SQLITE_CONSTRAINT_NOTNULL | ffi::SQLITE_CONSTRAINT_CHECK, _)
        | (_, ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB) => DatabaseFault::Corrupt,
        _ => DatabaseFault::Other,
    };
    store_error(fault, cause)
}

/// Whether another connection has locked the database.
pub(super) fn is_busy(error: &Error) -> bool {
    let code = primary(error.sqlite_extended_error_code().unwrap_or_default());
    matches!(code, ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED)
}

/// The lower byte of an extended code is the primary one.
fn primary(extended: i32) -> i32 {
    extended & 0xff
}

/// What SQLite reports, without the words that the driver puts around it.
fn cause(error: Error) -> String {
    match error {
        Error::SqliteFailure(_, Some(message)) => message,
        Error::SqlInputError { msg, .. } => msg,
        other => other.to_string(),
    }
}
