//! Logging in, and who one is.

use axum::extract::State;
use hive_core::Identity;
use hive_core::wire::api::{LoginRequest, LoginResponse, Me};

use super::{Answer, ok};
use crate::auth::Caller;
use crate::extract::Body;
use crate::peer::Peer;
use crate::state::AppState;

pub(super) async fn login(
    State(state): State<AppState>,
    peer: Peer,
    Body(login): Body<LoginRequest>,
) -> Answer<LoginResponse> {
    let _admitted = state.admit()?;
    let response = state.hive().login(login, peer.ip()).await?;
    Ok(ok(response))
}

pub(super) async fn me(Caller(hive): Caller) -> Answer<Me> {
    let me = hive.me().await?;
    Ok(ok(me))
}
