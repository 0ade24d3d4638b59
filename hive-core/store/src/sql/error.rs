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
            ErrorKind::NotNullViolation | ErrorKind::CheckViolation => StoreError::Corrupt(cause(&error)),
            _ if is_corruption(&**database) => StoreError::Corrupt(cause(&error)),
            _ => StoreError::Unavailable(cause(&error).into()),
        },
        _ => StoreError::Unavailable(cause(&error).into()),
    }
}

/// What the database, the network or the disk reports, without the words that the driver puts around it.
pub(crate) fn cause(error: &sqlx::Error) -> String {
    use sqlx::Error::{ColumnDecode, Configuration, Database, Decode, Io, Protocol, Tls};
    match error {
        Database(database) => database.message().to_owned(),
        Io(error) => error.to_string(),
        Tls(error) => format!("no secure connection: {error}"),
        Protocol(why) => format!("an answer of the database cannot be understood: {why}"),
        Configuration(why) => why.to_string(),
        ColumnDecode { index, source } => format!("the column {index} cannot be read: {source}"),
        Decode(source) => format!("a value cannot be read: {source}"),
        other => other.to_string(),
    }
}

/// Names the value of a unique violation. Other errors stay as they are.
pub(super) fn map_unique_violation(what: &'static str) -> impl FnOnce(StoreError) -> StoreError {
    move |error| match error {
        StoreError::Taken(_) => StoreError::Taken(what),
        other => other,
    }
}
