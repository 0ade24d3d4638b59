//! The only place that reads the machine's clocks.

use std::time::Duration;

use hive_wire::Timestamp;
use nix::time::{ClockId, clock_gettime};

/// A monotonic clock that also counts while the machine sleeps.
#[cfg(any(target_os = "android", target_os = "linux"))]
const STEADY: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(any(target_os = "android", target_os = "linux")))]
const STEADY: ClockId = ClockId::CLOCK_MONOTONIC;

/// Time since an arbitrary start. Only differences have a meaning.
pub(crate) fn steady() -> Duration {
    clock_gettime(STEADY).map(Duration::from).unwrap_or_default()
}

/// The current time.
#[expect(clippy::disallowed_methods, reason = "everything else takes the time from here, or as an argument")]
pub(crate) fn now() -> Timestamp {
    // A clock before 1970 is a wrong clock; the server compares only differences.
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}
