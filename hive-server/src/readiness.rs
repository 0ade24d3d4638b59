//! Whether calls can be served. Asked by load balancers often and by strangers as often as they like, and therefore looked at
//! no more than once a second.

use std::sync::Mutex;
use std::time::Duration;

use hive_core::Hive;
use tokio::time::{Instant, timeout};

use crate::telemetry::with_causes;

/// How long an answer counts.
const FRESH: Duration = Duration::from_secs(1);
/// How long the storage may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The last answer, and when the storage was asked for it.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<Option<Look>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    at: Instant,
    /// Why calls cannot be served; none where they can.
    obstacle: Option<String>,
}

impl Readiness {
    /// Why calls cannot be served, as of a second ago at most; none where they can.
    pub(crate) async fn look(&self, hive: &Hive) -> Option<String> {
        if let Some(look) = self.known(Instant::now()) {
            return look.obstacle;
        }
        let obstacle = match timeout(PATIENCE, hive.check_ready()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                tracing::debug!(cause = %with_causes(&error), "the storage cannot be used");
                Some(error.to_wire().message)
            }
            Err(_) => Some("the storage does not answer in time".to_owned()),
        };
        self.note(Look { at: Instant::now(), obstacle: obstacle.clone() });
        obstacle
    }

    /// Keeps an answer, and tells the log where it is another one than before.
    fn note(&self, look: Look) {
        let mut last = self.0.lock().expect("nothing panics while it holds this lock");
        let before = last.as_ref().and_then(|look| look.obstacle.clone());
        match &look.obstacle {
            Some(obstacle) if before.as_ref() != Some(obstacle) => {
                tracing::warn!(reason = %obstacle, "the server is not ready");
            }
            None if before.is_some() => tracing::info!("the server is ready again"),
            _ => {}
        }
        *last = Some(look);
    }

    /// The last answer where it still counts. Where it does not, it counts once more for all but the one who asks now: that
    /// one looks, and the others are not kept waiting.
    fn known(&self, now: Instant) -> Option<Look> {
        let mut last = self.0.lock().expect("nothing panics while it holds this lock");
        let look = last.as_mut()?;
        if now < look.at + FRESH {
            return Some(look.clone());
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
        let full = || Some("the disk is full".to_owned());
        let readiness = Readiness::default();
        assert_eq!(readiness.known(now), None);
        readiness.note(Look { at: now, obstacle: full() });
        assert_eq!(readiness.known(now).unwrap().obstacle, full());
        let later = now + FRESH;
        assert_eq!(readiness.known(later), None);
        assert_eq!(readiness.known(later).unwrap().obstacle, full());
    }
}
