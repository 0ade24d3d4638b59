//! The state of the agent, for the embedding program and the local status pages.

use std::sync::{Mutex, PoisonError};

use hive_wire::{SatelliteId, Timestamp};
use serde::Serialize;
use tokio::sync::watch;

use crate::identity::AgentIdentity;

/// The state of the link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LinkState {
    /// The agent is connecting.
    Connecting,
    /// The server has accepted the satellite.
    Online {
        /// The satellite's id.
        satellite_id: SatelliteId,
        /// The time of the handshake.
        since: Timestamp,
    },
    /// There is no link. The agent tries again.
    Offline {
        /// The time of the next attempt.
        retry_at: Timestamp,
        /// Why the last link or attempt ended.
        cause: String,
    },
}

/// The satellite's registration, without keys.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RegistrationInfo {
    pub(crate) satellite_id: SatelliteId,
    pub(crate) satellite_name: String,
    pub(crate) registered_at: Timestamp,
    pub(crate) last_verified: Option<Timestamp>,
}

/// State shared by the link, the local status pages and the embedding program.
#[derive(Debug)]
pub(crate) struct AgentStatus {
    pub(crate) server: String,
    pub(crate) link: watch::Sender<LinkState>,
    registration: Mutex<Option<RegistrationInfo>>,
}

impl AgentStatus {
    pub(crate) fn new(server: String) -> Self {
        Self { server, link: watch::Sender::new(LinkState::Connecting), registration: Mutex::new(None) }
    }

    pub(crate) fn set_registration(&self, identity: &AgentIdentity) {
        *self.registration.lock().unwrap_or_else(PoisonError::into_inner) = Some(RegistrationInfo {
            satellite_id: identity.satellite_id,
            satellite_name: identity.satellite_name.clone(),
            registered_at: identity.registered_at,
            last_verified: identity.last_verified,
        });
    }

    pub(crate) fn registration(&self) -> Option<RegistrationInfo> {
        self.registration.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
