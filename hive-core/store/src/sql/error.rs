//! Database errors as the store's callers can act on them.

use sqlx::error::{DatabaseError, ErrorKind};

use crate::StoreError;

/// The error as the store tells it; `is_damage` knows the database's own codes.
pub(crate) fn told(error: sqlx::Error, is_damage: impl FnOnce(&dyn DatabaseError) -> bool) -> StoreError {
    match &error {
        sqlx::Error::Database(database) => match database.kind() {
            ErrorKind::UniqueViolation => StoreError::Taken("id"),
            ErrorKind::ForeignKeyViolation => StoreError::Damaged("it refers to something that is not there".into()),
            ErrorKind::NotNullViolation | ErrorKind::CheckViolation => StoreError::Damaged(error.to_string()),
            _ if is_damage(&**database) => StoreError::Damaged(error.to_string()),
            _ => StoreError::Unavailable(Box::new(error)),
        },
        _ => StoreError::Unavailable(Box::new(error)),
    }
}

/// Names what is taken, where that is the trouble.
pub(super) fn taken(what: &'static str) -> impl FnOnce(StoreError) -> StoreError {
    move |error| match error {
        StoreError::Taken(_) => StoreError::Taken(what),
        other => other,
    }
}
