//! Jobs: one command on many satellites, run by the server.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hive_core::Error;
use hive_core::jobs::JobOptions;
use hive_core::wire::JobId;
use hive_core::wire::api::{Job, JobCreate, JobEvent, JobSort, JobTarget, JobTargetSort, PageRequest};

use super::targets::parse_targets;
use super::{ApiResult, CreatedResult, ok, paged, sse};
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::{Body, Path, Query, idempotency_key};
use crate::limits::{CommandTarget, RateClass};
use crate::routes::{Operation, Reach, Routes};
use crate::state::AppState;
use hive_core::access::Permission;
use hive_core::wire::ErrorCode;
use serde_json::json;

pub(super) fn routes() -> Routes<AppState> {
    let of = |id, summary, permission| {
        Operation::new(id, summary).permission(permission, Reach::Job).path::<JobId>("The job.")
    };
    Routes::tagged("jobs")
        .get(
            "/api/v1/jobs",
            list,
            Operation::new("job_list", "Lists jobs")
                .permission(Permission::SatellitesRead, Reach::Visible)
                .query::<PageRequest<JobSort>>()
                .answer_page::<Job>("A part of the jobs."),
        )
        .post(
            "/api/v1/jobs",
            submit,
            Operation::new("job_create", "Starts a job")
                .permission(Permission::JobsRun, Reach::Anywhere)
                .rate(RateClass::Exec)
                .key_of_command()
                .body::<JobCreate>(json!({ "targets": ["tag:web"], "command": "uptime" }))
                .answer::<Job>(202, "The job, which goes on by itself.")
                .errors([ErrorCode::SatelliteNotFound, ErrorCode::Conflict]),
        )
        .get(
            "/api/v1/jobs/{id}",
            get,
            of("job_get", "Returns a job", Permission::SatellitesRead).answer::<Job>(200, "The job."),
        )
        .get(
            "/api/v1/jobs/{id}/targets",
            targets,
            of("job_target_list", "Lists the satellites of a job", Permission::SatellitesRead)
                .query::<PageRequest<JobTargetSort>>()
                .answer_page::<JobTarget>("A part of the satellites."),
        )
        .get(
            "/api/v1/jobs/{id}/events",
            events,
            of("job_event_stream", "Streams the events of a job", Permission::SatellitesRead)
                .answer_events::<JobEvent>("The events, up to the end of the job."),
        )
        .post(
            "/api/v1/jobs/{id}/cancel",
            cancel,
            of("job_cancel", "Cancels a job", Permission::JobsRun).keeps_answer().answer::<Job>(200, "The job."),
        )
}

pub(super) async fn submit(
    State(state): State<AppState>,
    Authenticated(hive): Authenticated,
    headers: HeaderMap,
    Body(job): Body<JobCreate>,
) -> CreatedResult<Job> {
    state.limiters().requests.count_command(hive.principal(), CommandTarget::Selected)?;
    let JobCreate { targets, concurrency, confirm, deadline_seconds, command } = job;
    let idempotency_key = idempotency_key(&headers);
    let options = JobOptions { idempotency_key, concurrency, confirm, deadline_seconds };
    let job = hive.jobs().submit(parse_targets(&targets)?, command, options).await?;
    // 202 and not 201: the job continues after the response (RFC 9110, section 15.3.3).
    Ok((StatusCode::ACCEPTED, ok(job)))
}

pub(super) async fn list(
    Authenticated(hive): Authenticated,
    Query(page): Query<PageRequest<JobSort>>,
) -> ApiResult<Vec<Job>> {
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
    Query(page): Query<PageRequest<JobTargetSort>>,
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
