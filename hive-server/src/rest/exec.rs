//! Runs commands and returns their result, a stream of their events, or only their id.

mod params;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hive_core::access::Permission;
use hive_core::wire::api::{
    ExecCommand, ExecEvent, ExecManyQuery, ExecManyRequest, ExecQuery, ExecResult, PowerRequest, Target,
};
use hive_core::wire::{CommandId, ErrorCode, SatelliteId};
use hive_core::{ActingHive, Error};
use serde::Serialize;
use serde_json::json;

pub(super) use self::params::ExecParams;
use self::params::ResponseMode;
use super::targets::parse_targets;
use super::{ApiResult, ok, output, sse};
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::{Body, Path};
use crate::limits::{CommandTarget, RateClass};
use crate::routes::{Operation, Reach, Routes};
use crate::state::AppState;

/// What running a command may fail with.
pub(super) const ERRORS: [ErrorCode; 8] = [
    ErrorCode::SatelliteNotFound,
    ErrorCode::SatelliteInactive,
    ErrorCode::SatelliteOffline,
    ErrorCode::Conflict,
    ErrorCode::RateLimited,
    ErrorCode::CommandBlocked,
    ErrorCode::CommandTimeout,
    ErrorCode::Unsupported,
];

pub(super) fn routes() -> Routes<AppState> {
    Routes::tagged("commands")
        .post(
            "/api/v1/satellites/{id}/exec",
            one,
            Operation::new("satellite_exec", "Runs a command on a satellite")
                .description(
                    "Answers at the end of the command. With `Accept: text/event-stream` it streams `ExecEvent`s; with `wait=false` \
                     it answers 202 as soon as the command is stored.",
                )
                .permission(Permission::SatellitesExec, Reach::Satellite)
                .rate(RateClass::Exec)
                .path::<SatelliteId>("The satellite.")
                .query::<ExecQuery>()
                .key_of_command()
                .body::<ExecCommand>(json!({ "command": "uptime" }))
                .answer::<ExecResult>(200, "The result.")
                .answer_events::<ExecEvent>("The events of the command.")
                .answer::<SubmittedCommand>(202, "The command is stored.")
                .errors(ERRORS),
        )
        .post(
            "/api/v1/satellites/{id}/power",
            power,
            Operation::new("satellite_power", "Shuts down or reboots a satellite")
                .permission(Permission::SatellitesPower, Reach::Satellite)
                .rate(RateClass::Exec)
                .path::<SatelliteId>("The satellite.")
                .query::<ExecQuery>()
                .key_of_command()
                .body::<PowerRequest>(json!({ "action": "reboot", "delay_seconds": 60 }))
                .answer::<ExecResult>(200, "The result.")
                .errors(ERRORS),
        )
        .post(
            "/api/v1/exec",
            many,
            Operation::new("exec_many", "Runs a command on several satellites")
                .description("Answers at the end of all of them. With `Accept: text/event-stream` it streams `ExecEvent`s.")
                .permission(Permission::SatellitesExec, Reach::Anywhere)
                .rate(RateClass::Exec)
                .query::<ExecManyQuery>()
                .key_of_command()
                .body::<ExecManyRequest>(json!({ "targets": ["tag:web"], "command": "uptime" }))
                .answer_list::<ExecResult>("The results.")
                .answer_events::<ExecEvent>("The events of the commands.")
                .errors(ERRORS),
        )
}

/// A command that is stored.
#[derive(Serialize, utoipa::ToSchema)]
struct SubmittedCommand {
    /// Its id.
    command_id: CommandId,
}

pub(super) async fn one(
    State(state): State<AppState>,
    Authenticated(hive): Authenticated,
    Path(id): Path<SatelliteId>,
    ExecParams { mode, options }: ExecParams,
    Body(command): Body<ExecCommand>,
) -> Result<Response, HttpError> {
    // Before anything is stored: a refused command leaves nothing behind.
    state.limiters().requests.count_command(hive.principal(), CommandTarget::Satellite(id))?;
    match mode {
        ResponseMode::Wait => {
            let encoding = options.encoding;
            let report = hive.commands().exec_report(id, command, options).await?;
            Ok(output::report(&report, encoding)?)
        }
        ResponseMode::Queue => {
            let command_id = hive.commands().submit(id, command, options).await?;
            Ok((StatusCode::ACCEPTED, ok(SubmittedCommand { command_id })).into_response())
        }
        ResponseMode::Stream => {
            // The stream begins with the id, so that a caller that loses it can ask for the command.
            let events = hive.commands().exec_stream(vec![Target::Id(id)], command, options).await?;
            Ok(sse::stream(&state, events, event_name))
        }
    }
}

pub(super) async fn many(
    State(state): State<AppState>,
    Authenticated(hive): Authenticated,
    params: ExecParams,
    Body(request): Body<ExecManyRequest>,
) -> Result<Response, HttpError> {
    let ExecManyRequest { targets, concurrency, confirm, command } = request;
    run_many(&state, &hive, parse_targets(&targets)?, command, params.limited(concurrency, confirm)).await
}

/// Runs a command on several targets, and answers as the caller wants it.
pub(super) async fn run_many(
    state: &AppState,
    hive: &ActingHive,
    targets: Vec<Target>,
    command: ExecCommand,
    ExecParams { mode, options }: ExecParams,
) -> Result<Response, HttpError> {
    state.limiters().requests.count_command(hive.principal(), CommandTarget::Selected)?;
    match mode {
        ResponseMode::Wait => {
            let encoding = options.encoding;
            let reports = hive.commands().exec_multi_reports(targets, command, options).await?;
            Ok(output::reports(&reports, encoding)?)
        }
        ResponseMode::Queue => {
            // There is no single id to answer with.
            Err(Error::invalid("wait", "cannot be false for several targets; create a job instead").into())
        }
        ResponseMode::Stream => {
            let events = hive.commands().exec_stream(targets, command, options).await?;
            Ok(sse::stream(state, events, event_name))
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
    State(state): State<AppState>,
    Authenticated(hive): Authenticated,
    Path(id): Path<SatelliteId>,
    params: ExecParams,
    Body(request): Body<PowerRequest>,
) -> ApiResult<ExecResult> {
    state.limiters().requests.count_command(hive.principal(), CommandTarget::Satellite(id))?;
    let result = hive.commands().power(id, request, params.options).await?;
    Ok(ok(result))
}
