//! Groups of satellites: who may create, change and see them, and which satellites they have.
//!
//! What a group means as a target is not decided here: `satellites` resolves targets, and reads groups for it.

mod manager;
mod service;

use std::sync::Arc;

use crate::context::ServiceContext;
use crate::identity::service::IdentityService;
use crate::satellites::Satellites;
use crate::store::{GroupStore, SatelliteStore, Store};

pub use manager::GroupManager;

/// All groups.
pub(crate) struct Groups {
    store: Arc<dyn GroupStore>,
    satellite_store: Arc<dyn SatelliteStore>,
    identity: Arc<IdentityService>,
    satellites: Arc<Satellites>,
    context: ServiceContext,
}

impl Groups {
    pub(crate) fn new(
        store: &Arc<dyn Store>,
        identity: Arc<IdentityService>,
        satellites: Arc<Satellites>,
        context: ServiceContext,
    ) -> Self {
        Self { store: store.clone(), satellite_store: store.clone(), identity, satellites, context }
    }
}
