//! What happens to terminals by itself: claims and keyboards of those who stay away are given up, sizes are stored, and
//! terminals of satellites that do not come back are given up as lost.

use std::collections::HashSet;
use std::time::Duration;

use hive_wire::SessionId;
use hive_wire::api::EndReason;

use super::Sessions;
use super::ending::end_as;
use crate::settings::Settings;
use crate::{Error, Result};

/// How long beyond its time a terminal of a satellite without a link may still be there: the satellite counts from when it
/// noticed.
const LOST_GRACE: Duration = Duration::from_mins(1);
/// The longest time between two looks.
const TICK: Duration = Duration::from_secs(1);
/// The shortest.
const LEAST_TICK: Duration = Duration::from_millis(10);

/// Often enough that what lasts a while does not last much longer.
pub(crate) fn tick_interval(settings: &Settings) -> Duration {
    TICK.min(settings.claim_stall / 4).min(settings.claim_linger / 4).max(LEAST_TICK)
}

/// Whether a terminal whose satellite has no link since then is given up.
fn is_lost(now: Duration, away_since: Duration, linger: Duration) -> bool {
    now.saturating_sub(away_since) >= linger + LOST_GRACE
}

impl Sessions {
    /// Does what is due of each session.
    pub(crate) async fn tick(&self) -> Result<()> {
        let mut result = Ok(());
        for session in self.all() {
            let tick = session.tick(self.now());
            if tick.is_over {
                self.remove(session.id);
            }
            // A size that cannot be stored must not keep the claims of the other sessions alive.
            if let Some(size) = tick.size {
                result = result.and(self.store.session_resize(session.id, size).await.map_err(Error::from));
            }
        }
        result
    }

    /// Ends sessions whose satellite has been away for too long, and those that another process has ended.
    pub(crate) async fn end_lost(&self) -> Result<()> {
        let unknown: Vec<_> = self.all().into_iter().filter(|session| session.is_unheard_of()).collect();
        let open = self.store.session_list_open_ids().await?;
        for id in &open {
            let ended = self.end_if_lost(*id).await;
            self.context.unreadable_rows().pass_over("session", id, ended)?;
        }
        let is_open: HashSet<_> = open.into_iter().collect();
        for session in unknown.iter().filter(|session| !is_open.contains(&session.id)) {
            session.end(self.now(), end_as(EndReason::Lost, None));
        }
        Ok(())
    }

    async fn end_if_lost(&self, id: SessionId) -> Result<()> {
        // One that this process does not know is away since the process began. One that is being opened is not away.
        let away_since = self.get(id).map_or(Some(Duration::ZERO), |session| session.away_since());
        let linger = self.context.settings().session_linger;
        if !away_since.is_some_and(|since| is_lost(self.now(), since, linger)) {
            return Ok(());
        }
        match self.store.session_get(id).await? {
            Some(row) if !self.links.is_online(row.satellite_id) => self.end(&row, end_as(EndReason::Lost, None)).await,
            _ => Ok(()),
        }
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
        assert_eq!(tick_interval(&Settings::default()), TICK);
        let short = Settings { claim_stall: Duration::from_millis(200), ..Settings::default() };
        assert_eq!(tick_interval(&short), Duration::from_millis(50));
    }
}
