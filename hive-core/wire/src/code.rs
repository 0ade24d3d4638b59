//! The error codes of all interfaces, and the error with a code and a message.

use serde::{Deserialize, Serialize};

use crate::open_enum;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)*) => {
        open_enum! {
            /// A stable error code.
            #[non_exhaustive]
            pub enum ErrorCode {
                $($(#[$doc])* $name = $text,)*
            }
        }

        impl ErrorCode {
            /// Returns the HTTP status of the error.
            pub fn http_status(&self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                    Self::Unknown(_) => 500,
                }
            }
        }
    };
}

codes! {
    /// The call needs credentials and brought none.
    AuthRequired = "AUTH_REQUIRED", 401;
    /// The credentials are wrong, expired or revoked.
    AuthInvalid = "AUTH_INVALID", 401;
    /// The caller may see the thing but not do this to it.
    Forbidden = "FORBIDDEN", 403;
    /// There is no such thing, or it is hidden from the caller.
    NotFound = "NOT_FOUND", 404;
    /// There is no such satellite, or it is hidden from the caller.
    SatelliteNotFound = "SATELLITE_NOT_FOUND", 404;
    /// There is no such session, or it is hidden from the caller.
    SessionNotFound = "SESSION_NOT_FOUND", 404;
    /// A field of the request breaks a rule.
    InvalidInput = "INVALID_INPUT", 400;
    /// The request contradicts what is there.
    Conflict = "CONFLICT", 409;
    /// The satellite has no link now.
    SatelliteOffline = "SATELLITE_OFFLINE", 503;
    /// The satellite is not active.
    SatelliteInactive = "SATELLITE_INACTIVE", 409;
    /// The call needs a live link, and this satellite polls.
    LinkRequired = "LINK_REQUIRED", 409;
    /// Too many sessions on this satellite.
    SessionLimit = "SESSION_LIMIT", 429;
    /// Too many calls; try again later.
    RateLimited = "RATE_LIMITED", 429;
    /// The command did not end in its time.
    CommandTimeout = "COMMAND_TIMEOUT", 504;
    /// The satellite's own policy refuses the command.
    CommandBlocked = "COMMAND_BLOCKED", 403;
    /// The satellite does not know this kind of command, or cannot do it.
    Unsupported = "UNSUPPORTED", 501;
    /// The request is larger than allowed.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", 413;
    /// The hive cannot reach its storage; nothing was changed.
    Unavailable = "UNAVAILABLE", 503;
    /// A fault of the hive.
    Internal = "INTERNAL_ERROR", 500;
}

/// An error: a code and a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// The stable code of the error.
    pub code: ErrorCode,
    /// A message for people. It may change between versions.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serialized_word_is_the_documented_one() {
        for code in [ErrorCode::AuthRequired, ErrorCode::SatelliteInactive, ErrorCode::Internal] {
            assert_eq!(serde_json::to_value(&code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn a_code_of_a_newer_version_is_kept() {
        let code = serde_json::from_str::<ErrorCode>("\"FROM_THE_FUTURE\"").unwrap();
        assert_eq!((code.as_str(), code.http_status()), ("FROM_THE_FUTURE", 500));
    }
}
