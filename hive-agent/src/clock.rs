//! The one place that reads the machine's clock.

use hive_wire::Timestamp;

/// The time now.
#[expect(clippy::disallowed_methods, reason = "everything else takes the time from here, or as an argument")]
pub(crate) fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}
