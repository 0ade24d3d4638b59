//! How long to wait before the next attempt to attach.

use std::time::Duration;

use crate::clock::Entropy;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Waits that double, each between half of itself and the whole, so that those who were cut off together do not come
/// back together.
#[derive(Debug)]
pub(super) struct Backoff {
    ceiling: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { ceiling: FIRST }
    }
}

impl Backoff {
    /// How long to wait this time.
    pub(super) fn next_wait(&mut self, entropy: &impl Entropy) -> Duration {
        let mut random = [0];
        entropy.fill(&mut random);
        let wait = self.ceiling.mul_f64(0.5 + f64::from(random[0]) / 512.0);
        self.ceiling = (2 * self.ceiling).min(LONGEST);
        wait
    }

    /// Takes in that an attempt has led to something.
    pub(super) fn reset(&mut self) {
        self.ceiling = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Always(u8);

    impl Entropy for Always {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn waits_double_up_to_five_seconds() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.next_wait(&Always(0)).as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 2500, 2500]);
        backoff.reset();
        assert_eq!(backoff.next_wait(&Always(0)), Duration::from_millis(50));
    }

    #[test]
    fn chance_never_makes_a_wait_longer_than_its_ceiling() {
        let wait = Backoff::default().next_wait(&Always(255));
        assert!(wait > Duration::from_millis(99) && wait <= FIRST, "{wait:?}");
    }
}
