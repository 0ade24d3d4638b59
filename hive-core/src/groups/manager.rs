//! Groups of satellites.

use async_trait::async_trait;
use hive_wire::GroupId;
use hive_wire::api::{
    Group, GroupCreate, GroupDetails, GroupFilter, GroupSort, GroupUpdate, Page, PageRequest, Satellite, SatelliteSort,
};

use crate::Result;

/// The groups of satellites.
///
/// A group has the satellites that it lists, and those that its tag query selects. It is a target wherever satellites are
/// (`group:web`). A group of a team has satellites of its team only. One without a team is for those who see the whole hive.
#[async_trait]
pub trait GroupManager: Send + Sync {
    /// Creates a group.
    ///
    /// # Errors
    /// `Conflict` if another group of the team has the name; `SatelliteNotFound` and `InvalidInput` for a member that the
    /// caller does not see, or that is of another team.
    async fn create(&self, group: GroupCreate) -> Result<GroupDetails>;
    /// Returns a group with its members; `None` if there is none, or it is hidden from the caller.
    async fn get(&self, id: GroupId) -> Result<Option<GroupDetails>>;
    /// Lists groups by name.
    async fn list(&self, filter: GroupFilter, page: PageRequest<GroupSort>) -> Result<Page<Group>>;
    /// Changes a group. Jobs that were started before do not change.
    async fn update(&self, id: GroupId, update: GroupUpdate) -> Result<GroupDetails>;
    /// Removes a group. Its satellites and its jobs stay.
    async fn remove(&self, id: GroupId) -> Result<()>;
    /// Lists the satellites that the group has now, by name.
    async fn list_satellites(&self, id: GroupId, page: PageRequest<SatelliteSort>) -> Result<Page<Satellite>>;
}
