//! Teams and their members.

use async_trait::async_trait;
use hive_wire::api::{Team, TeamMember};
use hive_wire::{TeamId, UserId};

use crate::StoreResult;
use crate::access::Role;
use crate::audit::AuditDraft;

/// Teams and their members.
#[async_trait]
pub trait TeamStore: Send + Sync {
    /// Stores a team. Fails with `Taken` if the slug is in use.
    async fn team_create(&self, team: Team, audit: AuditDraft) -> StoreResult<()>;
    /// Returns a team.
    async fn team_get(&self, id: TeamId) -> StoreResult<Option<Team>>;
    /// Lists all teams by slug.
    async fn team_list(&self) -> StoreResult<Vec<Team>>;
    /// Adds a user to a team, or changes their role in it.
    async fn team_member_put(&self, team: TeamId, user: UserId, role: Role, audit: AuditDraft) -> StoreResult<()>;
    /// Removes a user from a team. False if they are not a member. The audit record is written only for true.
    async fn team_member_remove(&self, team: TeamId, user: UserId, audit: AuditDraft) -> StoreResult<bool>;
    /// Lists the members of a team by name.
    async fn team_member_list(&self, team: TeamId) -> StoreResult<Vec<TeamMember>>;
    /// Lists the teams of a user and their roles.
    async fn team_memberships(&self, user: UserId) -> StoreResult<Vec<(TeamId, Role)>>;
}
