//! Teams and their members.

use async_trait::async_trait;
use hive_wire::api::{Team, TeamMember, TeamMemberSort, TeamSort};
use hive_wire::{TeamId, UserId};

use super::losses::{Losses, NeededRoles};
use crate::access::{Role, VisibleTeams};
use crate::audit::AuditDraft;
use crate::{RowRange, StoreResult};

/// Teams and their members.
#[async_trait]
pub trait TeamStore: Send + Sync {
    /// Stores a team. Fails with `Taken` if the slug is in use.
    async fn team_create(&self, team: Team, audit: AuditDraft) -> StoreResult<()>;
    /// Returns a team.
    async fn team_get(&self, id: TeamId) -> StoreResult<Option<Team>>;
    /// Lists the teams in visible, and returns the total, counted up to one more than [`MAX_COUNTED`](crate::MAX_COUNTED).
    async fn team_list(&self, visible: &VisibleTeams, range: RowRange<TeamSort>) -> StoreResult<(Vec<Team>, u64)>;
    /// Changes a team, and revokes what its members lose with that, in one transaction. `None` if there is no such team.
    async fn team_update(
        &self,
        id: TeamId,
        patch: TeamPatch,
        needed: NeededRoles,
        audit: AuditDraft,
    ) -> StoreResult<Option<(Team, Vec<MemberLosses>)>>;
    /// Adds a user to a team, or changes their role in it. The role [`Role::of_team_user`] is stored as it is, and read as what the
    /// team gives. What they lose with a lower role is revoked in the same transaction.
    async fn team_member_put(
        &self,
        team: TeamId,
        user: UserId,
        role: Role,
        needed: NeededRoles,
        audit: AuditDraft,
    ) -> StoreResult<Losses>;
    /// Removes a user from a team, and revokes what they lose with it. `None` if they are not a member. The audit record is
    /// written only otherwise.
    async fn team_member_remove(
        &self,
        team: TeamId,
        user: UserId,
        needed: NeededRoles,
        audit: AuditDraft,
    ) -> StoreResult<Option<Losses>>;
    /// Lists the members of a team, and returns the total, counted up to one more than [`MAX_COUNTED`](crate::MAX_COUNTED).
    async fn team_member_list(
        &self,
        team: TeamId,
        range: RowRange<TeamMemberSort>,
    ) -> StoreResult<(Vec<TeamMember>, u64)>;
    /// Lists the teams of a user and their roles, each as the team gives it now.
    async fn team_memberships(&self, user: UserId) -> StoreResult<Vec<(TeamId, Role)>>;
}

/// A change of a team. `None` keeps the value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TeamPatch {
    /// What the members with the role `team_user` may do.
    pub team_user: Option<Role>,
}

/// What a member lost with a change of the team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberLosses {
    /// The member.
    pub user: UserId,
    /// What was revoked.
    pub losses: Losses,
}
