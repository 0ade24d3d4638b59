//! Users, for admins.

use hive_core::Error;
use hive_core::wire::UserId;
use hive_core::wire::api::{Changed, NewPassword, NewUser, PageRequest, User, UserCreate, UserUpdate};

use super::{ApiResult, CreatedResult, created, ok, paged};
use crate::auth::Authenticated;
use crate::extract::{Body, Path, Query};

pub(super) async fn list(Authenticated(hive): Authenticated, Query(page): Query<PageRequest>) -> ApiResult<Vec<User>> {
    let found = hive.identity().user_list(page).await?;
    Ok(paged(found))
}

pub(super) async fn create(Authenticated(hive): Authenticated, Body(user): Body<UserCreate>) -> CreatedResult<NewUser> {
    let user = hive.identity().user_create(user).await?;
    Ok(created(user))
}

pub(super) async fn get(Authenticated(hive): Authenticated, Path(id): Path<UserId>) -> ApiResult<User> {
    let found = hive.identity().user_get(id).await?;
    Ok(ok(found.ok_or_else(|| Error::NotFound { what: "user", id: id.to_string() })?))
}

pub(super) async fn update(
    Authenticated(hive): Authenticated,
    Path(id): Path<UserId>,
    Body(update): Body<UserUpdate>,
) -> ApiResult<Changed<User>> {
    let user = hive.identity().user_update(id, update).await?;
    Ok(ok(user))
}

pub(super) async fn reset_password(
    Authenticated(hive): Authenticated,
    Path(id): Path<UserId>,
) -> ApiResult<NewPassword> {
    let password = hive.identity().user_password_reset(id).await?;
    Ok(ok(password))
}
