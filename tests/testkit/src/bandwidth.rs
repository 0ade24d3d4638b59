//! How long bytes have to wait on a slow line.

use std::time::Duration;

/// A line that passes so many bytes a second, one after the other: what comes while it is busy waits. Times are since any
/// fixed moment, told by the caller.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bandwidth {
    free_at: Duration,
}

impl Bandwidth {
    /// Puts bytes on the line; how long it takes until the last one is through.
    pub(crate) fn pass(&mut self, now: Duration, bytes: usize, bytes_per_second: u64) -> Duration {
        let took = Duration::from_secs_f64(bytes as f64 / bytes_per_second as f64);
        // An idle line saves nothing up for later.
        self.free_at = self.free_at.max(now) + took;
        self.free_at.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn bytes_wait_for_those_before_them() {
        let mut line = Bandwidth::default();
        assert_eq!(line.pass(ms(0), 1_000, 10_000), ms(100));
        assert_eq!(line.pass(ms(0), 1_000, 10_000), ms(200));
        assert_eq!(line.pass(ms(150), 500, 10_000), ms(100));
    }

    #[test]
    fn an_idle_line_saves_nothing_up() {
        let mut line = Bandwidth::default();
        line.pass(ms(0), 1_000, 10_000);
        assert_eq!(line.pass(ms(60_000), 1_000, 10_000), ms(100));
    }

    #[test]
    fn a_late_caller_does_not_slow_the_line() {
        let mut line = Bandwidth::default();
        let mut now = ms(0);
        for _ in 0..100 {
            now += line.pass(now, 100, 10_000) + Duration::from_micros(10);
        }
        assert!(now < ms(1_002), "{now:?}");
    }
}
