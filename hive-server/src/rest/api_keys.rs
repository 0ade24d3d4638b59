//! The caller's API keys.

use hive_core::Identity;
use hive_core::wire::ApiKeyId;
use hive_core::wire::api::{ApiKeyCreate, ApiKeyInfo, NewApiKey};

use super::{Answer, Created, created, ok};
use crate::auth::Caller;
use crate::extract::{Body, Path};

pub(super) async fn list(Caller(hive): Caller) -> Answer<Vec<ApiKeyInfo>> {
    let keys = hive.api_key_list().await?;
    Ok(ok(keys))
}

pub(super) async fn create(Caller(hive): Caller, Body(key): Body<ApiKeyCreate>) -> Created<NewApiKey> {
    let key = hive.api_key_create(key).await?;
    Ok(created(key))
}

pub(super) async fn revoke(Caller(hive): Caller, Path(id): Path<ApiKeyId>) -> Answer<()> {
    hive.api_key_revoke(id).await?;
    Ok(ok(()))
}

pub(super) async fn rotate(Caller(hive): Caller, Path(id): Path<ApiKeyId>) -> Answer<NewApiKey> {
    let key = hive.api_key_rotate(id).await?;
    Ok(ok(key))
}
