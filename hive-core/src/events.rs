//! Events of satellites, and who is told of each.

use hive_wire::TeamId;
use hive_wire::api::SatelliteEvent;
use tokio::sync::{broadcast, mpsc};

use crate::access::Sight;
use crate::hive::Hive;

/// An event, as it goes to all subscriptions of this process.
#[derive(Debug, Clone)]
pub(crate) struct Announcement {
    event: SatelliteEvent,
    audience: Audience,
}

/// Who is told of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Who sees the satellite when the event reaches them.
    Present,
    /// Who saw it as it was, when it was of this team: there is nothing left to look at.
    Former(Option<TeamId>),
    /// Who saw it when it was of `from`, and does not now that it is of `to`.
    Leaving { from: Option<TeamId>, to: Option<TeamId> },
}

impl Audience {
    /// Whether somebody with this sight is told; `None` where the satellite must be looked at.
    fn includes(self, sight: &Sight) -> Option<bool> {
        match self {
            Self::Present if *sight == Sight::Everything => Some(true),
            Self::Present => None,
            Self::Former(team) => Some(sight.covers(team)),
            Self::Leaving { from, to } => Some(sight.covers(from) && !sight.covers(to)),
        }
    }
}

impl Hive {
    /// Tells all who see the satellite. Nobody listening is fine.
    pub(crate) fn publish(&self, event: impl FnOnce(u64) -> SatelliteEvent) {
        self.publish_to(Audience::Present, event);
    }

    /// Tells an audience.
    pub(crate) fn publish_to(&self, audience: Audience, event: impl FnOnce(u64) -> SatelliteEvent) {
        let event = event(self.inner.links.next_event());
        drop(self.inner.events.send(Announcement { event, audience }));
    }

    /// Passes on what somebody with this sight is told, until the listener falls behind.
    pub(crate) async fn pass_on(
        self,
        mut events: broadcast::Receiver<Announcement>,
        sight: Sight,
        listener: mpsc::Sender<SatelliteEvent>,
    ) {
        loop {
            let Ok(announcement) = events.recv().await else { return };
            if self.is_told(&sight, &announcement).await && listener.try_send(announcement.event).is_err() {
                return;
            }
        }
    }

    async fn is_told(&self, sight: &Sight, announcement: &Announcement) -> bool {
        if let Some(is_included) = announcement.audience.includes(sight) {
            return is_included;
        }
        let Some(id) = announcement.event.satellite() else { return false };
        let row = self.store().satellite_get(id).await.ok().flatten();
        row.is_some_and(|row| sight.covers(row.team_id))
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
            assert_eq!(leaving.includes(&Sight::Teams(teams.to_vec())), Some(expected), "{teams:?}");
        };
        check(&[blue], true);
        check(&[red], false);
        check(&[blue, red], false);
        check(&[], false);
        assert_eq!(leaving.includes(&Sight::Everything), Some(false));
        assert_eq!(Audience::Former(Some(blue)).includes(&Sight::Teams(vec![blue])), Some(true));
        assert_eq!(Audience::Former(None).includes(&Sight::Teams(vec![blue])), Some(false));
    }
}
