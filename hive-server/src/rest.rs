//! The REST API under `/api/v1`. A handler extracts, calls the hive on behalf of the caller and maps the result. It decides
//! nothing.

mod api_keys;
mod audit;
mod auth;
mod commands;
mod events;
mod exec;
mod groups;
mod jobs;
mod output;
mod satellites;
mod sessions;
mod sse;
mod targets;
mod teams;
mod tokens;
mod users;

use axum::Json;
use axum::http::StatusCode;
use hive_core::wire::api::{Envelope, Page};

use crate::error::HttpError;
use crate::routes::Routes;
use crate::state::AppState;

/// The result of a handler.
type ApiResult<T> = Result<Json<Envelope<T>>, HttpError>;
/// The result of a handler that creates something.
type CreatedResult<T> = Result<(StatusCode, Json<Envelope<T>>), HttpError>;

/// The routes of all areas.
pub(crate) fn routes() -> [Routes<AppState>; 13] {
    [
        auth::routes(),
        satellites::routes(),
        exec::routes(),
        commands::routes(),
        groups::routes(),
        jobs::routes(),
        sessions::routes(),
        events::routes(),
        tokens::routes(),
        users::routes(),
        teams::routes(),
        api_keys::routes(),
        audit::routes(),
    ]
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
