//! Retries of what a satellite has reported while the storage is not reachable.
//!
//! A caller gets the error at once and may try again. A satellite would have to be disconnected, and a database that is gone
//! for some seconds would then make all satellites reconnect at the same time.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

/// The pause between two attempts.
pub(crate) const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Whether a failed operation is tried again. It ends at a deadline, and with the hive.
pub(crate) struct RetryWindow {
    deadline: Instant,
    shutdown: CancellationToken,
}

impl RetryWindow {
    /// A window that begins now.
    pub(crate) fn new(length: Duration, shutdown: CancellationToken) -> Self {
        Self { deadline: Instant::now() + length, shutdown }
    }

    /// Pauses and returns true where the storage was not reachable and the window is open; returns false where the result is
    /// the last one.
    pub(crate) async fn should_retry<T>(&self, result: &Result<T>) -> bool {
        // Only the storage comes back by waiting. Every other error would be the same the next time.
        let may_succeed_later = matches!(result, Err(Error::Unavailable(_))) && Instant::now() < self.deadline;
        may_succeed_later && self.shutdown.run_until_cancelled(sleep(RETRY_INTERVAL)).await.is_some()
    }
}
