//! The errors of a hive. A variant is a case that a caller can handle.

mod key_conflict;

use hive_store::{BoxError, DiskError, DiskFault, StoreError};
use hive_wire::agent::ErrorBody;
use hive_wire::api::{ApiError, SatelliteStatus};
use hive_wire::{CommandId, ErrorCode};
use serde_json::json;

pub use key_conflict::{IDEMPOTENCY_KEY, KeyConflict, MAX_IDEMPOTENCY_KEY};

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
    /// The satellite has as many open terminals as are allowed.
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
    /// A call with an idempotency key is neither carried out nor answered as before.
    #[error("{0}")]
    KeyConflict(KeyConflict),
    /// The targets are not as many satellites as the caller confirmed, or they are so many that the caller has to confirm their
    /// number. Nothing was stored.
    #[error("{}", unconfirmed(*satellites, *confirmed, *confirm_above))]
    Unconfirmed {
        /// The number of satellites.
        satellites: u64,
        /// The number that the caller confirmed.
        confirmed: Option<u64>,
        /// The number of satellites above which a confirmation is needed; 0 if it never is.
        confirm_above: u64,
    },
    /// The satellite has no link now. Nothing was stored.
    #[error("satellite {0} is offline")]
    SatelliteOffline(String),
    /// The satellite is not active.
    #[error("satellite {name} {}", why_unusable(status))]
    SatelliteInactive {
        /// The satellite's name.
        name: String,
        /// What it is instead.
        status: SatelliteStatus,
    },
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
    /// A queue takes no more commands. Nothing was stored.
    #[error("{}", queue_full(satellite.as_deref(), *limit))]
    QueueFull {
        /// The satellite whose queue is full; none where the caller has too many open commands.
        satellite: Option<String>,
        /// The most commands that may be open.
        limit: u32,
    },
    /// The request is larger than allowed.
    #[error("{0}")]
    PayloadTooLarge(String),
    /// The hive cannot reach its storage, or cannot write to its disk. Nothing was changed.
    #[error("the hive or its storage is not reachable")]
    Unavailable(#[source] BoxError),
    /// Stored data is damaged.
    #[error("stored data is damaged")]
    Corrupt(#[source] BoxError),
    /// A fault of the hive.
    #[error("internal error")]
    Internal(#[source] BoxError),
    /// An error of a remote hive that this version has no variant for, as it was received.
    #[error("{0}")]
    Other(ApiError),
}

impl Error {
    /// A field that breaks a rule.
    pub fn invalid(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::InvalidInput { field: field.into(), rule: rule.into() }
    }

    /// A fault of the hive.
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::Internal(source.into())
    }

    /// The hive, or something it needs, cannot be reached. `why` may be read by every caller.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable(Box::new(ApiError { code: ErrorCode::Unavailable, message: why.into(), details: None }))
    }

    /// Returns the stable code of the error.
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
            Self::Conflict(_) | Self::KeyConflict(_) | Self::Unconfirmed { .. } => ErrorCode::Conflict,
            Self::SatelliteOffline(_) => ErrorCode::SatelliteOffline,
            Self::SatelliteInactive { .. } => ErrorCode::SatelliteInactive,
            Self::CommandTimeout { .. } => ErrorCode::CommandTimeout,
            Self::CommandBlocked(_) => ErrorCode::CommandBlocked,
            Self::RateLimited { .. } | Self::QueueFull { .. } => ErrorCode::RateLimited,
            Self::PayloadTooLarge(_) => ErrorCode::PayloadTooLarge,
            Self::Unavailable(_) => ErrorCode::Unavailable,
            Self::Internal(_) | Self::Corrupt(_) => ErrorCode::Internal,
            Self::Other(error_body) => error_body.code.clone(),
        }
    }

    /// Returns the error as it is sent to a caller. Causes are left out, because they may name files, SQL or hosts,
    /// except those that are meant for callers.
    pub fn to_wire(&self) -> ApiError {
        if let Some(answer) = self.public_answer() {
            return answer;
        }
        let details = match self {
            Self::InvalidInput { field, rule } => Some(json!({ "field": field, "rule": rule })),
            Self::NotFound { what, id } => Some(json!({ "what": what, "id": id })),
            Self::SatelliteNotFound(subject) | Self::SatelliteOffline(subject) => Some(json!({ "satellite": subject })),
            Self::Unconfirmed { satellites, confirmed, confirm_above } => {
                Some(json!({ "satellites": satellites, "confirmed": confirmed, "confirm_above": confirm_above }))
            }
            Self::KeyConflict(conflict) => Some(conflict.details()),
            Self::SatelliteInactive { name, status } => Some(json!({ "satellite": name, "status": status })),
            Self::SessionNotFound(session) => Some(json!({ "session": session })),
            Self::SessionLimit { limit } => Some(json!({ "limit": limit })),
            Self::CommandTimeout { command, result } => Some(json!({ "command_id": command, "result": result })),
            Self::RateLimited { retry_after_seconds } => Some(json!({ "retry_after_seconds": retry_after_seconds })),
            Self::QueueFull { satellite, limit } => Some(json!({ "satellite": satellite, "open_commands": limit })),
            _ => None,
        };
        ApiError { code: self.code(), message: self.to_string(), details }
    }

    /// Returns the answer if it does not depend on the kind of error: the answer of a remote hive, text that was meant for
    /// callers, and a fault of the disk.
    fn public_answer(&self) -> Option<ApiError> {
        match self {
            Self::Other(answer) => Some(answer.clone()),
            Self::Unavailable(cause) | Self::Internal(cause) => {
                let is_disk = || cause.downcast_ref::<DiskError>().map(|error| disk_answer(error.fault));
                cause.downcast_ref().cloned().or_else(is_disk)
            }
            _ => None,
        }
    }

    /// Returns the error that a remote hive sent.
    pub fn from_wire(error: ApiError) -> Self {
        let detail = |key: &str| error.details.as_ref().and_then(|details| details.get(key)).cloned();
        let text = |key: &str| detail(key).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        let number = |key: &str| detail(key).and_then(|v| v.as_u64());
        match error.code {
            ErrorCode::AuthRequired => Self::AuthRequired,
            ErrorCode::AuthInvalid => Self::AuthInvalid,
            ErrorCode::Forbidden => {
                // The text of the variant puts the prefix in front again.
                Self::Forbidden(error.message.strip_prefix("not allowed: ").unwrap_or(&error.message).to_owned())
            }
            ErrorCode::SatelliteNotFound => Self::SatelliteNotFound(text("satellite")),
            ErrorCode::SessionNotFound => Self::SessionNotFound(text("session")),
            ErrorCode::SessionLimit => {
                Self::SessionLimit { limit: detail("limit").and_then(|v| v.as_u64()).unwrap_or_default() as u32 }
            }
            ErrorCode::NotFound => Self::NotFound { what: known_word(&text("what")), id: text("id") },
            ErrorCode::InvalidInput => Self::InvalidInput { field: text("field"), rule: text("rule") },
            // Three variants have this code. The details tell them apart.
            ErrorCode::Conflict if detail("satellites").is_some() => Self::Unconfirmed {
                satellites: number("satellites").unwrap_or_default(),
                confirmed: number("confirmed"),
                confirm_above: number("confirm_above").unwrap_or_default(),
            },
            ErrorCode::Conflict => {
                KeyConflict::from_wire(&error).map_or(Self::Conflict(error.message), Self::KeyConflict)
            }
            ErrorCode::SatelliteOffline => Self::SatelliteOffline(text("satellite")),
            ErrorCode::SatelliteInactive => Self::SatelliteInactive {
                name: text("satellite"),
                status: detail("status")
                    .and_then(|status| serde_json::from_value(status).ok())
                    .unwrap_or(SatelliteStatus::Inactive),
            },
            ErrorCode::CommandBlocked => Self::CommandBlocked(error.message),
            ErrorCode::PayloadTooLarge => Self::PayloadTooLarge(error.message),
            // Two variants have this code. The detail tells them apart.
            ErrorCode::RateLimited if detail("open_commands").is_some() => Self::QueueFull {
                satellite: detail("satellite").and_then(|v| v.as_str().map(str::to_owned)),
                limit: detail("open_commands").and_then(|v| v.as_u64()).unwrap_or_default() as u32,
            },
            ErrorCode::RateLimited => Self::RateLimited {
                retry_after_seconds: detail("retry_after_seconds").and_then(|v| v.as_u64()).unwrap_or(1),
            },
            // The answer is the cause, so that `public_answer` gives it back unchanged.
            ErrorCode::Unavailable => Self::Unavailable(Box::new(error)),
            ErrorCode::Internal => Self::Internal(Box::new(error)),
            ErrorCode::CommandTimeout => match text("command_id").parse() {
                Ok(command) => Self::CommandTimeout {
                    command,
                    result: detail("result").and_then(|value| serde_json::from_value(value).ok()),
                },
                // Without a command to ask for, the variant would be of no use.
                Err(_) => Self::Other(error),
            },
            _ => Self::Other(error),
        }
    }
}

