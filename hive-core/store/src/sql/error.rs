//! Errors of the database as [`StoreError`].

use crate::StoreError;

/// What is wrong, where a database says so by a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatabaseFault {
    /// A value that must be unique is there already.
    NotUnique,
    /// It refers to a row that is not there.
    MissingReference,
    /// The tables are not as this program left them.
    Corrupt,
    /// Anything else, such as a timeout.
    Other,
}

/// The error of a store. `cause` is what the database, the network or the disk reports, without the words of the driver.
pub(crate) fn store_error(fault: DatabaseFault, cause: String) -> StoreError {
    match fault {
        // `map_unique_violation` names the value where the caller knows which one it is.
        DatabaseFault::NotUnique => StoreError::Taken("id"),
        DatabaseFault::MissingReference => StoreError::Corrupt("it refers to something that is not there".into()),
        DatabaseFault::Corrupt => StoreError::Corrupt(cause),
        DatabaseFault::Other => StoreError::Unavailable(cause.into()),
    }
}

/// Names the value of a unique violation. Other errors stay as they are.
pub(super) fn map_unique_violation(what: &'static str) -> impl FnOnce(StoreError) -> StoreError {
    move |error| match error {
        StoreError::Taken(_) => StoreError::Taken(what),
        other => other,
    }
}
