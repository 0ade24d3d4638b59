//! Registration tokens.

use hive_core::Identity;
use hive_core::wire::RegistrationTokenId;
use hive_core::wire::api::{NewRegistrationToken, RegistrationTokenCreate, RegistrationTokenInfo};

use super::{Answer, Created, created, ok};
use crate::auth::Caller;
use crate::extract::{Body, Path};

pub(super) async fn list(Caller(hive): Caller) -> Answer<Vec<RegistrationTokenInfo>> {
    let tokens = hive.registration_token_list().await?;
    Ok(ok(tokens))
}

pub(super) async fn create(
    Caller(hive): Caller,
    Body(token): Body<RegistrationTokenCreate>,
) -> Created<NewRegistrationToken> {
    let token = hive.registration_token_create(token).await?;
    Ok(created(token))
}

pub(super) async fn revoke(Caller(hive): Caller, Path(id): Path<RegistrationTokenId>) -> Answer<()> {
    hive.registration_token_revoke(id).await?;
    Ok(ok(()))
}
