//! What can go wrong, as a caller can act on it.

use hive_wire::api::ApiError;
use hive_wire::{CommandId, ErrorCode};
use serde_json::json;

/// A failure somewhere below, kept for the log and never shown to a caller.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// The result of a hive's methods.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The call needs credentials and brought none.
    #[error("credentials are required")]
    AuthRequired,
    /// The credentials are wrong, expired or revoked.
    #[error("credentials are wrong, expired or revoked")]
    AuthInvalid,
    /// The caller may see the thing but not do this to it.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// There is no such thing, or the caller may not know of it: the two look the same.
    #[error("no {what} {id}")]
    NotFound {
        /// What was looked for, such as `command`.
        what: &'static str,
        /// What it was looked for by.
        id: String,
    },
    /// There is no such satellite, or the caller may not know of it.
    #[error("no satellite {0}")]
    SatelliteNotFound(String),
    /// There is no such session, or the caller may not know of it.
    #[error("no session {0}")]
    SessionNotFound(String),
    /// As many terminals as are allowed are open on the satellite.
    #[error("{limit} terminals are open on this satellite, which is the most allowed; end one of them first")]
    SessionLimit {
        /// How many are allowed.
        limit: u32,
    },
    /// A field of the request breaks a rule.
    #[error("{field}: {rule}")]
    InvalidInput {
        /// The field's name.
        field: String,
        /// The rule it breaks.
        rule: String,
    },
    /// The request contradicts what is there.
    #[error("{0}")]
    Conflict(String),
    /// The satellite has no link now. Nothing was stored.
    #[error("satellite {0} is offline")]
    SatelliteOffline(String),
    /// The satellite is not active.
    #[error("satellite {0} is not active; it becomes active with its first heartbeat, or an admin activates it")]
    SatelliteInactive(String),
    /// No result came in time. The command is durable and may still end: ask for it by its id.
    #[error("command {command} did not end in its time")]
    CommandTimeout {
        /// The command that goes on, or was ended by force.
        command: CommandId,
        /// Its result, where its satellite ended it.
        result: Option<Box<hive_wire::api::ExecResult>>,
    },
    /// The satellite's own policy refuses the command.
    #[error("{0}")]
    CommandBlocked(String),
    /// Too many calls.
    #[error("too many calls, try again in {retry_after_seconds} s")]
    RateLimited {
        /// When to try again.
        retry_after_seconds: u64,
    },
    /// The request is larger than allowed.
    #[error("{0}")]
    PayloadTooLarge(String),
    /// The hive cannot reach its storage. Nothing was changed.
    #[error("the hive or its storage is not reachable")]
    Unavailable(#[source] Source),
    /// What the hive has stored is not what it stored.
    #[error("stored data is damaged")]
    Damaged(#[source] Source),
    /// A fault of the hive.
    #[error("internal error")]
    Internal(#[source] Source),
    /// An error of a remote hive whose code this version does not know.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// A field that breaks a rule.
    pub fn invalid(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::InvalidInput { field: field.into(), rule: rule.into() }
    }

    /// A fault of the hive.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::Internal(source.into())
    }

    /// The stable word for it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::AuthRequired => ErrorCode::AuthRequired,
            Self::AuthInvalid => ErrorCode::AuthInvalid,
            Self::Forbidden(_) => ErrorCode::Forbidden,
            Self::NotFound { .. } => ErrorCode::NotFound,
            Self::SatelliteNotFound(_) => ErrorCode::SatelliteNotFound,
            Self::SessionNotFound(_) => ErrorCode::SessionNotFound,
            Self::SessionLimit { .. } => ErrorCode::SessionLimit,
            Self::InvalidInput { .. } => ErrorCode::InvalidInput,
            Self::Conflict(_) => ErrorCode::Conflict,
            Self::SatelliteOffline(_) => ErrorCode::SatelliteOffline,
            Self::SatelliteInactive(_) => ErrorCode::SatelliteInactive,
            Self::CommandTimeout { .. } => ErrorCode::CommandTimeout,
            Self::CommandBlocked(_) => ErrorCode::CommandBlocked,
            Self::RateLimited { .. } => ErrorCode::RateLimited,
            Self::PayloadTooLarge(_) => ErrorCode::PayloadTooLarge,
            Self::Unavailable(_) => ErrorCode::Unavailable,
            Self::Internal(_) | Self::Damaged(_) => ErrorCode::Internal,
            Self::Other(_) => ErrorCode::Unknown,
        }
    }

    /// The error as it is answered. Causes are left out: they may name files, SQL or hosts.
    pub fn to_wire(&self) -> ApiError {
        let details = match self {
            Self::InvalidInput { field, rule } => Some(json!({ "field": field, "rule": rule })),
            Self::NotFound { what, id } => Some(json!({ "what": what, "id": id })),
            Self::SatelliteNotFound(subject) | Self::SatelliteOffline(subject) | Self::SatelliteInactive(subject) => {
                Some(json!({ "satellite": subject }))
            }
            Self::SessionNotFound(session) => Some(json!({ "session": session })),
            Self::SessionLimit { limit } => Some(json!({ "limit": limit })),
            Self::CommandTimeout { command, result } => Some(json!({ "command_id": command, "result": result })),
            Self::RateLimited { retry_after_seconds } => Some(json!({ "retry_after_seconds": retry_after_seconds })),
            _ => None,
        };
        ApiError { code: self.code(), message: self.to_string(), details }
    }

    /// The error a remote hive answered.
    pub fn from_wire(error: ApiError) -> Self {
        let detail = |key: &str| error.details.as_ref().and_then(|details| details.get(key)).cloned();
        let text = |key: &str| detail(key).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        match error.code {
            ErrorCode::AuthRequired => Self::AuthRequired,
            ErrorCode::AuthInvalid => Self::AuthInvalid,
            ErrorCode::Forbidden => {
                Self::Forbidden(error.message.strip_prefix("not allowed: ").unwrap_or(&error.message).to_owned())
            }
            ErrorCode::SatelliteNotFound => Self::SatelliteNotFound(text("satellite")),
            ErrorCode::SessionNotFound => Self::SessionNotFound(text("session")),
            ErrorCode::SessionLimit => {
                Self::SessionLimit { limit: detail("limit").and_then(|v| v.as_u64()).unwrap_or_default() as u32 }
            }
            ErrorCode::NotFound => Self::NotFound { what: known_word(&text("what")), id: text("id") },
            ErrorCode::InvalidInput => Self::InvalidInput { field: text("field"), rule: text("rule") },
            ErrorCode::Conflict => Self::Conflict(error.message),
            ErrorCode::SatelliteOffline => Self::SatelliteOffline(text("satellite")),
            ErrorCode::SatelliteInactive => Self::SatelliteInactive(text("satellite")),
            ErrorCode::CommandBlocked => Self::CommandBlocked(error.message),
            ErrorCode::PayloadTooLarge => Self::PayloadTooLarge(error.message),
            ErrorCode::RateLimited => Self::RateLimited {
                retry_after_seconds: detail("retry_after_seconds").and_then(|v| v.as_u64()).unwrap_or(1),
            },
            ErrorCode::Unavailable => Self::Unavailable(error.message.into()),
            ErrorCode::Internal => Self::Internal(error.message.into()),
            ErrorCode::CommandTimeout => match text("command_id").parse() {
                Ok(command) => Self::CommandTimeout {
                    command,
                    result: detail("result").and_then(|value| serde_json::from_value(value).ok()),
                },
                Err(_) => Self::Other(error.message),
            },
            _ => Self::Other(error.message),
        }
    }
}

