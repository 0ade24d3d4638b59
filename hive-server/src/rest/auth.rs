//! Logins, and the caller's own account.

use axum::extract::State;
use hive_core::wire::api::{LoginRequest, LoginResponse, Me, PasswordChange};

use super::{ApiResult, ok};
use crate::auth::{Authenticated, RequestParts};
use crate::extract::Body;
use crate::limits::{FailureCost, RateClass};
use crate::routes::{Operation, Routes};
use crate::state::AppState;
use hive_core::wire::ErrorCode;
use serde_json::json;

/// The most bytes of a login request, because its caller is not authenticated.
const MAX_LOGIN_BYTES: usize = 16 * 1024;

pub(super) fn routes() -> Routes<AppState> {
    Routes::tagged("auth")
        .post(
            "/api/v1/auth/login",
            login,
            Operation::new("auth_login", "Exchanges a password for a token")
                .body::<LoginRequest>(json!({ "username": "anna", "password": "correct horse battery" }))
                .max_body_bytes(MAX_LOGIN_BYTES)
                .rate(RateClass::Login)
                .answer::<LoginResponse>(200, "The token.")
                .errors([ErrorCode::AuthInvalid, ErrorCode::RateLimited]),
        )
        .get(
            "/api/v1/auth/me",
            me,
            Operation::new("auth_me", "Returns the caller").person().answer::<Me>(200, "The caller."),
        )
        .post(
            "/api/v1/auth/password",
            change_password,
            Operation::new("auth_password_change", "Changes the password of the caller")
                .description("All logins of the caller end. A wrong current password is refused as an input.")
                .person()
                .keeps_answer()
                .body::<PasswordChange>(json!({ "current": "correct horse battery", "new": "another horse battery" }))
                .answer_done("The password is changed."),
        )
}

pub(super) async fn login(
    State(state): State<AppState>,
    request_parts: RequestParts,
    Body(login): Body<LoginRequest>,
) -> ApiResult<LoginResponse> {
    request_parts.check_passwords()?;
    let result = state.hive().login(login, request_parts.peer.ip(), request_parts.verify_mode()).await;
    Ok(ok(request_parts.record_auth_result(FailureCost::Password, result)?))
}

pub(super) async fn me(Authenticated(hive): Authenticated) -> ApiResult<Me> {
    let me = hive.identity().me().await?;
    Ok(ok(me))
}

pub(super) async fn change_password(
    request_parts: RequestParts,
    Authenticated(hive): Authenticated,
    Body(change): Body<PasswordChange>,
) -> ApiResult<()> {
    // Also for authenticated callers: a stolen API key must not allow guessing the password.
    request_parts.check_auth_budget()?;
    let changed = hive.identity().password_change(change).await;
    request_parts.record_password_result(&changed);
    Ok(ok(changed?))
}
