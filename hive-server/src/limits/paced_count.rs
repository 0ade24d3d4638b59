//! Paces the warnings about something that callers can cause as often as they like.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time between two warnings.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);

/// Counts something, and says when a warning about it is due: at most once a minute, with the number since the one before.
#[derive(Debug, Default)]
pub(crate) struct PacedCount {
    count: u64,
    warned_at: Option<Instant>,
}

impl PacedCount {
    /// Counts one. Returns the number since the last warning if another one is due.
    pub(crate) fn record(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        if self.warned_at.is_some_and(|at| now < at + WARNING_INTERVAL) {
            return None;
        }
        self.warned_at = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_due_once_a_minute() {
        let now = Instant::now();
        let mut counted = PacedCount::default();
        assert_eq!(counted.record(now), Some(1));
        for second in 1..60 {
            assert_eq!(counted.record(now + Duration::from_secs(second)), None);
        }
        assert_eq!(counted.record(now + WARNING_INTERVAL), Some(60));
    }
}
