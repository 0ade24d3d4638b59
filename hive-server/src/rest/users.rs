//! Users, for those who run the hive.

use hive_core::wire::UserId;
use hive_core::wire::api::{NewPassword, NewUser, User, UserCreate, UserUpdate};
use hive_core::{Error, Identity};

use super::{Answer, Created, created, ok, page};
use crate::auth::Caller;
use crate::extract::{Body, Paging, Path};

pub(super) async fn list(Caller(hive): Caller, Paging(wanted): Paging) -> Answer<Vec<User>> {
    let found = hive.user_list(wanted).await?;
    Ok(page(found))
}

pub(super) async fn create(Caller(hive): Caller, Body(user): Body<UserCreate>) -> Created<NewUser> {
    let user = hive.user_create(user).await?;
    Ok(created(user))
}

pub(super) async fn get(Caller(hive): Caller, Path(id): Path<UserId>) -> Answer<User> {
    let found = hive.user_get(id).await?;
    Ok(ok(found.ok_or_else(|| Error::NotFound { what: "user", id: id.to_string() })?))
}

pub(super) async fn update(
    Caller(hive): Caller,
    Path(id): Path<UserId>,
    Body(update): Body<UserUpdate>,
) -> Answer<User> {
    let user = hive.user_update(id, update).await?;
    Ok(ok(user))
}

pub(super) async fn reset_password(Caller(hive): Caller, Path(id): Path<UserId>) -> Answer<NewPassword> {
    let password = hive.user_password_reset(id).await?;
    Ok(ok(password))
}
