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
    /// Adds a team. `Taken` where the slug is.
    async fn team_create(&self, team: Team, audit: AuditDraft) -> StoreResult<()>;
    /// Lists all teams by slug.
    async fn team_list(&self) -> StoreResult<Vec<Team>>;
    /// Makes a user a member of a team, or changes what they are there.
    async fn team_member_put(&self, team: TeamId, user: UserId, role: Role, audit: AuditDraft) -> StoreResult<()>;
    /// Takes a user out of a team. False where they are not in it; the record is written only for true.
    async fn team_member_remove(&self, team: TeamId, user: UserId, audit: AuditDraft) -> StoreResult<bool>;
    /// Lists a team's members by name.
    async fn team_member_list(&self, team: TeamId) -> StoreResult<Vec<TeamMember>>;
    /// Lists a user's teams and what they are there.
    async fn team_memberships(&self, user: UserId) -> StoreResult<Vec<(TeamId, Role)>>;
}