/// Why a satellite that is not active takes no commands, and what changes that.
fn why_unusable(status: &SatelliteStatus) -> &'static str {
    match status {
        SatelliteStatus::Inactive => {
            "is not active yet; it becomes active with its first heartbeat, or an admin activates it"
        }
        SatelliteStatus::Maintenance => "is in maintenance; an admin ends that",
        _ => "is out of use; an admin activates it",
    }
}

fn unconfirmed(satellites: u64, confirmed: Option<u64>, confirm_above: u64) -> String {
    let found = match satellites {
        1 => "the target is 1 satellite".to_owned(),
        _ => format!("the targets are {satellites} satellites"),
    };
    let rule = match confirmed {
        Some(confirmed) => format!(" and {confirmed} {} confirmed", if confirmed == 1 { "was" } else { "were" }),
        None => format!(", and more than {confirm_above} have to be confirmed"),
    };
    format!("{found}{rule}; nothing was stored, confirm {satellites} to run it")
}

fn queue_full(satellite: Option<&str>, limit: u32) -> String {
    match satellite {
        Some(satellite) => {
            format!(
                "the queue of satellite {satellite} is full ({limit} open commands); try again when some have ended"
            )
        }
        None => format!("you have {limit} open commands, and more are not taken; try again when some have ended"),
    }
}

