//! Registration tokens under the documented paths of the satellite API. Their callers are users.

use axum::Json;
use hive_core::wire::api::{NewRegistrationToken, RegistrationTokenCreate, RegistrationTokenInfo, TokenScope};
use hive_core::wire::{RegistrationTokenId, SatelliteId, TeamId};
use hive_core::{ActingHive, Error};
use serde::{Deserialize, Serialize};

use super::SatelliteApiError;
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::{Body, Path};

/// The options of a new token. Its scope follows from the path.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct CreateTokenBody {
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
pub(super) struct TokenList {
    tokens: Vec<RegistrationTokenInfo>,
}

type SuccessResult<T> = Result<Json<Success<T>>, SatelliteApiError>;

fn success<T>(data: T) -> Json<Success<T>> {
    Json(Success { success: true, data })
}

// Extractors are taken as results, so that their errors have the shape of this API.
pub(super) async fn create_global(
    caller: Result<Authenticated, HttpError>,
    body: Result<Body<CreateTokenBody>, HttpError>,
) -> SuccessResult<NewRegistrationToken> {
    create(caller?, None, body?.0).await
}

pub(super) async fn create_for_team(
    caller: Result<Authenticated, HttpError>,
    team: Result<Path<TeamId>, HttpError>,
    body: Result<Body<CreateTokenBody>, HttpError>,
) -> SuccessResult<NewRegistrationToken> {
    create(caller?, Some(team?.0), body?.0).await
}

async fn create(
    Authenticated(hive): Authenticated,
    team: Option<TeamId>,
    body: CreateTokenBody,
) -> SuccessResult<NewRegistrationToken> {
    let token = RegistrationTokenCreate {
        scope: if team.is_some() { TokenScope::Team } else { TokenScope::Global },
        team_id: team,
        expires_in_hours: body.expires_in_hours,
        description: body.description,
        for_satellite: body.for_satellite,
        tags: body.tags,
        allowed_tags: body.allowed_tags,
    };
    Ok(success(hive.identity().registration_token_create(token).await?))
}

pub(super) async fn list_global(caller: Result<Authenticated, HttpError>) -> SuccessResult<TokenList> {
    let tokens = find(&caller?.0, None).await?;
    Ok(success(TokenList { tokens }))
}

pub(super) async fn list_of_team(
    caller: Result<Authenticated, HttpError>,
    team: Result<Path<TeamId>, HttpError>,
) -> SuccessResult<TokenList> {
    let tokens = find(&caller?.0, Some(team?.0)).await?;
    Ok(success(TokenList { tokens }))
}

/// The tokens of one team, or the global ones.
async fn find(hive: &ActingHive, team: Option<TeamId>) -> Result<Vec<RegistrationTokenInfo>, Error> {
    let mut tokens = hive.identity().registration_token_list().await?;
    tokens.retain(|token| token.team_id == team);
    Ok(tokens)
}

pub(super) async fn revoke_global(
    caller: Result<Authenticated, HttpError>,
    id: Result<Path<RegistrationTokenId>, HttpError>,
) -> SuccessResult<()> {
    revoke(caller?, None, id?.0).await
}

pub(super) async fn revoke_of_team(
    caller: Result<Authenticated, HttpError>,
    ids: Result<Path<(TeamId, RegistrationTokenId)>, HttpError>,
) -> SuccessResult<()> {
    let caller = caller?;
    let (team, id) = ids?.0;
    revoke(caller, Some(team), id).await
}

/// Revokes a token. One of another scope or team is not found under this path.
async fn revoke(
    Authenticated(hive): Authenticated,
    team: Option<TeamId>,
    id: RegistrationTokenId,
) -> SuccessResult<()> {
    // The trait revokes by id alone. Without this check the path of one team would revoke a token of another.
    let exists = find(&hive, team).await?.iter().any(|token| token.token_id == id);
    if !exists {
        return Err(Error::NotFound { what: "registration token", id: id.to_string() }.into());
    }
    hive.identity().registration_token_revoke(id).await?;
    Ok(success(()))
}
