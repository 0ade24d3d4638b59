//! Events of satellites, and who may see each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hive_wire::TeamId;
use hive_wire::api::SatelliteEvent;
use tokio::sync::{broadcast, mpsc};

use crate::access::{Permission, Principal, VisibleTeams, visible_teams};
use crate::grants::AccessGrants;
use crate::store::SatelliteStore;
use crate::{Result, Subscription};

/// Events that a slow subscription may be behind before it ends.
const CAPACITY: usize = 1024;

/// The events of this process's satellites.
pub(crate) struct Events {
    store: Arc<dyn SatelliteStore>,
    grants: Arc<AccessGrants>,
    sequence: AtomicU64,
    sender: broadcast::Sender<Announcement>,
}

/// An event, as it goes to all subscriptions of this process.
#[derive(Debug, Clone)]
struct Announcement {
    event: SatelliteEvent,
    audience: Audience,
}

/// Who may see an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Whoever may see the satellite when the event reaches them.
    Present,
    /// Whoever could see it when it was of this team: the satellite was removed, and cannot be looked up.
    Former(Option<TeamId>),
    /// Whoever could see it when it was of `from`, and cannot now that it is of `to`.
    Leaving { from: Option<TeamId>, to: Option<TeamId> },
}

impl Audience {
    /// Returns whether a caller who sees `visible` may see the event; `None` where the satellite has to be looked up.
    fn includes(self, visible: &VisibleTeams) -> Option<bool> {
        match self {
            Self::Present if *visible == VisibleTeams::All => Some(true),
            Self::Present => None,
            Self::Former(team) => Some(visible.covers(team)),
            Self::Leaving { from, to } => Some(visible.covers(from) && !visible.covers(to)),
        }
    }
}

impl Events {
    pub(crate) fn new(store: Arc<dyn SatelliteStore>, grants: Arc<AccessGrants>) -> Self {
        Self { store, grants, sequence: AtomicU64::new(0), sender: broadcast::channel(CAPACITY).0 }
    }

    /// Publishes an event to all who may see the satellite. It is fine that nobody subscribes.
    pub(crate) fn publish(&self, event: impl FnOnce(u64) -> SatelliteEvent) {
        self.publish_to(Audience::Present, event);
    }

    /// Publishes an event to an audience.
    pub(crate) fn publish_to(&self, audience: Audience, event: impl FnOnce(u64) -> SatelliteEvent) {
        let event = event(self.sequence.fetch_add(1, Ordering::Relaxed) + 1);
        drop(self.sender.send(Announcement { event, audience }));
    }

    /// Subscribes a principal to the events of the satellites it may see.
    pub(crate) async fn subscribe(self: &Arc<Self>, principal: &Principal) -> Result<Subscription<SatelliteEvent>> {
        let (listener, subscription) = Subscription::channel();
        // Before the grant is issued, which reads the store: what happens meanwhile is not missed.
        let received = self.sender.subscribe();
        let visible = visible_teams(principal, &Permission::SatellitesRead);
        let forward = self.clone().forward(received, visible, listener.clone());
        self.grants.spawn_stream(principal, &listener, forward).await?;
        Ok(subscription)
    }

    /// Forwards what is visible, until the listener falls behind.
    async fn forward(
        self: Arc<Self>,
        mut received: broadcast::Receiver<Announcement>,
        visible: VisibleTeams,
        listener: mpsc::Sender<SatelliteEvent>,
    ) {
        loop {
            let Ok(announcement) = received.recv().await else { return };
            if self.is_visible(&visible, &announcement).await && listener.try_send(announcement.event).is_err() {
                return;
            }
        }
    }

    async fn is_visible(&self, visible: &VisibleTeams, announcement: &Announcement) -> bool {
        if let Some(is_included) = announcement.audience.includes(visible) {
            return is_included;
        }
        let Some(id) = announcement.event.satellite() else { return false };
        let row = self.store.satellite_get(id).await.ok().flatten();
        row.is_some_and(|row| visible.covers(row.team_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;

    #[test]
    fn who_loses_sight_of_a_satellite_is_told() {
        let team = |n| TeamId::new(Seed { unix_millis: 1, random: [n; 10] });
        let (blue, red) = (team(1), team(2));
        let leaving = Audience::Leaving { from: Some(blue), to: Some(red) };
        let check = |teams: &[TeamId], expected: bool| {
            assert_eq!(leaving.includes(&VisibleTeams::Teams(teams.to_vec())), Some(expected), "{teams:?}");
        };
        check(&[blue], true);
        check(&[red], false);
        check(&[blue, red], false);
        check(&[], false);
        assert_eq!(leaving.includes(&VisibleTeams::All), Some(false));
        assert_eq!(Audience::Former(Some(blue)).includes(&VisibleTeams::Teams(vec![blue])), Some(true));
        assert_eq!(Audience::Former(None).includes(&VisibleTeams::Teams(vec![blue])), Some(false));
    }
}
