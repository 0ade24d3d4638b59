//! Registration tokens under the documented paths of the satellite API. Their callers are users.

use axum::Json;
use hive_core::access::Permission;
use hive_core::hive::AccessObject;
use hive_core::wire::api::{NewRegistrationToken, RegistrationTokenCreate, RegistrationTokenInfo, TokenScope};
use hive_core::wire::schema::{TagPattern, TagText};
use hive_core::wire::{ErrorCode, RegistrationTokenId, SatelliteId, TeamId};
use hive_core::{ActingHive, Error};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::SatelliteApiError;
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::{Body, Path};
use crate::routes::{Operation, Reach, Routes};
use crate::state::AppState;

/// The same tokens as under `/api/v1/registration-tokens`, by the paths of the documented satellite API.
pub(super) fn routes() -> Routes<AppState> {
    let of_team = |id, summary| {
        Operation::new(id, summary).permission(Permission::TokensManage, Reach::Team).path::<TeamId>("The team.")
    };
    Routes::tagged("satellite API")
        .get(
            "/api/satellites/global/registration-tokens",
            list_global,
            Operation::new("global_token_list", "Lists the registration tokens of the whole hive")
                .permission(Permission::TokensManage, Reach::Anywhere)
                .answer_beside_success::<TokenList>("The tokens, without their secrets."),
        )
        .post(
            "/api/satellites/global/registration-tokens",
            create_global,
            Operation::new("global_token_create", "Creates a registration token of the whole hive")
                .permission(Permission::TokensManage, Reach::Platform)
                .keeps_secret(Some("/id"))
                .body::<CreateTokenBody>(json!({ "description": "web-server-01" }))
                .answer_beside_success::<NewRegistrationToken>("The token, which is shown once.")
                .errors([ErrorCode::SatelliteNotFound]),
        )
        .delete(
            "/api/satellites/global/registration-tokens/{token_id}",
            revoke_global,
            Operation::new("global_token_revoke", "Revokes a registration token of the whole hive")
                .permission(Permission::TokensManage, Reach::RegistrationToken)
                .path::<RegistrationTokenId>("The token.")
                .answer_beside_success::<Nothing>("It is revoked.")
                .errors([ErrorCode::Conflict]),
        )
        .get(
            "/api/teams/{team_id}/satellites/registration-tokens",
            list_of_team,
            of_team("team_token_list", "Lists the registration tokens of a team")
                .answer_beside_success::<TokenList>("The tokens, without their secrets."),
        )
        .post(
            "/api/teams/{team_id}/satellites/registration-tokens",
            create_for_team,
            of_team("team_token_create", "Creates a registration token of a team")
                .keeps_secret(Some("/id"))
                .body::<CreateTokenBody>(json!({ "description": "web-server-01" }))
                .answer_beside_success::<NewRegistrationToken>("The token, which is shown once.")
                .errors([ErrorCode::SatelliteNotFound]),
        )
        .delete(
            "/api/teams/{team_id}/satellites/registration-tokens/{token_id}",
            revoke_of_team,
            of_team("team_token_revoke", "Revokes a registration token of a team")
                .path::<RegistrationTokenId>("The token.")
                .answer_beside_success::<Nothing>("It is revoked.")
                .errors([ErrorCode::Conflict]),
        )
}

/// The options of a new token. Its scope follows from the path.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub(super) struct CreateTokenBody {
    /// Its life; global 1 (at most 24), team 24 (at most 72) unless given.
    #[schema(minimum = 1, maximum = 72)]
    expires_in_hours: Option<u32>,
    /// What it is for: at most 255 characters, none of them control characters.
    #[schema(max_length = 255, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    description: Option<String>,
    /// The satellite that it replaces.
    for_satellite: Option<SatelliteId>,
    /// Labels that a new satellite gets.
    #[schema(value_type = Vec<TagText>, max_items = 64)]
    tags: Vec<String>,
    /// Patterns of labels that a new satellite may claim.
    #[schema(value_type = Vec<TagPattern>, max_items = 64)]
    allowed_tags: Vec<String>,
}

/// The fields of `T` beside `success`.
#[derive(Serialize)]
pub(super) struct Success<T> {
    /// Always true.
    success: bool,
    #[serde(flatten)]
    data: T,
}

/// Nothing beside `success`.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Nothing {}

/// A list of tokens.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct TokenList {
    /// The tokens.
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
    let (caller, Path(team)) = (caller?, team?);
    check_team(&caller.0, team).await?;
    create(caller, Some(team), body?.0).await
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
    let (Authenticated(hive), Path(team)) = (caller?, team?);
    check_team(&hive, team).await?;
    let tokens = find(&hive, Some(team)).await?;
    Ok(success(TokenList { tokens }))
}

/// Checks the team of the path: the list of all tokens has no team that is hidden from the caller.
async fn check_team(hive: &ActingHive, team: TeamId) -> Result<(), Error> {
    hive.check_access(&Permission::TokensManage, AccessObject::Team(team)).await
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
) -> SuccessResult<Nothing> {
    revoke(caller?, None, id?.0).await
}

pub(super) async fn revoke_of_team(
    caller: Result<Authenticated, HttpError>,
    ids: Result<Path<(TeamId, RegistrationTokenId)>, HttpError>,
) -> SuccessResult<Nothing> {
    let caller = caller?;
    let (team, id) = ids?.0;
    check_team(&caller.0, team).await?;
    revoke(caller, Some(team), id).await
}

/// Revokes a token. One of another scope or team is not found under this path.
async fn revoke(
    Authenticated(hive): Authenticated,
    team: Option<TeamId>,
    id: RegistrationTokenId,
) -> SuccessResult<Nothing> {
    // The trait revokes by id alone. Without this check the path of one team would revoke a token of another.
    let exists = find(&hive, team).await?.iter().any(|token| token.token_id == id);
    if !exists {
        return Err(Error::NotFound { what: "registration token", id: id.to_string() }.into());
    }
    hive.identity().registration_token_revoke(id).await?;
    Ok(success(Nothing {}))
}
