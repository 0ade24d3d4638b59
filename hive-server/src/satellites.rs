//! The HTTPS API for satellites, `/api/satellites`. Its bodies have no envelope, and its errors a shape of their own.

mod authentication;
mod error;
mod heartbeat;
mod register;
mod tokens;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};

use crate::state::AppState;

pub(crate) use authentication::{authenticate, check_hive_id};
pub(crate) use error::{SatelliteApiError, add_hive_id};

/// The most bytes of a registration, because its caller is not authenticated.
const MAX_REGISTRATION_BYTES: usize = 64 * 1024;

pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route(
            "/api/satellites/register",
            post(register::register).layer(DefaultBodyLimit::max(MAX_REGISTRATION_BYTES)),
        )
        .route("/api/satellites/register/status", get(register::status))
        .route("/api/satellites/{id}/heartbeat", post(heartbeat::heartbeat))
        // The same tokens as under /api/v1/registration-tokens, by the paths of the documented satellite API.
        .route("/api/satellites/global/registration-tokens", get(tokens::list_global).post(tokens::create_global))
        .route("/api/satellites/global/registration-tokens/{token_id}", delete(tokens::revoke_global))
        .route(
            "/api/teams/{team_id}/satellites/registration-tokens",
            get(tokens::list_of_team).post(tokens::create_for_team),
        )
        .route("/api/teams/{team_id}/satellites/registration-tokens/{token_id}", delete(tokens::revoke_of_team))
}
