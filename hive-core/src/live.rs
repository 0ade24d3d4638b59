//! What a person looks at: the satellites that they may see, and then everything that changes, in one stream.
//!
//! The modules in the order of a stream: `filter` decides without I/O of which satellites a client hears, `pages` are the satellites
//! that come first, `feed` is the stream, `steps` decides without I/O when what changes often is read again, `counts` are the numbers
//! that stand for what a client has not subscribed to, `message` is what comes out.
//!
//! A feed has a position in the events, and no queue: a client that does not read delays nobody, and gets a `resync` when events
//! behind its position are gone. Whether a client may see something is decided by [`may_see`](crate::access::may_see) when it is
//! about to be sent.

mod counts;
mod feed;
mod filter;
mod message;
mod pages;
mod steps;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hive_wire::ui::InitialSatellites;

use self::counts::CountCache;
use self::pages::InitialPages;
use crate::Result;
use crate::access::Principal;
use crate::context::ServiceContext;
use crate::events::Events;
use crate::grants::AccessGrants;
use crate::satellites::Satellites;

pub use feed::{FeedEnd, LiveFeed};
pub use message::LiveMessage;

/// The feeds of all clients.
pub(crate) struct Live {
    events: Arc<Events>,
    satellites: Arc<Satellites>,
    grants: Arc<AccessGrants>,
    context: ServiceContext,
    counts: CountCache,
}

impl Live {
    pub(crate) fn new(
        events: Arc<Events>,
        satellites: Arc<Satellites>,
        grants: Arc<AccessGrants>,
        context: ServiceContext,
    ) -> Self {
        Self { events, satellites, grants, context, counts: CountCache::default() }
    }

    /// Opens a feed for a principal.
    pub(crate) async fn open(self: &Arc<Self>, principal: &Principal, initial: InitialSatellites) -> Result<LiveFeed> {
        // Before the grant is issued and the first satellites are read: what happens meanwhile is not missed.
        let (position, states) = (self.events.cursor(), self.events.state_positions());
        let grant = self.grants.issue(principal).await?;
        let ids = match initial {
            InitialSatellites::All => self.satellites.visible_ids(principal).await?,
            InitialSatellites::None => Vec::new(),
        };
        let pages = InitialPages::new(principal, ids);
        Ok(LiveFeed::new(self.clone(), principal.clone(), grant, initial, (position, states), pages))
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}
