//! Whether a hive that says nothing is still there.

use std::time::Duration;

use tokio::time::Instant;

/// Silence after which the hive is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(10);
/// How long it may take to answer that; then the way counts as broken.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a hive has said nothing, and whether it was asked.
#[derive(Debug)]
pub(super) struct Silence {
    heard: Instant,
    asked: Option<Instant>,
}

/// What to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing before then.
    Again(Instant),
    /// Ask, and look again then.
    Ask(Instant),
    /// It is not there any more.
    GiveUp,
}

impl Silence {
    /// Something was heard now.
    pub(super) fn since(now: Instant) -> Self {
        Self { heard: now, asked: None }
    }

    /// Looks at the clock, when nothing is there to be heard. Who did not listen for a while asks before they give up.
    pub(super) fn look(&mut self, now: Instant) -> Look {
        let next = self.asked.map_or(self.heard + SILENCE, |asked| asked + ANSWER_TIMEOUT);
        if now < next {
            return Look::Again(next);
        }
        if self.asked.is_some() {
            return Look::GiveUp;
        }
        self.asked = Some(now);
        Look::Ask(now + ANSWER_TIMEOUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_hive_is_asked_before_it_is_given_up() {
        let start = Instant::now();
        let mut silence = Silence::since(start);
        assert_eq!(silence.look(start), Look::Again(start + SILENCE));
        let late = start + 100 * SILENCE;
        assert_eq!(silence.look(late), Look::Ask(late + ANSWER_TIMEOUT));
        assert_eq!(silence.look(late), Look::Again(late + ANSWER_TIMEOUT));
        assert_eq!(silence.look(late + ANSWER_TIMEOUT), Look::GiveUp);
    }
}
