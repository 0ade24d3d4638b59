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
mod keyboard;
mod linking;
mod live;
mod modes;
mod opening;
mod records;
mod service;
#[cfg(test)]
mod tests;
mod typing;
mod viewers;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hive_wire::{SatelliteId, SessionId};
use tokio::time::Instant;

use crate::hive::{Hive, Settings};
use crate::store::SessionRow;

pub(crate) use housekeeping::start;
pub(crate) use live::LiveSession;

use flow::Patience;

/// The terminals of this process: those that are open, and those that ended a moment ago.
pub(crate) struct Sessions {
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

impl Default for Sessions {
    fn default() -> Self {
        Self { live: Mutex::default(), origin: Instant::now() }
    }
}

impl Sessions {
    /// Returns the time since this process began to have terminals.
    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<Arc<LiveSession>> {
        self.with(|entries| entries.by_id.get(&id).cloned())
    }

    /// Returns a terminal where it is this satellite's.
    pub(crate) fn get_of(&self, id: SessionId, satellite: SatelliteId) -> Option<Arc<LiveSession>> {
        self.get(id).filter(|session| session.satellite == satellite)
    }

    /// Returns the terminals of a satellite.
    fn of(&self, satellite: SatelliteId) -> Vec<Arc<LiveSession>> {
        self.with(|entries| entries.by_satellite.get(&satellite).cloned().unwrap_or_default())
    }

    /// Notes that the satellite's link of this epoch is gone.
    pub(crate) fn unlink(&self, satellite: SatelliteId, epoch: u64) {
        for session in self.of(satellite) {
            session.on_link_lost(self.now(), epoch);
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

    /// Returns a terminal that the store has as open. One that this process has not heard of is waited for from now on.
    fn of_row(&self, row: &SessionRow, settings: &Settings) -> Arc<LiveSession> {
        self.with(|entries| {
            if let Some(known) = entries.by_id.get(&row.id) {
                return known.clone();
            }
            let session = Arc::new(LiveSession::stored(row, patience(settings), self.now()));
            entries.insert(session.clone());
            session
        })
    }

    fn remove(&self, id: SessionId) {
        self.with(|entries| entries.remove(id));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Entries) -> T) -> T {
        work(&mut self.live.lock().expect("nothing panics while it holds this lock"))
    }
}

impl Hive {
    /// Returns a terminal that the store has as open.
    fn live_session(&self, row: &SessionRow) -> Arc<LiveSession> {
        self.inner.sessions.of_row(row, self.settings())
    }
}

fn patience(settings: &Settings) -> Patience {
    Patience { stall: settings.claim_stall, linger: settings.claim_linger }
}
