//! Runs commands and returns their result, a stream of their events, or only their id.

mod params;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hive_core::Error;
use hive_core::commands::ExecOptions;
use hive_core::wire::SatelliteId;
use hive_core::wire::api::{ExecCommand, ExecEvent, ExecManyRequest, ExecResult, PowerRequest, Target};
use serde_json::json;

use self::params::{ExecParams, ResponseMode};
use super::targets::parse_targets;
use super::{ApiResult, ok, output, sse};
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::{Body, Path};
use crate::state::AppState;

pub(super) async fn one(
    State(state): State<AppState>,
    Authenticated(hive): Authenticated,
    Path(id): Path<SatelliteId>,
    ExecParams { mode, options }: ExecParams,
    Body(command): Body<ExecCommand>,
) -> Result<Response, HttpError> {
    state.limiters().requests.count_command(hive.principal(), id)?;
    match mode {
        ResponseMode::Wait => {
            let encoding = options.encoding;
            let report = hive.commands().exec_report(id, command, options).await?;
            Ok(output::report(&report, encoding)?)
        }
        ResponseMode::Queue => {
            let command_id = hive.commands().submit(id, command, options).await?;
            Ok((StatusCode::ACCEPTED, ok(json!({ "command_id": command_id }))).into_response())
        }
        ResponseMode::Stream => {
            let events = hive.commands().exec_stream(vec![Target::Id(id)], command, options).await?;
            Ok(sse::stream(&state, events, event_name))
        }
    }
}

pub(super) async fn many(
    State(state): State<AppState>,
    Authenticated(hive): Authenticated,
    ExecParams { mode, options }: ExecParams,
    Body(request): Body<ExecManyRequest>,
) -> Result<Response, HttpError> {
    let targets = parse_targets(&request.targets)?;
    let options = ExecOptions { concurrency: request.concurrency, ..options };
    match mode {
        ResponseMode::Wait => {
            let encoding = options.encoding;
            let reports = hive.commands().exec_multi_reports(targets, request.command, options).await?;
            Ok(output::reports(&reports, encoding)?)
        }
        ResponseMode::Queue => {
            Err(Error::invalid("wait", "cannot be false for several targets; create a job instead").into())
        }
        ResponseMode::Stream => {
            let events = hive.commands().exec_stream(targets, request.command, options).await?;
            Ok(sse::stream(&state, events, event_name))
        }
    }
}

fn event_name(event: &ExecEvent) -> &'static str {
    match event {
        ExecEvent::Accepted { .. } => "accepted",
        ExecEvent::Output { .. } => "output",
        ExecEvent::Link { .. } => "link",
        ExecEvent::Exit(_) => "exit",
        ExecEvent::Unknown(_) => "exec:event",
    }
}

pub(super) async fn power(
    Authenticated(hive): Authenticated,
    Path(id): Path<SatelliteId>,
    params: ExecParams,
    Body(request): Body<PowerRequest>,
) -> ApiResult<ExecResult> {
    let result = hive.commands().power(id, request, params.options).await?;
    Ok(ok(result))
}
