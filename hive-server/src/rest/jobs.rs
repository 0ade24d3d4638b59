//! Jobs: one command on many satellites.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hive_core::job::JobOptions;
use hive_core::wire::JobId;
use hive_core::wire::api::{Job, JobCreate, JobEvent, JobTarget};
use hive_core::{Error, JobManager};

use super::targets::read_targets;
use super::{Answer, Created, ok, page, sse};
use crate::auth::Caller;
use crate::error::Failure;
use crate::extract::{Body, Paging, Path, idempotency_key};
use crate::state::AppState;

pub(super) async fn submit(Caller(hive): Caller, headers: HeaderMap, Body(job): Body<JobCreate>) -> Created<Job> {
    let JobCreate { targets, concurrency, deadline_seconds, command } = job;
    let options = JobOptions { idempotency_key: idempotency_key(&headers), concurrency, deadline_seconds };
    let job = hive.job_submit(read_targets(&targets)?, command, options).await?;
    Ok((StatusCode::ACCEPTED, ok(job)))
}

pub(super) async fn list(Caller(hive): Caller, Paging(wanted): Paging) -> Answer<Vec<Job>> {
    let found = hive.job_list(wanted).await?;
    Ok(page(found))
}

pub(super) async fn get(Caller(hive): Caller, Path(id): Path<JobId>) -> Answer<Job> {
    let found = hive.job_get(id).await?;
    Ok(ok(found.ok_or_else(|| Error::NotFound { what: "job", id: id.to_string() })?))
}

pub(super) async fn targets(
    Caller(hive): Caller,
    Path(id): Path<JobId>,
    Paging(wanted): Paging,
) -> Answer<Vec<JobTarget>> {
    let found = hive.job_target_list(id, wanted).await?;
    Ok(page(found))
}

pub(super) async fn cancel(Caller(hive): Caller, Path(id): Path<JobId>) -> Answer<Job> {
    let job = hive.job_cancel(id).await?;
    Ok(ok(job))
}

pub(super) async fn events(
    State(state): State<AppState>,
    Caller(hive): Caller,
    Path(id): Path<JobId>,
) -> Result<Response, Failure> {
    let events = hive.job_watch(id).await?;
    Ok(sse::answer(&state, events, event_name))
}

fn event_name(event: &JobEvent) -> &'static str {
    match event {
        JobEvent::Progress { .. } => "progress",
        JobEvent::Target { .. } => "target",
        JobEvent::Ended(_) => "ended",
        _ => "job:event",
    }
}
