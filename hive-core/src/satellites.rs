//! Satellites: the registry, registration, authentication, handshakes, and the positions of their journals.
//!
//! This module does not know what a change of a satellite means for its commands, jobs and sessions. They follow the
//! satellites as `SatelliteObserver`s.

mod activation;
mod addresses;
mod authentication;
mod descriptions;
mod device_registry;
mod handshake;
mod heartbeats;
pub(crate) mod journal_check;
mod journal_positions;
mod listing;
pub(crate) mod registration;
mod registry;
pub(crate) mod reported_text;
mod tags;
mod taken_names;
mod takeover;
mod targets;
mod view;
mod visible;

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use hive_wire::{SatelliteId, TeamId};

use crate::context::ServiceContext;
use crate::events::Events;
use crate::identity::service::IdentityService;
use crate::links::Links;
use crate::observers::Observers;
use crate::store::{AuditStore, GroupStore, RegistrationTokenStore, SatelliteStore, Store};
use crate::sync::KeyedMutex;
use crate::telemetry::Telemetry;

pub use authentication::KeyRejection;
pub use device_registry::DeviceRegistry;
pub(crate) use handshake::AcceptedLink;
pub use heartbeats::SatelliteHeartbeat;
pub use registration::{RegistrationError, TokenProblem};

/// All satellites.
pub(crate) struct Satellites {
    store: Arc<dyn SatelliteStore>,
    token_store: Arc<dyn RegistrationTokenStore>,
    /// Read when a target is a group; the service above it changes groups.
    group_store: Arc<dyn GroupStore>,
    audit: Arc<dyn AuditStore>,
    identity: Arc<IdentityService>,
    events: Arc<Events>,
    links: Arc<Links>,
    context: ServiceContext,
    telemetry: Arc<Telemetry>,
    descriptions: descriptions::DescriptionBuffer,
    positions: journal_positions::JournalPositions,
    observers: Observers<dyn SatelliteObserver>,
    /// Held from the reading or changing of a row until its team and tags are noted for events, and its events published: they
    /// are published in the order of the commits.
    row_locks: KeyedMutex<SatelliteId>,
}

/// Why the store has ended what was open on a satellite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Revocation {
    /// The satellite was removed.
    Removed,
    /// The satellite was given to this team.
    MovedTo(Option<TeamId>),
}

impl Revocation {
    /// Returns whether it ends what was started on the satellite when that was of this team.
    pub(crate) fn concerns(self, team: Option<TeamId>) -> bool {
        match self {
            Self::Removed => true,
            Self::MovedTo(now) => now != team,
        }
    }
}

/// Follows what happens to satellites.
#[async_trait]
pub(crate) trait SatelliteObserver: Send + Sync {
    /// Follows the store in ending what was open on a satellite. The satellite has its link still, so that it can be asked to end
    /// what it runs; the call that made the change waits for this.
    async fn on_revoked(self: Arc<Self>, satellite: SatelliteId, cause: Revocation);

    /// Notes that a satellite's record was changed and that it accepts commands.
    fn on_usable(self: Arc<Self>, _satellite: SatelliteId) {}
}

impl Satellites {
    pub(crate) fn new(
        store: &Arc<dyn Store>,
        identity: Arc<IdentityService>,
        events: Arc<Events>,
        links: Arc<Links>,
        telemetry: Arc<Telemetry>,
        context: ServiceContext,
    ) -> Self {
        Self {
            store: store.clone(),
            token_store: store.clone(),
            group_store: store.clone(),
            audit: store.clone(),
            identity,
            events,
            links,
            context,
            telemetry,
            descriptions: descriptions::DescriptionBuffer::default(),
            positions: journal_positions::JournalPositions::default(),
            observers: Observers::default(),
            row_locks: KeyedMutex::default(),
        }
    }

    /// Adds an observer. Observers are called one after the other, in the order in which they were added.
    pub(crate) fn observe(&self, observer: Weak<dyn SatelliteObserver>) {
        self.observers.add(observer);
    }

    async fn revoke(&self, satellite: SatelliteId, cause: Revocation) {
        // One after the other: a job looks for ended commands only after the commands have ended here
        // (`Services::connect`).
        for observer in self.observers.all() {
            observer.on_revoked(satellite, cause).await;
        }
    }
}