/// `what` is one of our own words, so that it can be a `&'static str` on both sides.
fn known_word(what: &str) -> &'static str {
    const WORDS: [&str; 10] = [
        "command",
        "team",
        "team member",
        "user",
        "API key",
        "registration token",
        "audit record",
        "path",
        "job",
        "thing",
    ];
    WORDS.iter().find(|word| **word == what).copied().unwrap_or("thing")
}

impl From<hive_wire::InvalidName> for Error {
    fn from(error: hive_wire::InvalidName) -> Self {
        Self::invalid("name", error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_survives_the_wire(error: Error) {
        let sent = error.to_wire();
        let rebuilt = Error::from_wire(sent.clone());
        assert_eq!(rebuilt.to_wire(), sent);
    }

    #[test]
    fn an_error_is_the_same_behind_the_wire() {
        check_survives_the_wire(Error::AuthRequired);
        check_survives_the_wire(Error::Forbidden("satellites.exec".into()));
        check_survives_the_wire(Error::NotFound { what: "command", id: "cmd_x".into() });
        check_survives_the_wire(Error::SatelliteNotFound("web".into()));
        check_survives_the_wire(Error::SatelliteOffline("web-server-01".into()));
        check_survives_the_wire(Error::SessionNotFound("sess_x".into()));
        check_survives_the_wire(Error::SessionLimit { limit: 10 });
        check_survives_the_wire(Error::invalid("name", "too short"));
        check_survives_the_wire(Error::Conflict("the name is taken".into()));
        check_survives_the_wire(Error::RateLimited { retry_after_seconds: 7 });
    }

    #[test]
    fn a_cause_is_not_told_to_the_caller() {
        let error = Error::internal("SELECT * FROM secrets");
        assert!(!serde_json::to_string(&error.to_wire()).unwrap().contains("SELECT"));
    }
}
