//! What happens to terminals by itself: claims and keyboards of those who stay away are given up, sizes are stored, and
//! terminals of satellites that do not come back are given up as lost.

use std::time::Duration;

use hive_wire::api::EndReason;
use tokio::time::MissedTickBehavior;
use tracing::warn;

use super::ending::end_as;
use crate::Result;
use crate::hive::{Hive, Settings};

/// How long beyond its time a terminal of a satellite without a link may still be there: the satellite counts from when it
/// noticed.
const LOST_GRACE: Duration = Duration::from_mins(1);
/// The longest time between two looks.
const TICK: Duration = Duration::from_secs(1);
/// The shortest.
const LEAST_TICK: Duration = Duration::from_millis(10);

/// Starts what happens by itself; it ends with the hive, or when nobody holds the hive any more.
pub(crate) fn start(hive: &Hive) {
    let inner = std::sync::Arc::downgrade(&hive.inner);
    let shutdown = hive.inner.shutdown.clone();
    let mut ticks = tokio::time::interval(tick(hive.settings()));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    hive.inner.tasks.spawn(async move {
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = shutdown.cancelled() => return,
            }
            let Some(inner) = inner.upgrade() else { return };
            if let Err(error) = (Hive { inner }).tick_sessions().await {
                warn!(error = %error, "size of a terminal not stored");
            }
        }
    });
}

/// Often enough that what lasts a while does not last much longer.
fn tick(settings: &Settings) -> Duration {
    TICK.min(settings.claim_stall / 4).min(settings.claim_linger / 4).max(LEAST_TICK)
}

/// Whether a terminal whose satellite has no link since then is given up.
fn is_lost(now: Duration, away_since: Duration, linger: Duration) -> bool {
    now.saturating_sub(away_since) >= linger + LOST_GRACE
}

impl Hive {
    async fn tick_sessions(&self) -> Result<()> {
        let sessions = &self.inner.sessions;
        for session in sessions.all() {
            let tick = session.tick(sessions.now());
            if tick.is_over {
                sessions.remove(session.id);
            }
            if let Some(size) = tick.size {
                self.store().session_resize(session.id, size).await?;
            }
        }
        Ok(())
    }

    /// Gives up terminals whose satellite has been away for too long, and those that ended without this process's doing.
    pub(crate) async fn end_lost_sessions(&self) -> Result<()> {
        let sessions = &self.inner.sessions;
        let unheard_of: Vec<_> = sessions.all().into_iter().filter(|session| session.is_unheard_of()).collect();
        let open = self.store().session_list_open(None).await?;
        for row in &open {
            // One that this process has not heard of is away since it began. One that is being opened is not away.
            let away_since = sessions.get(row.id).map_or(Some(Duration::ZERO), |session| session.away_since());
            let is_offline = !self.inner.links.is_online(row.satellite_id);
            let linger = self.settings().session_linger;
            if is_offline && away_since.is_some_and(|since| is_lost(sessions.now(), since, linger)) {
                self.end_session(row, end_as(EndReason::Lost, None)).await?;
            }
        }
        for session in unheard_of.iter().filter(|session| open.iter().all(|row| row.id != session.id)) {
            session.end(sessions.now(), end_as(EndReason::Lost, None));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_satellite_has_its_time_and_a_minute_to_come_back() {
        let (since, linger) = (Duration::from_secs(100), Duration::from_mins(10));
        assert!(!is_lost(Duration::from_secs(100 + 659), since, linger));
        assert!(is_lost(Duration::from_secs(100 + 660), since, linger));
    }

    #[test]
    fn short_claims_are_looked_at_often() {
        assert_eq!(tick(&Settings::default()), TICK);
        let short = Settings { claim_stall: Duration::from_millis(200), ..Settings::default() };
        assert_eq!(tick(&short), Duration::from_millis(50));
    }
}
