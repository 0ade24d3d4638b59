//! Registration tokens.

use hive_core::wire::RegistrationTokenId;
use hive_core::wire::api::{NewRegistrationToken, RegistrationTokenCreate, RegistrationTokenInfo};

use super::{ApiResult, CreatedResult, created, ok};
use crate::auth::Authenticated;
use crate::extract::{Body, Path};

pub(super) async fn list(Authenticated(hive): Authenticated) -> ApiResult<Vec<RegistrationTokenInfo>> {
    let tokens = hive.identity().registration_token_list().await?;
    Ok(ok(tokens))
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
