//! What the agent tells of itself while it runs: to the program it is embedded in, and on its local pages.

use std::sync::{Mutex, PoisonError};

use hive_wire::{SatelliteId, Timestamp};
use serde::Serialize;
use tokio::sync::watch;

use crate::identity::Identity;

/// Whether the satellite can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LinkState {
    /// On its way.
    Connecting,
    /// The server has accepted it.
    Online {
        /// As whom.
        satellite_id: SatelliteId,
        /// Since when.
        since: Timestamp,
    },
    /// It will be tried again.
    Offline {
        /// When, about.
        retry_at: Timestamp,
        /// Why the last link or attempt ended.
        cause: String,
    },
}

/// Who the satellite is, without its key.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Registration {
    pub(crate) satellite_id: SatelliteId,
    pub(crate) satellite_name: String,
    pub(crate) registered_at: Timestamp,
    pub(crate) last_verified: Option<Timestamp>,
}

/// The state shared by the link, the local pages and the embedding program.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) server: String,
    pub(crate) link: watch::Sender<LinkState>,
    registration: Mutex<Option<Registration>>,
}

impl Status {
    pub(crate) fn new(server: String) -> Self {
        Self { server, link: watch::Sender::new(LinkState::Connecting), registration: Mutex::new(None) }
    }

    pub(crate) fn registered(&self, identity: &Identity) {
        *self.registration.lock().unwrap_or_else(PoisonError::into_inner) = Some(Registration {
            satellite_id: identity.satellite_id,
            satellite_name: identity.satellite_name.clone(),
            registered_at: identity.registered_at,
            last_verified: identity.last_verified,
        });
    }

    pub(crate) fn registration(&self) -> Option<Registration> {
        self.registration.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
