//! Whether the storage answers. Asked by load balancers often and by strangers as often as they like, and therefore looked
//! at no more than once a second.

use std::sync::Mutex;
use std::time::Duration;

use hive_core::Hive;
use tokio::time::{Instant, timeout};

/// How long an answer counts.
const FRESH: Duration = Duration::from_secs(1);
/// How long the storage may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The last answer, and when the storage was asked for it.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<Option<Look>>);

#[derive(Clone, Copy)]
struct Look {
    at: Instant,
    is_ready: bool,
}

impl Readiness {
    /// Whether the storage answers, as of a second ago at most.
    pub(crate) async fn look(&self, hive: &Hive) -> bool {
        if let Some(is_ready) = self.known(Instant::now()) {
            return is_ready;
        }
        let is_ready = timeout(PATIENCE, hive.is_ready()).await.unwrap_or(false);
        *self.0.lock().expect("nothing panics while it holds this lock") = Some(Look { at: Instant::now(), is_ready });
        is_ready
    }

    /// The last answer where it still counts. Where it does not, it counts once more for all but the one who asks now: that
    /// one looks, and the others are not kept waiting.
    fn known(&self, now: Instant) -> Option<bool> {
        let mut last = self.0.lock().expect("nothing panics while it holds this lock");
        let look = last.as_mut()?;
        if now < look.at + FRESH {
            return Some(look.is_ready);
        }
        look.at = now;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_looks_and_the_others_take_the_answer_before() {
        let now = Instant::now();
        let readiness = Readiness(Mutex::new(Some(Look { at: now, is_ready: true })));
        assert_eq!(readiness.known(now), Some(true));
        let later = now + FRESH;
        assert_eq!(readiness.known(later), None);
        assert_eq!(readiness.known(later), Some(true));
    }
}
