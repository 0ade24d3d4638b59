//! The caller's API keys.

use hive_core::wire::ApiKeyId;
use hive_core::wire::api::{ApiKeyCreate, ApiKeyInfo, ApiKeyRotate, NewApiKey, RevokedWork};

use super::{ApiResult, CreatedResult, created, ok};
use crate::auth::Authenticated;
use crate::extract::{Body, Path};

pub(super) async fn list(Authenticated(hive): Authenticated) -> ApiResult<Vec<ApiKeyInfo>> {
    let keys = hive.identity().api_key_list().await?;
    Ok(ok(keys))
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
