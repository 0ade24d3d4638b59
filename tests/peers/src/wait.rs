//! Waiting for a condition, never for a time.

use std::time::Duration;

/// How long a condition may take before the test gives up: far more than it should ever need on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// Waits until the condition holds; panics with `what` when it does not come.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    until_some(what, async || holds().await.then_some(())).await;
}

/// Waits until there is something, and returns it; panics with `what` when it does not come.
pub async fn until_some<T>(what: &str, mut get: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(value) = get().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
        // Polled: what tests wait for is in other processes, which cannot notify them.
        tokio::time::sleep(INTERVAL).await;
    }
}
