//! Groups of satellites.

use async_trait::async_trait;
use hive_wire::api::{Group, GroupSort};
use hive_wire::{GroupId, GroupName, SatelliteId, TagQuery, TeamId, Timestamp};

use crate::access::VisibleScope;
use crate::audit::AuditDraft;
use crate::{RowRange, StoreResult};

/// Groups of satellites. Which satellites a group has is a query of satellites: [`SatelliteSelection`].
#[async_trait]
pub trait GroupStore: Send + Sync {
    /// Stores a group with the satellites that it lists; removed ones are left out. Fails with `Taken` if another group of its
    /// team has the name.
    async fn group_create(&self, group: Group, members: Vec<SatelliteId>, audit: AuditDraft) -> StoreResult<()>;
    /// Returns a group.
    async fn group_get(&self, id: GroupId) -> StoreResult<Option<Group>>;
    /// Lists the groups with this name: at most one of each team, and one without a team.
    async fn group_find(&self, name: &GroupName) -> StoreResult<Vec<Group>>;
    /// Lists groups, and returns the total, counted up to one more than [`MAX_COUNTED`](crate::MAX_COUNTED).
    async fn group_list(&self, query: &GroupQuery, range: RowRange<GroupSort>) -> StoreResult<(Vec<Group>, u64)>;
    /// Changes a group and the satellites that it lists; removed ones are left out. Fails with `Taken` if another group of its
    /// team has the new name. `None` if there is no such group.
    async fn group_update(&self, id: GroupId, patch: GroupPatch, audit: AuditDraft) -> StoreResult<Option<Group>>;
    /// Removes a group. False if there is no such group.
    async fn group_remove(&self, id: GroupId, audit: AuditDraft) -> StoreResult<bool>;
}

/// A filter for groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupQuery {
    /// Only groups in visible.
    pub visible: VisibleScope,
    /// Only groups of this team.
    pub team_id: Option<TeamId>,
    /// Only groups whose name contains this text. There are no wildcards.
    pub search: Option<String>,
}

/// A change of a group. `None` keeps the value.
#[derive(Debug, Clone)]
pub struct GroupPatch {
    /// A new name.
    pub name: Option<GroupName>,
    /// A new query, or none.
    pub query: Option<Option<TagQuery>>,
    /// All satellites that it lists.
    pub members: Option<Vec<SatelliteId>>,
    /// Satellites that it lists too.
    pub add: Vec<SatelliteId>,
    /// Satellites that it lists no more.
    pub remove: Vec<SatelliteId>,
    /// When it is changed.
    pub now: Timestamp,
}

/// Satellites that a group lists, and those that a query selects: the members of the union.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SatelliteSelection {
    /// Those that this group lists.
    pub listed_by: Option<GroupId>,
    /// Those that this query selects and that were activated once.
    pub query: Option<TagQuery>,
}

impl SatelliteSelection {
    /// The satellites of a group.
    pub fn of_group(group: &Group) -> Self {
        Self { listed_by: Some(group.id), query: group.query.clone() }
    }

    /// The satellites that a group lists.
    pub fn listed_by(group: GroupId) -> Self {
        Self { listed_by: Some(group), query: None }
    }

    /// The satellites that a query selects.
    pub fn of_query(query: TagQuery) -> Self {
        Self { listed_by: None, query: Some(query) }
    }
}
