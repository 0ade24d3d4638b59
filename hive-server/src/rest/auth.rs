//! Logging in, and who one is.

use axum::extract::State;
use hive_core::Identity;
use hive_core::wire::api::{LoginRequest, LoginResponse, Me, PasswordChange};

use super::{Answer, ok};
use crate::auth::{Caller, Visitor};
use crate::extract::Body;
use crate::limits::Offence;
use crate::state::AppState;

pub(super) async fn login(
    State(state): State<AppState>,
    visitor: Visitor,
    Body(login): Body<LoginRequest>,
) -> Answer<LoginResponse> {
    let checked = state.hive().login(login, visitor.peer.ip(), visitor.effort()).await;
    Ok(ok(visitor.judge_as(Offence::Password, checked)?))
}

pub(super) async fn me(Caller(hive): Caller) -> Answer<Me> {
    let me = hive.me().await?;
    Ok(ok(me))
}

pub(super) async fn change_password(
    visitor: Visitor,
    Caller(hive): Caller,
    Body(change): Body<PasswordChange>,
) -> Answer<()> {
    visitor.may_guess()?;
    let changed = hive.password_change(change).await;
    visitor.judge_guess(&changed);
    Ok(ok(changed?))
}