/// What may not be found.
const WORDS: [&str; 11] = [
    "command",
    "team",
    "team member",
    "user",
    "API key",
    "registration token",
    "audit record",
    "path",
    "job",
    "group",
    "thing",
];

/// `what` is one of our own words, so that it can be a `&'static str` on both sides.
fn known_word(what: &str) -> &'static str {
    WORDS.iter().find(|word| **word == what).copied().unwrap_or("thing")
}

/// The answer for a fault of the disk. Callers may know which fault it is; the file and the system's message go to the log.
fn disk_answer(fault: DiskFault) -> ApiError {
    ApiError {
        code: ErrorCode::Unavailable,
        message: format!("{fault}; nothing was changed"),
        details: Some(json!({ "disk": fault.as_str() })),
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Taken(what) => Self::Conflict(format!("the {what} is taken")),
            // The fault may be several errors down: the writer wraps the error of a commit for each of its jobs.
            StoreError::Unavailable(source) => match DiskFault::find(source.as_ref()) {
                Some(fault) => Self::Unavailable(Box::new(DiskError::new(fault, source))),
                None => Self::Unavailable(source),
            },
            StoreError::Corrupt(what) => Self::Corrupt(what.into()),
            error @ StoreError::Unsupported => Self::Corrupt(error.to_string().into()),
        }
    }
}

impl From<&Error> for ErrorBody {
    /// The reason that a result carries: the same words as in an answer.
    fn from(error: &Error) -> Self {
        Self { code: error.code(), message: error.to_string() }
    }
}

