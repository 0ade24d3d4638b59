//! What goes in and comes out, as plain values.
//!
//! They are the bodies of `hive_core::wire::api` in the types that every language has: ids and status words are text, times
//! are the language's own, and what has no fixed shape is JSON.

mod audit;
mod command;
mod identity;
mod job;
mod satellite;
mod session;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hive_core::wire::Timestamp;
use hive_core::wire::agent::ErrorBody;
use hive_core::wire::open::OpenEnum;
use serde::Serialize;

use crate::HiveError;

pub use audit::{AuditEntry, AuditFilter, AuditVerification};
pub use command::{Channel, Command, CommandInfo, CommandResult, ExecEvent, PowerAction, Priority};
pub use identity::{ApiKey, Me, NewApiKey, NewRegistrationToken, NewUser, RegistrationToken, Team, TeamMember, User};
pub use job::{FanOut, FanOutOptions, Job, JobEvent, JobTarget};
pub use satellite::{Reach, Satellite, SatelliteEvent, SatelliteFilter, SatelliteUpdate};
pub use session::{Session, SessionOptions, Size, TerminalEvent, ViewMode};

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Page {
    /// From 1.
    #[uniffi(default = 1)]
    pub page: u32,
    /// The most entries, up to 1000.
    #[uniffi(default = 100)]
    pub per_page: u32,
}

impl From<Page> for hive_core::wire::api::PageRequest {
    fn from(Page { page, per_page }: Page) -> Self {
        Self { page, per_page }
    }
}

/// Why something failed where it is no exception.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Failure {
    /// For programs, such as `SATELLITE_OFFLINE`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl From<ErrorBody> for Failure {
    fn from(ErrorBody { code, message }: ErrorBody) -> Self {
        Self { code: code.as_str().to_owned(), message }
    }
}

/// A time in the language's own type.
pub(crate) fn time(timestamp: Timestamp) -> SystemTime {
    let micros = Duration::from_micros(timestamp.as_micros().unsigned_abs());
    if timestamp.as_micros() < 0 { UNIX_EPOCH - micros } else { UNIX_EPOCH + micros }
}

/// A time of the language's own type, to the microsecond.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(match time.duration_since(UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(before) => -micros(before.duration()),
    })
}

/// An id, or the complaint that it is none.
pub(crate) fn id<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, HiveError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| HiveError::invalid(field, error.to_string()))
}

/// One of the words of an enum of the wire.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        // Every status is a word; anything else would be a fault of ours, and is best seen.
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

/// The value of an enum of the wire, or the complaint that the word is none of its own.
pub(crate) fn of_word<T: OpenEnum>(field: &str, text: &str, rule: &str) -> Result<T, HiveError> {
    let word = T::from(text);
    if word.is_known() { Ok(word) } else { Err(HiveError::invalid(field, rule)) }
}

#[cfg(test)]
mod tests {
    use hive_core::wire::api::{JobStatus, SatelliteStatus, TargetStatus};

    use super::*;

    #[test]
    fn a_time_is_the_same_on_both_sides() {
        for micros in [0, 1, -1, 1_770_000_000_123_456] {
            let stamp = Timestamp::from_micros(micros);
            assert_eq!(timestamp(time(stamp)), stamp);
        }
    }

    #[test]
    fn a_status_is_the_word_of_the_rest_interface() {
        assert_eq!(word(&SatelliteStatus::Maintenance), "maintenance");
        assert_eq!(word(&TargetStatus::NotRun), "not_run");
        assert_eq!(word(&JobStatus::Cancelling), "cancelling");
    }

    #[test]
    fn an_id_that_is_none_names_its_field() {
        let refused = id::<hive_core::wire::JobId>("job", "x").unwrap_err();
        assert!(refused.to_string().starts_with("job: "), "{refused}");
    }
}
