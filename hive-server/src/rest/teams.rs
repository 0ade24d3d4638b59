//! Teams.

use hive_core::Identity;
use hive_core::wire::api::{Team, TeamCreate};

use super::{Answer, Created, created, ok};
use crate::auth::Caller;
use crate::extract::Body;

pub(super) async fn list(Caller(hive): Caller) -> Answer<Vec<Team>> {
    let teams = hive.team_list().await?;
    Ok(ok(teams))
}

pub(super) async fn create(Caller(hive): Caller, Body(team): Body<TeamCreate>) -> Created<Team> {
    let team = hive.team_create(team).await?;
    Ok(created(team))
}
