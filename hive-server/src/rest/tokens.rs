//! Registration tokens.

use hive_core::wire::RegistrationTokenId;
use hive_core::wire::api::{
    NewRegistrationToken, PageRequest, RegistrationTokenCreate, RegistrationTokenInfo, RegistrationTokenSort,
};

use super::{ApiResult, CreatedResult, created, ok, paged};
use crate::auth::Authenticated;
use crate::extract::{Body, Path, Query};
use crate::routes::{Operation, Reach, Routes};
use crate::state::AppState;
use hive_core::access::Permission;
use hive_core::wire::ErrorCode;
use serde_json::json;

pub(super) fn routes() -> Routes<AppState> {
    Routes::tagged("registration tokens")
        .get(
            "/api/v1/registration-tokens",
            list,
            Operation::new("registration_token_list", "Lists registration tokens")
                .permission(Permission::TokensManage, Reach::Anywhere)
                .query::<PageRequest<RegistrationTokenSort>>()
                .answer_page::<RegistrationTokenInfo>("A part of the tokens, without their secrets."),
        )
        .post(
            "/api/v1/registration-tokens",
            create,
            Operation::new("registration_token_create", "Creates a registration token")
                .permission(Permission::TokensManage, Reach::Anywhere)
                .keeps_secret(Some("/data/id"))
                .body::<RegistrationTokenCreate>(json!({ "scope": "global", "description": "web-server-01" }))
                .answer::<NewRegistrationToken>(201, "The token, which is shown once.")
                .errors([ErrorCode::NotFound, ErrorCode::SatelliteNotFound]),
        )
        .delete(
            "/api/v1/registration-tokens/{id}",
            revoke,
            Operation::new("registration_token_revoke", "Revokes a registration token")
                .permission(Permission::TokensManage, Reach::RegistrationToken)
                .path::<RegistrationTokenId>("The token.")
                .answer_done("It is revoked.")
                .errors([ErrorCode::Conflict]),
        )
}

pub(super) async fn list(
    Authenticated(hive): Authenticated,
    Query(page): Query<PageRequest<RegistrationTokenSort>>,
) -> ApiResult<Vec<RegistrationTokenInfo>> {
    let tokens = hive.identity().registration_token_page(page).await?;
    Ok(paged(tokens))
}

pub(super) async fn create(
    Authenticated(hive): Authenticated,
    Body(token): Body<RegistrationTokenCreate>,
) -> CreatedResult<NewRegistrationToken> {
    let token = hive.identity().registration_token_create(token).await?;
    Ok(created(token))
}

pub(super) async fn revoke(Authenticated(hive): Authenticated, Path(id): Path<RegistrationTokenId>) -> ApiResult<()> {
    hive.identity().registration_token_revoke(id).await?;
    Ok(ok(()))
}
