//! Running commands: waiting for the end, watching it as a stream of events, or only handing it over.

use axum::extract::FromRequestParts;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hive_core::router::ExecOptions;
use hive_core::wire::SatelliteId;
use hive_core::wire::api::{ExecCommand, ExecEvent, ExecManyRequest, ExecResult, PowerRequest, Target};
use hive_core::{CommandRouter, Error};
use serde_json::json;

use super::{Answer, ok, output, sse};
use crate::auth::Caller;
use crate::error::Failure;
use crate::extract::{Body, Pairs, Path};
use crate::state::AppState;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What becomes of the call once the command is accepted.
enum Mode {
    /// It is answered at the command's end.
    Wait,
    /// It is answered at once with the command's id.
    Queue,
    /// It is answered with what happens while it happens.
    Stream,
}

/// `wait`, `encoding`, `Idempotency-Key` and `Accept`.
pub(super) struct How {
    mode: Mode,
    options: ExecOptions,
}

impl FromRequestParts<AppState> for How {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Failure> {
        let query = Pairs::from_request_parts(parts, state).await?;
        let options = ExecOptions {
            idempotency_key: idempotency_key(&parts.headers),
            encoding: query.word("encoding")?.unwrap_or_default(),
            ..ExecOptions::default()
        };
        let mode = match query.value("wait")? {
            Some(false) => Mode::Queue,
            _ if wants_events(&parts.headers) => Mode::Stream,
            _ => Mode::Wait,
        };
        Ok(Self { mode, options })
    }
}

/// What cannot be read is left for the hive to refuse.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Option<String> {
    headers.get(IDEMPOTENCY_KEY).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/event-stream"))
}

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

pub(super) fn read_targets(targets: &[String]) -> Result<Vec<Target>, Error> {
    let read = |text: &String| text.parse();
    let targets: Result<_, hive_core::wire::api::InvalidTarget> = targets.iter().map(read).collect();
    targets.map_err(|error| Error::invalid("targets", error.to_string()))
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
