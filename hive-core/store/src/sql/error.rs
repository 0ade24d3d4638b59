//! Errors of the database as [`StoreError`].

use sqlx::error::{DatabaseError, ErrorKind};

use crate::StoreError;

/// Maps an error of the driver. `is_corruption` knows the codes of the database at hand.
pub(crate) fn map_db_error(error: sqlx::Error, is_corruption: impl FnOnce(&dyn DatabaseError) -> bool) -> StoreError {
    match &error {
        sqlx::Error::Database(database) => match database.kind() {
            // `map_unique_violation` names the value where the caller knows which one it is.
            ErrorKind::UniqueViolation => StoreError::Taken("id"),
            ErrorKind::ForeignKeyViolation => StoreError::Corrupt("it refers to something that is not there".into()),
            ErrorKind::NotNullViolation | ErrorKind::CheckViolation => StoreError::Corrupt(error.to_string()),
            _ if is_corruption(&**database) => StoreError::Corrupt(error.to_string()),
            _ => StoreError::Unavailable(Box::new(error)),
        },
        _ => StoreError::Unavailable(Box::new(error)),
    }
}

/// Names the value of a unique violation. Other errors stay as they are.
pub(super) fn map_unique_violation(what: &'static str) -> impl FnOnce(StoreError) -> StoreError {
    move |error| match error {
        StoreError::Taken(_) => StoreError::Taken(what),
        other => other,
    }
}