impl From<hive_wire::InvalidName> for Error {
    fn from(error: hive_wire::InvalidName) -> Self {
        Self::invalid("name", error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use hive_wire::SatelliteId;
    use hive_wire::api::{CommandStatus, ExecResult, TargetStatus};
    use hive_wire::id::Seed;
    use proptest::prelude::*;

    use super::*;

    /// One error of each kind, with texts that are not made to be easy.
    fn errors(text: &str, number: u32) -> Vec<Error> {
        let text = || text.to_owned();
        let command = CommandId::new(Seed { unix_millis: number.into(), random: [7; 10] });
        let error_body = |code| ApiError { code, message: text(), details: Some(json!({ "request_id": text() })) };
        let result = ExecResult {
            satellite_id: SatelliteId::new(Seed { unix_millis: 1, random: [1; 10] }),
            satellite_name: "web-server-01".try_into().unwrap(),
            command_id: Some(command),
            status: TargetStatus::Command(CommandStatus::TimedOut),
            exit_code: Some(number as i32),
            stdout: text(),
            stderr: text(),
            duration_ms: number.into(),
            truncated: true,
            error: None,
        };
        let words = WORDS.map(|what| Error::NotFound { what, id: text() });
        let mut errors = vec![
            Error::AuthRequired,
            Error::AuthInvalid,
            Error::Forbidden(text()),
            Error::SatelliteNotFound(text()),
            Error::SessionNotFound(text()),
            Error::SessionLimit { limit: number },
            Error::invalid(text(), text()),
            Error::Conflict(text()),
            Error::KeyConflict(KeyConflict::OtherRequest),
            Error::KeyConflict(KeyConflict::InProgress),
            Error::KeyConflict(KeyConflict::Secret { id: Some(text()) }),
            Error::KeyConflict(KeyConflict::Secret { id: None }),
            Error::KeyConflict(KeyConflict::TooLarge),
            Error::KeyConflict(KeyConflict::OutcomeUnknown),
            Error::Unconfirmed { satellites: number.into(), confirmed: Some(7), confirm_above: 0 },
            Error::Unconfirmed { satellites: number.into(), confirmed: None, confirm_above: 100 },
            Error::SatelliteOffline(text()),
            Error::SatelliteInactive { name: text(), status: SatelliteStatus::Inactive },
            Error::SatelliteInactive { name: text(), status: SatelliteStatus::Maintenance },
            Error::CommandTimeout { command, result: None },
            Error::CommandTimeout { command, result: Some(Box::new(result)) },
            Error::CommandBlocked(text()),
            Error::RateLimited { retry_after_seconds: number.into() },
            Error::QueueFull { satellite: Some(text()), limit: number },
            Error::QueueFull { satellite: None, limit: number },
            Error::PayloadTooLarge(text()),
            Error::unavailable(text()),
            Error::Unavailable("of a disk".into()),
            Error::Corrupt("SELECT".into()),
            Error::internal("SELECT"),
            Error::internal(error_body(ErrorCode::Internal)),
            Error::Other(error_body(ErrorCode::LinkRequired)),
            Error::Other(error_body(ErrorCode::from("FROM_THE_FUTURE"))),
        ];
        errors.extend(words);
        errors
    }

    /// A variant that is missing among [`errors`] does not compile here.
    fn is_listed(error: &Error) {
        match error {
            Error::AuthRequired
            | Error::AuthInvalid
            | Error::Forbidden(_)
            | Error::NotFound { .. }
            | Error::SatelliteNotFound(_)
            | Error::SessionNotFound(_)
            | Error::SessionLimit { .. }
            | Error::InvalidInput { .. }
            | Error::Conflict(_)
            | Error::KeyConflict(_)
            | Error::Unconfirmed { .. }
            | Error::SatelliteOffline(_)
            | Error::SatelliteInactive { .. }
            | Error::CommandTimeout { .. }
            | Error::CommandBlocked(_)
            | Error::RateLimited { .. }
            | Error::QueueFull { .. }
            | Error::PayloadTooLarge(_)
            | Error::Unavailable(_)
            | Error::Corrupt(_)
            | Error::Internal(_)
            | Error::Other(_) => {}
        }
    }

    /// What a caller can tell of an error: its kind, its fields, and what it says.
    fn seen(error: &Error) -> (String, ApiError) {
        let kind = match error {
            // The cause is another, and what is damaged is not told apart from other faults.
            Error::Unavailable(_) => "Unavailable".to_owned(),
            Error::Internal(_) | Error::Corrupt(_) => "Internal".to_owned(),
            other => format!("{other:?}"),
        };
        (kind, error.to_wire())
    }

    proptest! {
        #[test]
        fn an_error_is_the_same_behind_the_wire(text: String, number: u32) {
            for error in errors(&text, number) {
                is_listed(&error);
                let sent = serde_json::to_string(&error.to_wire()).unwrap();
                let error_body: ApiError = serde_json::from_str(&sent).unwrap();
                prop_assert_eq!(&error_body.code, &error.code());
                let rebuilt = Error::from_wire(error_body);
                prop_assert_eq!(seen(&rebuilt), seen(&error));
                prop_assert_eq!(rebuilt.code(), error.code());
            }
        }
    }

    #[test]
    fn one_satellite_is_not_spoken_of_as_several() {
        let check = |satellites, confirmed, expected: &str| {
            let error = Error::Unconfirmed { satellites, confirmed, confirm_above: 100 };
            assert!(error.to_string().starts_with(expected), "{error}");
        };
        check(1, Some(2), "the target is 1 satellite and 2 were confirmed; ");
        check(3, Some(1), "the targets are 3 satellites and 1 was confirmed; ");
        check(101, None, "the targets are 101 satellites, and more than 100 have to be confirmed; ");
    }

    #[test]
    fn words_that_were_meant_for_callers_are_told() {
        assert_eq!(Error::unavailable("the server stops").to_wire().message, "the server stops");
    }

    #[test]
    fn a_cause_is_not_told_to_the_caller() {
        let error = Error::internal("SELECT * FROM secrets");
        assert!(!serde_json::to_string(&error.to_wire()).unwrap().contains("SELECT"));
    }

    #[test]
    fn a_caller_learns_of_the_disk_and_not_of_the_cause() {
        let error = Error::from(StoreError::Unavailable(Box::new(DiskError::new(DiskFault::Full, "/var/lib/hive"))));
        let answer = error.to_wire();
        assert_eq!(answer.code, ErrorCode::Unavailable);
        assert_eq!(answer.message, "the disk of the hive's database is full; nothing was changed");
        assert_eq!(answer.details, Some(json!({ "disk": "full" })));
        assert_eq!(Error::from_wire(answer.clone()).to_wire(), answer, "it is the same behind the wire");
        let elsewhere = Error::from(StoreError::Unavailable("no route to host".into()));
        assert_eq!(elsewhere.to_wire().details, None);
    }
}
