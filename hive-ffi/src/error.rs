//! Errors by their codes.

use hive_core::wire::ErrorCode;
use hive_core::wire::api::ApiError;
use hive_core::{Error, wire::agent::ErrorBody};

// One list for the enum and its codes, so that a variant cannot miss its code.
macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Why something could not be done, one variant for each code of a hive's interfaces.
        ///
        /// `message` is for people. `details` is JSON for programs: the field that broke a rule, the command that goes on …
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, uniffi::Error)]
        pub enum HiveError {
            $(
                $(#[$doc])*
                #[error("{message}")]
                $name {
                    /// For people.
                    message: String,
                    /// JSON for programs.
                    details: Option<String>,
                },
            )*
            /// A code of a newer version.
            #[error("{message}")]
            Unknown {
                /// The code.
                code: String,
                /// For people.
                message: String,
                /// JSON for programs.
                details: Option<String>,
            },
        }

        impl HiveError {
            fn new(code: ErrorCode, message: String, details: Option<String>) -> Self {
                match code {
                    $(ErrorCode::$name => Self::$name { message, details },)*
                    // The code is kept, so that a program can handle it before it is updated.
                    other => Self::Unknown { code: other.as_str().into(), message, details },
                }
            }

            /// The stable word for it.
            fn code(&self) -> ErrorCode {
                match self {
                    $(Self::$name { .. } => ErrorCode::$name,)*
                    Self::Unknown { code, .. } => ErrorCode::Unknown(code.as_str().into()),
                }
            }

            fn parts(&self) -> ErrorParts {
                let (message, details) = match self {
                    $(Self::$name { message, details })|* | Self::Unknown { message, details, .. } => (message, details),
                };
                ErrorParts { code: self.code().as_str().into(), message: message.clone(), details: details.clone() }
            }
        }
    };
}

errors! {
    /// The call needs credentials and brought none.
    AuthRequired,
    /// The credentials are wrong, expired or revoked.
    AuthInvalid,
    /// The caller may see the thing but not do this to it.
    Forbidden,
    /// There is no such thing, or the caller may not know of it.
    NotFound,
    /// There is no such satellite, or the caller may not know of it.
    SatelliteNotFound,
    /// There is no such terminal, or the caller may not know of it.
    SessionNotFound,
    /// A field of the request breaks a rule.
    InvalidInput,
    /// The request contradicts what is there.
    Conflict,
    /// The satellite has no link now.
    SatelliteOffline,
    /// The satellite is not active.
    SatelliteInactive,
    /// The call needs a live link, and this satellite polls.
    LinkRequired,
    /// Too many terminals on this satellite.
    SessionLimit,
    /// Too many calls; try again later.
    RateLimited,
    /// The command did not end in its time.
    CommandTimeout,
    /// The satellite's own policy refuses the command.
    CommandBlocked,
    /// The satellite does not know this kind of command, or cannot do it.
    Unsupported,
    /// The request is larger than allowed.
    PayloadTooLarge,
    /// The hive or its storage cannot be reached.
    Unavailable,
    /// A fault of the hive, or of this library.
    Internal,
}

impl HiveError {
    /// A field breaks a rule.
    pub(crate) fn invalid(field: &str, rule: impl Into<String>) -> Self {
        Error::invalid(field, rule).into()
    }

    /// The hive cannot be reached, or has closed the connection.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable { message: message.into(), details: None }
    }

    /// The request contradicts what is there.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict { message: message.into(), details: None }
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::Internal { message: message.into(), details: None }
    }
}

impl From<Error> for HiveError {
    fn from(error: Error) -> Self {
        let ApiError { code, message, details } = error.to_wire();
        // The message of the wire hides causes inside the hive. This cause is on the side of the caller: a refused connection,
        // an unknown host.
        let message = match &error {
            Error::Unavailable(cause) => cause.to_string(),
            _ => message,
        };
        Self::new(code, message, details.map(|details| details.to_string()))
    }
}

impl From<ErrorBody> for HiveError {
    fn from(ErrorBody { code, message }: ErrorBody) -> Self {
        Self::new(code, message, None)
    }
}

/// An error as every interface of a hive reports it.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ErrorParts {
    /// The stable word for it, such as `SATELLITE_OFFLINE`.
    pub code: String,
    /// For people.
    pub message: String,
    /// JSON for programs.
    pub details: Option<String>,
}

/// Takes an error apart, for languages in which the parts of an enum are hard to reach.
#[uniffi::export]
pub fn error_parts(error: &HiveError) -> ErrorParts {
    error.parts()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_code_message_and_details() {
        let check = |error: Error| {
            let sent = error.to_wire();
            let details = sent.details.map(|details| details.to_string());
            let code = sent.code.as_str().to_owned();
            assert_eq!(HiveError::from(error).parts(), ErrorParts { code, message: sent.message, details });
        };
        check(Error::AuthRequired);
        check(Error::SatelliteNotFound("web".into()));
        check(Error::SatelliteOffline("web".into()));
        check(Error::SessionLimit { limit: 10 });
        check(Error::RateLimited { retry_after_seconds: 7 });
        check(Error::Other("odd".into()));
    }

    #[test]
    fn details_are_json() {
        let HiveError::InvalidInput { details: Some(details), .. } = HiveError::invalid("name", "too short") else {
            panic!("another error");
        };
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&details).unwrap(),
            serde_json::json!({ "field": "name", "rule": "too short" })
        );
    }

    #[test]
    fn an_unreachable_hive_is_described_by_the_cause() {
        let error = HiveError::from(Error::Unavailable("connection refused".into()));
        assert_eq!(error, HiveError::unavailable("connection refused"));
    }
}
