//! Failures, as few kinds as a caller acts on. The message says the rest.

use hive_core::Error;

/// Why something could not be done.
#[derive(Debug, thiserror::Error, uniffi::Error)]
#[uniffi(flat_error)]
pub enum HiveError {
    /// The key is missing, wrong, expired or revoked.
    #[error("{0}")]
    Unauthorized(String),
    /// The key's owner may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing, or the key's owner may not know of it.
    #[error("{0}")]
    NotFound(String),
    /// The request makes no sense: a field, a target, or the state of things.
    #[error("{0}")]
    Invalid(String),
    /// The satellite cannot take the command now.
    #[error("{0}")]
    SatelliteUnavailable(String),
    /// The command did not end in its time.
    #[error("{0}")]
    Timeout(String),
    /// The hive cannot be reached, or has too much to do. Try again later.
    #[error("{0}")]
    Unavailable(String),
    /// A fault of the hive, or an answer that cannot be understood.
    #[error("{0}")]
    Internal(String),
}

impl From<Error> for HiveError {
    fn from(error: Error) -> Self {
        let message = message(&error);
        match error {
            Error::AuthRequired | Error::AuthInvalid => Self::Unauthorized(message),
            Error::Forbidden(_) | Error::CommandBlocked(_) => Self::Forbidden(message),
            Error::NotFound { .. } | Error::SatelliteNotFound(_) => Self::NotFound(message),
            Error::InvalidInput { .. } | Error::Conflict(_) | Error::PayloadTooLarge(_) => Self::Invalid(message),
            Error::SatelliteOffline(_) | Error::SatelliteInactive(_) => Self::SatelliteUnavailable(message),
            Error::CommandTimeout { .. } => Self::Timeout(message),
            Error::Unavailable(_) | Error::RateLimited { .. } => Self::Unavailable(message),
            _ => Self::Internal(message),
        }
    }
}

/// An unreachable hive is best described by the cause.
fn message(error: &Error) -> String {
    match error {
        Error::Unavailable(cause) => cause.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_a_kind_and_a_message() {
        let check = |error: Error, kind: fn(String) -> HiveError, message: &str| {
            assert_eq!(format!("{:?}", HiveError::from(error)), format!("{:?}", kind(message.into())));
        };
        check(Error::AuthRequired, HiveError::Unauthorized, "credentials are required");
        check(Error::SatelliteNotFound("web".into()), HiveError::NotFound, "no satellite web");
        check(Error::SatelliteOffline("web".into()), HiveError::SatelliteUnavailable, "satellite web is offline");
        check(Error::Unavailable("connection refused".into()), HiveError::Unavailable, "connection refused");
        check(Error::Other("odd".into()), HiveError::Internal, "odd");
    }
}
