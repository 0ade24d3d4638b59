//! Time and randomness. Tests replace both.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hive_wire::Timestamp;
use hive_wire::id::Seed;

/// A clock.
pub trait Clock: Send + Sync {
    /// Returns the time of day.
    fn now(&self) -> Timestamp;

    /// Returns the steady time, which decides about deadlines. It starts with the time of day and then advances evenly, also
    /// while the machine's clock is set. The two may differ from then on.
    fn steady(&self) -> Timestamp {
        self.now()
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock everybody else asks")]
    fn now(&self) -> Timestamp {
        // A machine without a battery for its clock may start before 1970. That must not stop the hive.
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(0).plus(since_epoch)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock everybody else asks")]
    fn steady(&self) -> Timestamp {
        // One origin for the whole process: the steady times of two clocks of one process can be compared.
        static BEGIN: OnceLock<(Instant, Timestamp)> = OnceLock::new();
        let (begin, time) = BEGIN.get_or_init(|| (Instant::now(), self.now()));
        time.plus(begin.elapsed())
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `time`.
    pub fn at(time: Timestamp) -> Self {
        Self(AtomicI64::new(time.as_micros()))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A source of random bytes that are suitable for secrets.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// A clock and a source of randomness, from which ids and secrets are made.
#[derive(Clone)]
pub struct ClockAndRng {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl Default for ClockAndRng {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy) }
    }
}

impl ClockAndRng {
    /// Returns the time of day.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the steady time, which decides about deadlines. See [`Clock::steady`].
    pub fn steady(&self) -> Timestamp {
        self.clock.steady()
    }

    /// Returns fresh random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// Returns the seed of a new id: `SatelliteId::new(source.seed())`.
    pub fn seed(&self) -> Seed {
        // The time of day, not the steady time: ids sort by it, also over restarts.
        Seed { unix_millis: self.now().unix_millis(), random: self.random() }
    }
}
