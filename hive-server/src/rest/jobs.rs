//! Jobs: one command on many satellites, run by the server.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hive_core::Error;
use hive_core::jobs::JobOptions;
use hive_core::wire::JobId;
use hive_core::wire::api::{Job, JobCreate, JobEvent, JobTarget, PageRequest};

use super::targets::parse_targets;
use super::{ApiResult, CreatedResult, ok, paged, sse};
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::{Body, Path, Query, idempotency_key};
use crate::state::AppState;

pub(super) async fn submit(
    Authenticated(hive): Authenticated,
    headers: HeaderMap,
    Body(job): Body<JobCreate>,
) -> CreatedResult<Job> {
    let JobCreate { targets, concurrency, deadline_seconds, command } = job;
    let options = JobOptions { idempotency_key: idempotency_key(&headers), concurrency, deadline_seconds };
    let job = hive.jobs().submit(parse_targets(&targets)?, command, options).await?;
    // 202 and not 201: the job continues after the response (RFC 9110, section 15.3.3).
    Ok((StatusCode::ACCEPTED, ok(job)))
}

pub(super) async fn list(Authenticated(hive): Authenticated, Query(page): Query<PageRequest>) -> ApiResult<Vec<Job>> {
    let found = hive.jobs().list(page).await?;
    Ok(paged(found))
}

pub(super) async fn get(Authenticated(hive): Authenticated, Path(id): Path<JobId>) -> ApiResult<Job> {
    let found = hive.jobs().get(id).await?;
    Ok(ok(found.ok_or_else(|| Error::NotFound { what: "job", id: id.to_string() })?))
}

pub(super) async fn targets(
    Authenticated(hive): Authenticated,
    Path(id): Path<JobId>,
    Query(page): Query<PageRequest>,
) -> ApiResult<Vec<JobTarget>> {
    let found = hive.jobs().list_targets(id, page).await?;
    Ok(paged(found))
}

pub(super) async fn cancel(Authenticated(hive): Authenticated, Path(id): Path<JobId>) -> ApiResult<Job> {
    let job = hive.jobs().cancel(id).await?;
    Ok(ok(job))
}

pub(super) async fn events(
    State(state): State<AppState>,
    Authenticated(hive): Authenticated,
    Path(id): Path<JobId>,
) -> Result<Response, HttpError> {
    let events = hive.jobs().subscribe(id).await?;
    Ok(sse::stream(&state, events, event_name))
}

fn event_name(event: &JobEvent) -> &'static str {
    match event {
        JobEvent::Progress { .. } => "progress",
        JobEvent::Target { .. } => "target",
        JobEvent::Ended(_) => "ended",
        _ => "job:event",
    }
}
