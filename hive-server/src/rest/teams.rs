//! Teams and who is in them.

use hive_core::Identity;
use hive_core::wire::api::{Team, TeamCreate, TeamMember, TeamMemberPut};
use hive_core::wire::{TeamId, UserId};

use super::{Answer, Created, created, ok};
use crate::auth::Caller;
use crate::extract::{Body, Path};

pub(super) async fn list(Caller(hive): Caller) -> Answer<Vec<Team>> {
    let teams = hive.team_list().await?;
    Ok(ok(teams))
}

pub(super) async fn create(Caller(hive): Caller, Body(team): Body<TeamCreate>) -> Created<Team> {
    let team = hive.team_create(team).await?;
    Ok(created(team))
}

pub(super) async fn members(Caller(hive): Caller, Path(id): Path<TeamId>) -> Answer<Vec<TeamMember>> {
    let members = hive.team_member_list(id).await?;
    Ok(ok(members))
}

pub(super) async fn put_member(
    Caller(hive): Caller,
    Path(id): Path<TeamId>,
    Body(member): Body<TeamMemberPut>,
) -> Answer<TeamMember> {
    let member = hive.team_member_put(id, member).await?;
    Ok(ok(member))
}

pub(super) async fn remove_member(Caller(hive): Caller, Path((id, user)): Path<(TeamId, UserId)>) -> Answer<()> {
    hive.team_member_remove(id, user).await?;
    Ok(ok(()))
}
