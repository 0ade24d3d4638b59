//! The caller's API keys.

use hive_core::wire::ApiKeyId;
use hive_core::wire::api::{
    ApiKeyCreate, ApiKeyFilter, ApiKeyInfo, ApiKeyRotate, ApiKeySort, NewApiKey, PageRequest, RevokedWork,
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
    let of = |id, summary| {
        Operation::new(id, summary).permission(Permission::ApiKeysOwn, Reach::ApiKey).path::<ApiKeyId>("The key.")
    };
    Routes::tagged("api keys")
        .get(
            "/api/v1/api-keys",
            list,
            Operation::new("api_key_list", "Lists the API keys of the caller, or of another user")
                .description("The keys of another user need `api_keys.any`.")
                .permission(Permission::ApiKeysOwn, Reach::Own)
                .query::<ApiKeyFilter>()
                .query::<PageRequest<ApiKeySort>>()
                .answer_page::<ApiKeyInfo>("A part of the keys, without their secrets.")
                .errors([ErrorCode::NotFound]),
        )
        .post(
            "/api/v1/api-keys",
            create,
            Operation::new("api_key_create", "Creates an API key of the caller")
                .permission(Permission::ApiKeysOwn, Reach::Own)
                .keeps_secret(Some("/data/info/id"))
                .body::<ApiKeyCreate>(json!({ "name": "backup", "expires_in_hours": 24 }))
                .answer::<NewApiKey>(201, "The key, which is shown once.")
                .errors([ErrorCode::Conflict]),
        )
        .delete(
            "/api/v1/api-keys/{id}",
            revoke,
            of("api_key_revoke", "Revokes an API key")
                .answer::<RevokedWork>(200, "It is revoked. What was revoked with it."),
        )
        .post(
            "/api/v1/api-keys/{id}/rotate",
            rotate,
            of("api_key_rotate", "Gives an API key another secret")
                .keeps_secret(None)
                .body::<ApiKeyRotate>(json!({ "overlap_seconds": 3600 }))
                .answer::<NewApiKey>(200, "The new key, which is shown once.")
                .errors([ErrorCode::Conflict]),
        )
}

pub(super) async fn list(
    Authenticated(hive): Authenticated,
    Query(filter): Query<ApiKeyFilter>,
    Query(page): Query<PageRequest<ApiKeySort>>,
) -> ApiResult<Vec<ApiKeyInfo>> {
    let keys = hive.identity().api_key_page(filter, page).await?;
    Ok(paged(keys))
}

pub(super) async fn create(
    Authenticated(hive): Authenticated,
    Body(key): Body<ApiKeyCreate>,
) -> CreatedResult<NewApiKey> {
    let key = hive.identity().api_key_create(key).await?;
    Ok(created(key))
}

pub(super) async fn revoke(Authenticated(hive): Authenticated, Path(id): Path<ApiKeyId>) -> ApiResult<RevokedWork> {
    let revoked = hive.identity().api_key_revoke(id).await?;
    Ok(ok(revoked))
}

pub(super) async fn rotate(
    Authenticated(hive): Authenticated,
    Path(id): Path<ApiKeyId>,
    Body(rotate): Body<ApiKeyRotate>,
) -> ApiResult<NewApiKey> {
    let key = hive.identity().api_key_rotate(id, rotate).await?;
    Ok(ok(key))
}
