//! Allow lists: the networks from which a team may be used, and from which a satellite may connect.

use async_trait::async_trait;
use hive_wire::{SatelliteId, TeamId};

use crate::StoreResult;
use crate::audit::AuditDraft;

/// The allow lists of teams and satellites. Those of API keys are a part of their keys.
#[async_trait]
pub trait AllowListStore: Send + Sync {
    /// Lists all allow lists, in any order. Removed satellites are left out.
    async fn allow_list_all(&self) -> StoreResult<Vec<AllowListRow>>;
    /// Replaces an allow list; `None` lifts it. False if there is no such team or satellite. The audit record is written only
    /// otherwise.
    async fn allow_list_set(
        &self,
        subject: AllowListSubject,
        networks: Option<Vec<String>>,
        audit: AuditDraft,
    ) -> StoreResult<bool>;
}

/// What an allow list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AllowListSubject {
    /// A team: where its members may use it from.
    Team(TeamId),
    /// A satellite: where it may connect from.
    Satellite(SatelliteId),
}

/// A stored allow list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowListRow {
    /// What it is of.
    pub subject: AllowListSubject,
    /// The networks, in CIDR notation.
    pub networks: Vec<String>,
}
