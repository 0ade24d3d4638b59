//! How a command is run, apart from what it does.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use hive_core::router::ExecOptions;

use crate::error::HttpError;
use crate::extract::{QueryParams, idempotency_key};
use crate::state::AppState;

/// When a request is answered.
pub(super) enum ResponseMode {
    /// At the end of the command, with its result.
    Wait,
    /// As soon as the command is stored, with its id.
    Queue,
    /// At once, with a stream of events.
    Stream,
}

/// `wait`, `encoding`, `Idempotency-Key` and `Accept`.
pub(super) struct ExecQuery {
    pub(super) mode: ResponseMode,
    pub(super) options: ExecOptions,
}

impl FromRequestParts<AppState> for ExecQuery {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, HttpError> {
        let query = QueryParams::from_request_parts(parts, state).await?;
        let options = ExecOptions {
            idempotency_key: idempotency_key(&parts.headers),
            encoding: query.word("encoding")?.unwrap_or_default(),
            ..ExecOptions::default()
        };
        let mode = match query.value("wait")? {
            Some(false) => ResponseMode::Queue,
            _ if accepts_events(&parts.headers) => ResponseMode::Stream,
            _ => ResponseMode::Wait,
        };
        Ok(Self { mode, options })
    }
}

fn accepts_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/event-stream"))
}
