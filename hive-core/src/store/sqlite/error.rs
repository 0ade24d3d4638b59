//! Database errors as the store's callers can act on them.

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::sqlite::SqliteError;

use crate::store::StoreError;

// SQLite's primary result codes; the extended ones carry more in the bits above.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const CORRUPT: i32 = 11;
const NOT_A_DATABASE: i32 = 26;

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => match database.kind() {
                ErrorKind::UniqueViolation => Self::Taken("id"),
                ErrorKind::ForeignKeyViolation => Self::Damaged("it refers to something that is not there".into()),
                ErrorKind::NotNullViolation | ErrorKind::CheckViolation => Self::Damaged(error.to_string()),
                _ if matches!(primary_code(&**database), Some(CORRUPT | NOT_A_DATABASE)) => {
                    Self::Damaged(error.to_string())
                }
                _ => Self::Unavailable(Box::new(error)),
            },
            sqlx::Error::ColumnDecode { index, .. } => Self::Damaged(format!("{index} cannot be read")),
            sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) | sqlx::Error::TypeNotFound { .. } => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Unavailable(Box::new(error)),
        }
    }
}

/// Names what is taken, where that is the trouble.
pub(super) fn taken(what: &'static str) -> impl FnOnce(StoreError) -> StoreError {
    move |error| match error {
        StoreError::Taken(_) => StoreError::Taken(what),
        other => other,
    }
}

/// Whether another connection holds the database.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(primary_code).is_some_and(|code| code == BUSY || code == LOCKED)
}

fn primary_code(error: &dyn DatabaseError) -> Option<i32> {
    let code: i32 = error.try_downcast_ref::<SqliteError>()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
