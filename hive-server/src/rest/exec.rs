//! Running commands: waiting for the end, watching it as a stream of events, or only handing it over.

mod how;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hive_core::router::ExecOptions;
use hive_core::wire::SatelliteId;
use hive_core::wire::api::{ExecCommand, ExecEvent, ExecManyRequest, ExecResult, PowerRequest, Target};
use hive_core::{CommandRouter, Error};
use serde_json::json;

use self::how::{How, Mode};
use super::targets::read_targets;
use super::{Answer, ok, output, sse};
use crate::auth::Caller;
use crate::error::Failure;
use crate::extract::{Body, Path};
use crate::state::AppState;

pub(super) async fn one(
    State(state): State<AppState>,
    Caller(hive): Caller,
    Path(id): Path<SatelliteId>,
    How { mode, options }: How,
    Body(command): Body<ExecCommand>,
) -> Result<Response, Failure> {
    match mode {
        Mode::Wait => {
            let encoding = options.encoding;
            Ok(output::report(hive.exec_report(id, command, options).await?, encoding))
        }
        Mode::Queue => {
            let command_id = hive.submit(id, command, options).await?;
            Ok((StatusCode::ACCEPTED, ok(json!({ "command_id": command_id }))).into_response())
        }
        Mode::Stream => {
            let events = hive.exec_stream(vec![Target::Id(id)], command, options).await?;
            Ok(sse::answer(&state, events, event_name))
        }
    }
}

pub(super) async fn many(
    State(state): State<AppState>,
    Caller(hive): Caller,
    How { mode, options }: How,
    Body(request): Body<ExecManyRequest>,
) -> Result<Response, Failure> {
    let targets = read_targets(&request.targets)?;
    let options = ExecOptions { concurrency: request.concurrency, ..options };
    match mode {
        Mode::Wait => {
            let encoding = options.encoding;
            Ok(output::reports(&hive.exec_multi_reports(targets, request.command, options).await?, encoding))
        }
        Mode::Queue => Err(Error::invalid("wait", "several targets cannot be queued for").into()),
        Mode::Stream => {
            let events = hive.exec_stream(targets, request.command, options).await?;
            Ok(sse::answer(&state, events, event_name))
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
    Caller(hive): Caller,
    Path(id): Path<SatelliteId>,
    how: How,
    Body(request): Body<PowerRequest>,
) -> Answer<ExecResult> {
    let result = hive.power(id, request, how.options).await?;
    Ok(ok(result))
}
