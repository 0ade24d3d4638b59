//! Users, for admins.

use hive_core::Error;
use hive_core::wire::UserId;
use hive_core::wire::api::{Changed, NewPassword, NewUser, PageRequest, User, UserCreate, UserSort, UserUpdate};

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
        Operation::new(id, summary).permission(Permission::UsersManage, Reach::User).path::<UserId>("The user.")
    };
    Routes::tagged("users")
        .get(
            "/api/v1/users",
            list,
            Operation::new("user_list", "Lists users")
                .permission(Permission::UsersManage, Reach::Platform)
                .query::<PageRequest<UserSort>>()
                .answer_page::<User>("A part of the users."),
        )
        .post(
            "/api/v1/users",
            create,
            Operation::new("user_create", "Creates a user")
                .permission(Permission::UsersManage, Reach::Platform)
                .keeps_secret(Some("/data/user/id"))
                .gives_name()
                .body::<UserCreate>(json!({ "username": "anna", "role": "global_user" }))
                .answer::<NewUser>(201, "The user, with a password that is shown once.")
                .errors([ErrorCode::Conflict]),
        )
        .get("/api/v1/users/{id}", get, of("user_get", "Returns a user").answer::<User>(200, "The user."))
        .put(
            "/api/v1/users/{id}",
            update,
            of("user_update", "Changes a user")
                .body::<UserUpdate>(json!({ "disabled": true }))
                .answer_changed::<User>("The user after the change, and what was revoked with it.")
                .errors([ErrorCode::Conflict]),
        )
        .post(
            "/api/v1/users/{id}/password",
            reset_password,
            of("user_password_reset", "Gives a user a new password")
                .keeps_secret(None)
                .answer::<NewPassword>(200, "The password, which is shown once."),
        )
}

pub(super) async fn list(
    Authenticated(hive): Authenticated,
    Query(page): Query<PageRequest<UserSort>>,
) -> ApiResult<Vec<User>> {
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
