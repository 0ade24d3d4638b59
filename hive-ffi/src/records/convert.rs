//! Conversions between the types of the wire and those that every language has.

use std::fmt::Display;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hive_core::wire::Timestamp;
use hive_core::wire::open::OpenEnum;
use serde::Serialize;

use crate::HiveError;

/// Converts a time to the type that each language has for it.
pub(crate) fn system_time(timestamp: Timestamp) -> SystemTime {
    // A `Duration` has no sign: a time before 1970 is subtracted.
    let micros = Duration::from_micros(timestamp.as_micros().unsigned_abs());
    if timestamp.as_micros() < 0 { UNIX_EPOCH - micros } else { UNIX_EPOCH + micros }
}

/// Converts a time to microseconds.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(match time.duration_since(UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(before) => -micros(before.duration()),
    })
}

/// Parses an id. The error names the field.
pub(crate) fn parse_id<T: FromStr>(field: &str, text: &str) -> Result<T, HiveError>
where
    T::Err: Display,
{
    text.parse().map_err(|error: T::Err| HiveError::invalid(field, error.to_string()))
}

/// Returns the text that the REST interface has for the value of an enum.
pub(crate) fn enum_text<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        // Every status is a string. Any other value is a fault of this library, and showing it helps to find the fault.
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

/// Parses the text that the REST interface has for the value of an enum. The error names the field and the rule.
pub(crate) fn parse_enum<T: OpenEnum>(field: &str, text: &str, rule: &str) -> Result<T, HiveError> {
    // Every text converts, because the wire keeps unknown values. An argument of a caller must be a known one.
    let value = T::from(text);
    if value.is_known() { Ok(value) } else { Err(HiveError::invalid(field, rule)) }
}

#[cfg(test)]
mod tests {
    use hive_core::wire::api::{JobStatus, SatelliteStatus, TargetStatus};

    use super::*;

    #[test]
    fn a_time_is_the_same_on_both_sides() {
        for micros in [0, 1, -1, 1_770_000_000_123_456] {
            let stamp = Timestamp::from_micros(micros);
            assert_eq!(timestamp(system_time(stamp)), stamp);
        }
    }

    #[test]
    fn a_status_is_the_text_of_the_rest_interface() {
        assert_eq!(enum_text(&SatelliteStatus::Maintenance), "maintenance");
        assert_eq!(enum_text(&TargetStatus::NotRun), "not_run");
        assert_eq!(enum_text(&JobStatus::Cancelling), "cancelling");
    }

    #[test]
    fn the_error_of_an_invalid_id_names_the_field() {
        let error = parse_id::<hive_core::wire::JobId>("job", "x").unwrap_err();
        assert!(error.to_string().starts_with("job: "), "{error}");
    }
}
