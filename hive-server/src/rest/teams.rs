//! Teams and their members.

use hive_core::wire::api::{Changed, RevokedWork, Team, TeamCreate, TeamMember, TeamMemberPut};
use hive_core::wire::{TeamId, UserId};

use super::{ApiResult, CreatedResult, created, ok};
use crate::auth::Authenticated;
use crate::extract::{Body, Path};

pub(super) async fn list(Authenticated(hive): Authenticated) -> ApiResult<Vec<Team>> {
    let teams = hive.identity().team_list().await?;
    Ok(ok(teams))
}

pub(super) async fn create(Authenticated(hive): Authenticated, Body(team): Body<TeamCreate>) -> CreatedResult<Team> {
    let team = hive.identity().team_create(team).await?;
    Ok(created(team))
}

pub(super) async fn members(Authenticated(hive): Authenticated, Path(id): Path<TeamId>) -> ApiResult<Vec<TeamMember>> {
    let members = hive.identity().team_member_list(id).await?;
    Ok(ok(members))
}

pub(super) async fn put_member(
    Authenticated(hive): Authenticated,
    Path(id): Path<TeamId>,
    Body(member): Body<TeamMemberPut>,
) -> ApiResult<Changed<TeamMember>> {
    let member = hive.identity().team_member_put(id, member).await?;
    Ok(ok(member))
}

pub(super) async fn remove_member(
    Authenticated(hive): Authenticated,
    Path((id, user)): Path<(TeamId, UserId)>,
) -> ApiResult<RevokedWork> {
    let revoked = hive.identity().team_member_remove(id, user).await?;
    Ok(ok(revoked))
}
