//! A token bucket for handshakes, with a queue length from which it computes when a refused caller shall retry.

use std::time::Duration;

use tokio::time::Instant;

/// The part of a second whose handshakes may come in one burst.
const BURST_SECONDS: f64 = 0.5;
/// The part of a second by which a bucket may be overdrawn for failed attempts.
const DEBT_SECONDS: f64 = 1.0;
/// The shortest retry delay.
pub(super) const MIN_RETRY_DELAY: Duration = Duration::from_secs(1);
/// The longest period over which retries are spread. A satellite that waits longer looks offline to its users.
pub(super) const MAX_RETRY_SPREAD: Duration = Duration::from_secs(30);

/// How many handshakes may begin in a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct HandshakeRate {
    per_second: f64,
    max_concurrent: f64,
}

impl HandshakeRate {
    /// `per_second` is 0 for no limit.
    pub(super) fn new(per_second: u32, max_concurrent: usize) -> Self {
        Self { per_second: f64::from(per_second), max_concurrent: max_concurrent.max(1) as f64 }
    }

    pub(super) fn is_limited(self) -> bool {
        self.per_second > 0.0
    }

    fn burst(self) -> f64 {
        (self.per_second * BURST_SECONDS).max(1.0)
    }

    /// Handshakes that are expected to finish in a second. Without a rate, this is as many as may run at the same time.
    fn throughput(self) -> f64 {
        if self.is_limited() { self.per_second } else { self.max_concurrent }
    }
}

/// What is left of a rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenBucket {
    /// Handshakes that may begin now; negative for an address with failed attempts.
    tokens: f64,
    /// Callers that were refused and are expected to be admitted later.
    pub(super) queued: f64,
    refilled_at: Instant,
}

impl TokenBucket {
    pub(super) fn full(rate: HandshakeRate, now: Instant) -> Self {
        Self { tokens: rate.burst(), queued: 0.0, refilled_at: now }
    }

    pub(super) fn refill(&mut self, rate: HandshakeRate, now: Instant) {
        let seconds = now.saturating_duration_since(self.refilled_at).as_secs_f64();
        self.refilled_at = now;
        // Unused tokens above the burst are lost: an idle hour must not allow 3,600 seconds' worth at once.
        self.tokens = (self.tokens + seconds * rate.per_second).min(rate.burst());
        // Nobody reports a retry, so the queue shrinks at the rate at which refused callers can be admitted.
        self.queued = (self.queued - seconds * rate.throughput()).max(0.0);
    }

    pub(super) fn is_full(&self, rate: HandshakeRate) -> bool {
        self.tokens >= rate.burst()
    }

    pub(super) fn has_token(&self, rate: HandshakeRate) -> bool {
        !rate.is_limited() || self.tokens >= 1.0
    }

    pub(super) fn take(&mut self) {
        self.tokens -= 1.0;
    }

    pub(super) fn refund(&mut self, rate: HandshakeRate) {
        self.tokens = (self.tokens + 1.0).min(rate.burst());
    }

    /// Takes `cost` tokens, down to a debt of one second.
    pub(super) fn charge(&mut self, cost: f64, rate: HandshakeRate) {
        self.tokens = (self.tokens - cost).max(-rate.per_second * DEBT_SECONDS);
    }

    /// Counts a refused caller and returns when it shall retry. `jitter` is a random number from 0 up to 1.
    pub(super) fn retry_after(&mut self, rate: HandshakeRate, jitter: f64) -> Duration {
        self.queued += 1.0;
        // Spread over the time that all refused callers need, so that they do not come back at the same moment.
        let seconds = (self.queued / rate.throughput()).min(MAX_RETRY_SPREAD.as_secs_f64());
        MIN_RETRY_DELAY + Duration::from_secs_f64(seconds).mul_f64(jitter)
    }
}
