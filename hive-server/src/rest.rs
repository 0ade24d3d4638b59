//! The REST API under `/api/v1`. A handler extracts, calls the hive on behalf of the caller and maps the result. It decides
//! nothing.

mod api_keys;
mod audit;
mod auth;
mod commands;
mod events;
mod exec;
mod jobs;
mod output;
mod query_names;
mod satellites;
mod sessions;
mod sse;
mod targets;
mod teams;
mod tokens;
mod users;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use hive_core::wire::api::{Envelope, Page};

pub(crate) use self::query_names::check_query_names;
use crate::error::HttpError;
use crate::state::AppState;

/// The most bytes of a login request, because its caller is not authenticated.
const MAX_LOGIN_BYTES: usize = 16 * 1024;

/// The result of a handler.
type ApiResult<T> = Result<Json<Envelope<T>>, HttpError>;
/// The result of a handler that creates something.
type CreatedResult<T> = Result<(StatusCode, Json<Envelope<T>>), HttpError>;

pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/auth/login", post(auth::login).layer(DefaultBodyLimit::max(MAX_LOGIN_BYTES)))
        .route("/api/v1/auth/me", get(auth::me))
        .route("/api/v1/auth/password", post(auth::change_password))
        .route("/api/v1/satellites", get(satellites::list))
        .route("/api/v1/satellites/by-tag/{tag}", get(satellites::by_tag))
        .route("/api/v1/satellites/{id}", get(satellites::get).put(satellites::update).delete(satellites::remove))
        .route("/api/v1/satellites/{id}/disconnect", post(satellites::disconnect))
        .route("/api/v1/satellites/{id}/exec", post(exec::one))
        .route("/api/v1/satellites/{id}/power", post(exec::power))
        .route("/api/v1/satellites/{id}/commands", get(commands::list))
        .route("/api/v1/satellites/{id}/sessions", get(sessions::list_of))
        .route("/api/v1/sessions", get(sessions::list).post(sessions::create))
        .route("/api/v1/sessions/{id}", get(sessions::get).delete(sessions::end))
        .route("/api/v1/sessions/{id}/input", post(sessions::input))
        .route("/api/v1/sessions/{id}/resize", post(sessions::resize))
        .route("/api/v1/exec", post(exec::many))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/commands/{id}", get(commands::get))
        .route("/api/v1/commands/{id}/cancel", post(commands::cancel))
        .route("/api/v1/commands/{id}/output", get(commands::output))
        .route("/api/v1/jobs", get(jobs::list).post(jobs::submit))
        .route("/api/v1/jobs/{id}", get(jobs::get))
        .route("/api/v1/jobs/{id}/targets", get(jobs::targets))
        .route("/api/v1/jobs/{id}/events", get(jobs::events))
        .route("/api/v1/jobs/{id}/cancel", post(jobs::cancel))
        .route("/api/v1/registration-tokens", get(tokens::list).post(tokens::create))
        .route("/api/v1/registration-tokens/{id}", delete(tokens::revoke))
        .route("/api/v1/users", get(users::list).post(users::create))
        .route("/api/v1/users/{id}", get(users::get).put(users::update))
        .route("/api/v1/users/{id}/password", post(users::reset_password))
        .route("/api/v1/teams", get(teams::list).post(teams::create))
        .route("/api/v1/teams/{id}/members", get(teams::members).put(teams::put_member))
        .route("/api/v1/teams/{id}/members/{user}", delete(teams::remove_member))
        .route("/api/v1/api-keys", get(api_keys::list).post(api_keys::create))
        .route("/api/v1/api-keys/{id}", delete(api_keys::revoke))
        .route("/api/v1/api-keys/{id}/rotate", post(api_keys::rotate))
        .route("/api/v1/audit/logs", get(audit::list).post(audit::log))
        .route("/api/v1/audit/logs/{id}", get(audit::get))
        .route("/api/v1/audit/export", get(audit::export))
        .route("/api/v1/audit/verify", get(audit::verify))
}

fn ok<T>(data: T) -> Json<Envelope<T>> {
    Json(Envelope::new(data))
}

fn created<T>(data: T) -> (StatusCode, Json<Envelope<T>>) {
    (StatusCode::CREATED, ok(data))
}

fn paged<T>(page: Page<T>) -> Json<Envelope<Vec<T>>> {
    Json(page.into_envelope())
}
