//! Time and randomness, so that tests can hold both in their hands.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hive_wire::Timestamp;
use hive_wire::id::Seed;

/// Tells the time of day.
pub trait Clock: Send + Sync {
    /// Returns the time now.
    fn now(&self) -> Timestamp;

    /// Returns a time that goes on evenly, also while somebody sets the clock: by it is decided what is over. It begins
    /// with the time of day and may be another later.
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
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(0).plus(since_epoch)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock everybody else asks")]
    fn steady(&self) -> Timestamp {
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

/// Gives random bytes fit for secrets.
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

/// A clock and a source of randomness: what ids and secrets are made of.
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
    /// Returns the time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the time by which is decided what is over: it does not jump.
    pub fn steady(&self) -> Timestamp {
        self.clock.steady()
    }

    /// Returns fresh random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// Returns what a new id is made of: `SatelliteId::new(source.seed())`.
    pub fn seed(&self) -> Seed {
        Seed { unix_millis: self.now().unix_millis(), random: self.random() }
    }
}
