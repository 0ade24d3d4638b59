//! Logins, and the caller's own account.

use axum::extract::State;
use hive_core::wire::api::{LoginRequest, LoginResponse, Me, PasswordChange};

use super::{ApiResult, ok};
use crate::auth::{Authenticated, RequestParts};
use crate::extract::Body;
use crate::limits::FailureCost;
use crate::state::AppState;

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
