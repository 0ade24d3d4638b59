//! The HTTPS API for satellites, `/api/satellites`: bodies without an envelope, and errors of their own shape.

mod authentication;
mod error;
mod heartbeat;
mod register;
mod tokens;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};

use crate::state::AppState;

pub(crate) use authentication::{authenticate, expect_this_hive};
pub(crate) use error::{SatelliteFailure, tell_hive};

/// The most bytes of a registration: a stranger sends it.
const MAX_REGISTRATION: usize = 64 * 1024;

pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/satellites/register", post(register::register).layer(DefaultBodyLimit::max(MAX_REGISTRATION)))
        .route("/api/satellites/register/status", get(register::status))
        .route("/api/satellites/{id}/heartbeat", post(heartbeat::heartbeat))
        .route("/api/satellites/global/registration-tokens", get(tokens::list_global).post(tokens::create_global))
        .route("/api/satellites/global/registration-tokens/{token_id}", delete(tokens::revoke_global))
        .route(
            "/api/teams/{team_id}/satellites/registration-tokens",
            get(tokens::list_of_team).post(tokens::create_for_team),
        )
        .route("/api/teams/{team_id}/satellites/registration-tokens/{token_id}", delete(tokens::revoke_of_team))
}
