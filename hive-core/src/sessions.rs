//! The sessions of this process.
//!
//! The modules, in the order in which a session uses them: `manager` is the public trait. `service` implements it. `opening`
//! stores a session and asks its satellite to start it. `linking` resumes the sessions of a satellite over a new link.
//! `live` is one open session. It consists of plain structs without I/O: `flow` (flow control of the output), `input_buffer`
//! (input in flight), `keyboard` (the viewer that may type), `modes` (the terminal modes that a fresh screen needs) and
//! `viewers`. `attachment` is the attachment of one viewer. `ending` ends sessions. `housekeeping` handles timeouts.
//!
//! The store holds which sessions exist and how they ended. Their input and output is kept in memory only, both here and on
//! the satellite. Either side can restart, and a viewer continues with the bytes that the other side still has.

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

use hive_wire::api::Size;
use hive_wire::{SatelliteId, SessionId};
use tokio::time::Instant;

use crate::context::ServiceContext;
use crate::events::Events;
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
    events: Arc<Events>,
    auth_failures: Arc<AuthFailures>,
    links: Arc<Links>,
    context: ServiceContext,
    /// The open sessions, and those that ended less than a minute ago.
    live: Mutex<Entries>,
    /// Sizes that changed and are not stored yet.
    unstored_sizes: Mutex<HashMap<SessionId, Size>>,
    /// The origin of the times that are passed to the sessions.
    origin: Instant,
}

#[derive(Default)]
struct Entries {
    by_id: HashMap<SessionId, Arc<LiveSession>>,
    by_satellite: HashMap<SatelliteId, Vec<Arc<LiveSession>>>,
}

impl Entries {
    fn insert(&mut self, session: Arc<LiveSession>) {
        // The second index makes a link's loss and a new link cost the sessions of that satellite, not those of the fleet.
        self.by_satellite.entry(session.satellite).or_default().push(session.clone());
        self.by_id.insert(session.id, session);
    }

    fn remove(&mut self, id: SessionId) {
        let Some(session) = self.by_id.remove(&id) else { return };
        if let Some(others) = self.by_satellite.get_mut(&session.satellite) {
            others.retain(|other| other.id != id);
            // Satellites come and go: without this, the map would keep an entry for each that ever had a session.
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
        events: Arc<Events>,
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
            events,
            auth_failures,
            links,
            context,
            live: Mutex::default(),
            unstored_sizes: Mutex::default(),
            origin: Instant::now(),
        }
    }

    /// Returns the time since this service was created.
    pub(crate) fn now(&self) -> Duration {
        // Tokio's clock is monotonic: setting the machine's clock neither ends a lease nor extends it.
        self.origin.elapsed()
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<Arc<LiveSession>> {
        self.with(|entries| entries.by_id.get(&id).cloned())
    }

    /// Returns a session, if it belongs to this satellite.
    pub(crate) fn get_of(&self, id: SessionId, satellite: SatelliteId) -> Option<Arc<LiveSession>> {
        self.get(id).filter(|session| session.satellite == satellite)
    }

    /// Returns the sessions of a satellite.
    fn of(&self, satellite: SatelliteId) -> Vec<Arc<LiveSession>> {
        self.with(|entries| entries.by_satellite.get(&satellite).cloned().unwrap_or_default())
    }

    /// Handles the loss of a link.
    pub(crate) fn on_link_lost(&self, link: &LinkHandle) {
        // Sessions that a newer link has taken over ignore this: they compare the epoch.
        for session in self.of(link.satellite) {
            session.on_link_lost(self.now(), link.epoch);
        }
    }

    /// Ends all attachments because the hive stops. The sessions continue on their satellites.
    pub(crate) fn close_all(&self) {
        self.all().iter().for_each(|session| session.close());
    }

    fn all(&self) -> Vec<Arc<LiveSession>> {
        self.with(|entries| entries.by_id.values().cloned().collect())
    }

    fn insert(&self, session: Arc<LiveSession>) {
        self.with(|entries| entries.insert(session));
    }

    /// Returns a session that is open in the store. If this process does not have it, it is added, and counts as away from
    /// now on until its satellite reports it.
    fn live_session(&self, row: &SessionRow) -> Arc<LiveSession> {
        let now = self.now();
        // Lookup and insert are under one lock: a viewer and a new link may ask for the same session at the same time, and
        // both must get the same one.
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

    /// Accesses the maps. Callers clone the sessions and use them after this returns, so that no session's lock is ever taken
    /// under the lock of the maps.
    fn with<T>(&self, work: impl FnOnce(&mut Entries) -> T) -> T {
        work(&mut lock(&self.live))
    }
}

fn claim_timeouts(settings: &Settings) -> ClaimTimeouts {
    ClaimTimeouts { stall: settings.claim_stall, linger: settings.claim_linger }
}
