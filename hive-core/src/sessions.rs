//! Terminals, as this process has them.
//!
//! In the order in which a terminal meets them: `service` is what callers ask for, `opening` stores a terminal and asks its
//! satellite for it, `linking` agrees with each new link of a satellite on what is there, `live` is one terminal, made of the
//! plain parts `flow` (how far the output may go), `typing` (input on its way), `keyboard` (who may type), `modes` (what a
//! late viewer's screen must know) and `viewers`. `attachment` is one viewer's way in. `ending` gives a terminal its end, and
//! `housekeeping` is what happens by itself.
//!
//! The store knows which terminals there are and how they ended; their bytes are in memory alone, here and at the satellite,
//! so that either may restart and the other still has what a viewer needs to go on.

mod attachment;
mod ending;
mod flow;
mod housekeeping;
mod input_buffer;
mod keyboard;
mod linking;
mod live;
mod manager;
mod modes;
mod opening;
mod records;
mod service;
#[cfg(test)]
mod tests;
mod viewers;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hive_wire::{SatelliteId, SessionId};
use tokio::time::Instant;

use crate::context::ServiceContext;
use crate::grants::AccessGrants;
use crate::identity::auth_failures::AuthFailures;
use crate::keys::Keys;
use crate::links::{LinkHandle, Links};
use crate::settings::Settings;
use crate::store::{AuditStore, SatelliteStore, SessionRow, SessionStore, Store};
use crate::sync::lock;

pub(crate) use housekeeping::tick_interval;
pub(crate) use live::LiveSession;
pub use manager::{
    Attachment, AttachmentInput, AttachmentOutput, SessionEvent, SessionManager, ViewerAction, typed_bytes,
};
pub(crate) use manager::{SUBSCRIBED_EVENTS, check_size, forward, read_only};

use flow::ClaimTimeouts;

/// The sessions of all satellites.
pub(crate) struct Sessions {
    store: Arc<dyn SessionStore>,
    satellite_store: Arc<dyn SatelliteStore>,
    audit: Arc<dyn AuditStore>,
    keys: Arc<Keys>,
    grants: Arc<AccessGrants>,
    auth_failures: Arc<AuthFailures>,
    links: Arc<Links>,
    context: ServiceContext,
    /// Those of this process that are open, and those that ended a moment ago.
    live: Mutex<Entries>,
    origin: Instant,
}

#[derive(Default)]
struct Entries {
    by_id: HashMap<SessionId, Arc<LiveSession>>,
    by_satellite: HashMap<SatelliteId, Vec<Arc<LiveSession>>>,
}

impl Entries {
    fn insert(&mut self, session: Arc<LiveSession>) {
        self.by_satellite.entry(session.satellite).or_default().push(session.clone());
        self.by_id.insert(session.id, session);
    }

    fn remove(&mut self, id: SessionId) {
        let Some(session) = self.by_id.remove(&id) else { return };
        if let Some(others) = self.by_satellite.get_mut(&session.satellite) {
            others.retain(|other| other.id != id);
            if others.is_empty() {
                self.by_satellite.remove(&session.satellite);
            }
        }
    }
}

impl Sessions {
    pub(crate) fn new(
        store: &Arc<dyn Store>,
        keys: Arc<Keys>,
        grants: Arc<AccessGrants>,
        auth_failures: Arc<AuthFailures>,
        links: Arc<Links>,
        context: ServiceContext,
    ) -> Self {
        Self {
            store: store.clone(),
            satellite_store: store.clone(),
            audit: store.clone(),
            keys,
            grants,
            auth_failures,
            links,
            context,
            live: Mutex::default(),
            origin: Instant::now(),
        }
    }

    /// Returns the time since this process began to have sessions.
    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<Arc<LiveSession>> {
        self.with(|entries| entries.by_id.get(&id).cloned())
    }

    /// Returns a session where it is this satellite's.
    fn get_of(&self, id: SessionId, satellite: SatelliteId) -> Option<Arc<LiveSession>> {
        self.get(id).filter(|session| session.satellite == satellite)
    }

    /// Returns the sessions of a satellite.
    fn of(&self, satellite: SatelliteId) -> Vec<Arc<LiveSession>> {
        self.with(|entries| entries.by_satellite.get(&satellite).cloned().unwrap_or_default())
    }

    /// Notes that a link is gone.
    pub(crate) fn on_link_lost(&self, link: &LinkHandle) {
        for session in self.of(link.satellite) {
            session.on_link_lost(self.now(), link.epoch);
        }
    }

    /// Ends all attachments: the hive stops.
    pub(crate) fn close_all(&self) {
        self.all().iter().for_each(|session| session.close());
    }

    fn all(&self) -> Vec<Arc<LiveSession>> {
        self.with(|entries| entries.by_id.values().cloned().collect())
    }

    fn insert(&self, session: Arc<LiveSession>) {
        self.with(|entries| entries.insert(session));
    }

    /// Returns a session that the store has as open. One that is not known to this process is waited for from now on.
    fn live_session(&self, row: &SessionRow) -> Arc<LiveSession> {
        let now = self.now();
        self.with(|entries| {
            if let Some(known) = entries.by_id.get(&row.id) {
                return known.clone();
            }
            let session = Arc::new(LiveSession::stored(row, claim_timeouts(self.context.settings()), now));
            entries.insert(session.clone());
            session
        })
    }

    fn remove(&self, id: SessionId) {
        self.with(|entries| entries.remove(id));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Entries) -> T) -> T {
        work(&mut lock(&self.live))
    }
}

fn claim_timeouts(settings: &Settings) -> ClaimTimeouts {
    ClaimTimeouts { stall: settings.claim_stall, linger: settings.claim_linger }
}
