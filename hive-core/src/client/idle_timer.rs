//! Detects a hive that is silent.

use std::time::Duration;

use tokio::time::Instant;

/// Silence after which a ping is sent.
const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// How long the answer to a ping may take. After that the connection counts as broken.
const PONG_TIMEOUT: Duration = Duration::from_secs(20);

/// When the last message was received, and whether a ping is unanswered.
#[derive(Debug)]
pub(super) struct IdleTimer {
    received_at: Instant,
    pinged_at: Option<Instant>,
}

/// What to do about the silence.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeepaliveAction {
    /// Wait until then.
    Wait(Instant),
    /// Send a ping, and check again then.
    Ping(Instant),
    /// Close the connection.
    Close,
}

impl IdleTimer {
    /// A message was received at `now`.
    pub(super) fn since(now: Instant) -> Self {
        Self { received_at: now, pinged_at: None }
    }

    /// Checks the timer when no message is available. A caller that did not read for a while sends a ping before it
    /// closes.
    pub(super) fn check(&mut self, now: Instant) -> KeepaliveAction {
        let next = self.pinged_at.map_or(self.received_at + IDLE_LIMIT, |pinged_at| pinged_at + PONG_TIMEOUT);
        if now < next {
            return KeepaliveAction::Wait(next);
        }
        // Closed only after an unanswered ping, never for silence alone: the caller may not have read for hours, and the hive
        // has no reason to send anything.
        if self.pinged_at.is_some() {
            return KeepaliveAction::Close;
        }
        self.pinged_at = Some(now);
        KeepaliveAction::Ping(now + PONG_TIMEOUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_hive_is_asked_before_it_is_given_up() {
        let start = Instant::now();
        let mut idle_timer = IdleTimer::since(start);
        assert_eq!(idle_timer.check(start), KeepaliveAction::Wait(start + IDLE_LIMIT));
        let late = start + 100 * IDLE_LIMIT;
        assert_eq!(idle_timer.check(late), KeepaliveAction::Ping(late + PONG_TIMEOUT));
        assert_eq!(idle_timer.check(late), KeepaliveAction::Wait(late + PONG_TIMEOUT));
        assert_eq!(idle_timer.check(late + PONG_TIMEOUT), KeepaliveAction::Close);
    }
}
