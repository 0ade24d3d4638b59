//! Registration tokens by the published paths, for users.

use axum::Json;
use hive_core::wire::api::{NewRegistrationToken, RegistrationTokenCreate, RegistrationTokenInfo, TokenScope};
use hive_core::wire::{RegistrationTokenId, SatelliteId, TeamId};
use hive_core::{ActingHive, Error, Identity};
use serde::{Deserialize, Serialize};

use super::SatelliteFailure;
use crate::auth::Caller;
use crate::error::Failure;
use crate::extract::{Body, Path};

/// What of a token may be chosen; the path says the rest.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wishes {
    expires_in_hours: Option<u32>,
    description: Option<String>,
    for_satellite: Option<SatelliteId>,
    tags: Vec<String>,
    allowed_tags: Vec<String>,
}

/// The fields of `T` beside `success`.
#[derive(Serialize)]
pub(super) struct Success<T> {
    success: bool,
    #[serde(flatten)]
    data: T,
}

/// A list of tokens.
#[derive(Serialize)]
pub(super) struct Tokens {
    tokens: Vec<RegistrationTokenInfo>,
}

type Answer<T> = Result<Json<Success<T>>, SatelliteFailure>;

fn success<T>(data: T) -> Json<Success<T>> {
    Json(Success { success: true, data })
}

pub(super) async fn create_global(
    caller: Result<Caller, Failure>,
    wishes: Result<Body<Wishes>, Failure>,
) -> Answer<NewRegistrationToken> {
    create(caller?, None, wishes?.0).await
}

pub(super) async fn create_for_team(
    caller: Result<Caller, Failure>,
    team: Result<Path<TeamId>, Failure>,
    wishes: Result<Body<Wishes>, Failure>,
) -> Answer<NewRegistrationToken> {
    create(caller?, Some(team?.0), wishes?.0).await
}

async fn create(Caller(hive): Caller, team: Option<TeamId>, wishes: Wishes) -> Answer<NewRegistrationToken> {
    let token = RegistrationTokenCreate {
        scope: if team.is_some() { TokenScope::Team } else { TokenScope::Global },
        team_id: team,
        expires_in_hours: wishes.expires_in_hours,
        description: wishes.description,
        for_satellite: wishes.for_satellite,
        tags: wishes.tags,
        allowed_tags: wishes.allowed_tags,
    };
    Ok(success(hive.registration_token_create(token).await?))
}

pub(super) async fn list_global(caller: Result<Caller, Failure>) -> Answer<Tokens> {
    let tokens = find(&caller?.0, None).await?;
    Ok(success(Tokens { tokens }))
}

pub(super) async fn list_of_team(
    caller: Result<Caller, Failure>,
    team: Result<Path<TeamId>, Failure>,
) -> Answer<Tokens> {
    let tokens = find(&caller?.0, Some(team?.0)).await?;
    Ok(success(Tokens { tokens }))
}

/// The tokens of one team, or the global ones.
async fn find(hive: &ActingHive, team: Option<TeamId>) -> Result<Vec<RegistrationTokenInfo>, Error> {
    let mut tokens = hive.registration_token_list().await?;
    tokens.retain(|token| token.team_id == team);
    Ok(tokens)
}

pub(super) async fn revoke_global(
    caller: Result<Caller, Failure>,
    id: Result<Path<RegistrationTokenId>, Failure>,
) -> Answer<()> {
    revoke(caller?, None, id?.0).await
}

pub(super) async fn revoke_of_team(
    caller: Result<Caller, Failure>,
    ids: Result<Path<(TeamId, RegistrationTokenId)>, Failure>,
) -> Answer<()> {
    let caller = caller?;
    let (team, id) = ids?.0;
    revoke(caller, Some(team), id).await
}

/// Revokes a token; one that does not stand under this path is not there.
async fn revoke(Caller(hive): Caller, team: Option<TeamId>, id: RegistrationTokenId) -> Answer<()> {
    let is_there = find(&hive, team).await?.iter().any(|token| token.token_id == id);
    if !is_there {
        return Err(Error::NotFound { what: "registration token", id: id.to_string() }.into());
    }
    hive.registration_token_revoke(id).await?;
    Ok(success(()))
}
