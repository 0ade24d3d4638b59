//! The timeouts of sessions: claims and leases of viewers that stay away end, sizes are stored, and sessions of satellites
//! that do not return end as lost.

use std::collections::HashSet;
use std::time::Duration;

use hive_wire::SessionId;
use hive_wire::api::EndReason;

use super::Sessions;
use super::ending::end_as;
use crate::Result;
use crate::settings::Settings;
use crate::sync::lock;

/// How long a session may outlive its linger time here. The satellite counts from the moment when it noticed the loss of the
/// link, which may be later.
const LOST_GRACE: Duration = Duration::from_mins(1);
/// The longest interval between two ticks.
const TICK: Duration = Duration::from_secs(1);
/// The shortest interval between two ticks.
const LEAST_TICK: Duration = Duration::from_millis(10);

/// Returns the interval of the ticks: a quarter of the shortest timeout, so that no timeout lasts much longer than set.
pub(crate) fn tick_interval(settings: &Settings) -> Duration {
    TICK.min(settings.claim_stall / 4).min(settings.claim_linger / 4).max(LEAST_TICK)
}

/// Whether a session whose satellite has no link since `away_since` counts as lost.
fn is_lost(now: Duration, away_since: Duration, linger: Duration) -> bool {
    now.saturating_sub(away_since) >= linger + LOST_GRACE
}

impl Sessions {
    /// Handles the timeouts of all sessions. It does not wait for the store, which must not keep claims and leases alive.
    pub(crate) fn tick(&self) {
        for session in self.all() {
            let tick = session.tick(self.now());
            if tick.is_over {
                self.remove(session.id);
            }
            if let Some(size) = tick.size {
                lock(&self.unstored_sizes).insert(session.id, size);
            }
        }
    }

    /// Stores the sizes that the ticks found changed. Those that cannot be stored are dropped: the next change of a size is
    /// stored again.
    pub(crate) async fn store_sizes(&self) -> Result<()> {
        let sizes = std::mem::take(&mut *lock(&self.unstored_sizes));
        for (id, size) in sizes {
            self.store.session_resize(id, size).await?;
        }
        Ok(())
    }

    /// Ends sessions whose satellite has been away for too long, and those that another process has ended.
    pub(crate) async fn end_lost(&self) -> Result<()> {
        // Before the store is read: a session that is added after that would be missing in the result and count as ended.
        let unknown: Vec<_> = self.all().into_iter().filter(|session| session.is_unheard_of()).collect();
        let open = self.store.session_list_open_ids().await?;
        let is_open: HashSet<_> = open.iter().copied().collect();
        for session in unknown.iter().filter(|session| !is_open.contains(&session.id)) {
            session.end(self.now(), end_as(EndReason::Lost, None));
        }
        for id in &open {
            // Each row is read by itself. One that cannot be read must not keep the others from ending.
            let ended = self.end_if_lost(*id).await;
            self.context.unreadable_rows().pass_over("session", id, ended)?;
        }
        Ok(())
    }

    async fn end_if_lost(&self, id: SessionId) -> Result<()> {
        // A session that this process does not have counts as away since the process started. One that is being opened is
        // not away.
        let away_since = self.get(id).map_or(Some(Duration::ZERO), |session| session.away_since());
        let linger = self.context.settings().session_linger;
        if !away_since.is_some_and(|since| is_lost(self.now(), since, linger)) {
            return Ok(());
        }
        match self.store.session_get(id).await? {
            // An online satellite has reported its sessions in the handshake, and `resume` decides about them.
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
