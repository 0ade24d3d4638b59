//! Counts the calls that a limit has refused, and warns about them in the log: at most once a minute for each class and reason.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::time::Instant;

use super::lock;
use super::paced_count::PacedCount;
use super::rate_class::RateClass;

/// The limit that refused a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RefusalReason {
    /// The calls of a login.
    LoginCalls,
    /// The commands of a login on one satellite, or on several at once.
    LoginCommands,
    /// The calls of an API key.
    KeyCalls,
    /// The wrong passwords of an address.
    WrongPasswords,
    /// The names that a caller found to be in use.
    TakenNames,
}

impl RefusalReason {
    fn as_str(self) -> &'static str {
        match self {
            Self::LoginCalls => "login_calls",
            Self::LoginCommands => "login_commands",
            Self::KeyCalls => "key_calls",
            Self::WrongPasswords => "wrong_passwords",
            Self::TakenNames => "taken_names",
        }
    }
}

/// How many calls of a class a limit has refused since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedCalls {
    /// The class of the calls: `read`, `act`, `exec` or `login`.
    pub class: &'static str,
    /// The limit: `login_calls`, `login_commands`, `key_calls`, `wrong_passwords` or `taken_names`.
    pub reason: &'static str,
    /// The number of calls.
    pub count: u64,
}

/// The counts of one server.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<(RateClass, RefusalReason), RefusalCount>>);

#[derive(Debug, Default)]
struct RefusalCount {
    count: u64,
    warnings: PacedCount,
}

impl Refusals {
    /// Counts a refused call.
    pub(super) fn count(&self, class: RateClass, reason: RefusalReason, now: Instant) {
        let due = {
            let mut refused = lock(&self.0);
            let refused = refused.entry((class, reason)).or_default();
            refused.count += 1;
            refused.warnings.record(now)
        };
        if let Some(refused) = due {
            let (class, reason) = (class.as_str(), reason.as_str());
            tracing::warn!(class, reason, refused, "calls are refused, because a caller is over a rate");
        }
    }

    /// Returns the counts that are not zero.
    pub(super) fn counts(&self) -> Vec<RefusedCalls> {
        let count = |(&(class, reason), refused): (&(RateClass, RefusalReason), &RefusalCount)| RefusedCalls {
            class: class.as_str(),
            reason: reason.as_str(),
            count: refused.count,
        };
        lock(&self.0).iter().map(count).collect()
    }
}
