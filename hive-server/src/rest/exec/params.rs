//! How a command is run, apart from what it does.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use hive_core::commands::ExecOptions;
use hive_core::wire::api::ExecQuery;

use crate::error::HttpError;
use crate::extract::{Query, idempotency_key};
use crate::state::AppState;

/// When a request is answered.
pub(in crate::rest) enum ResponseMode {
    /// At the end of the command, with its result.
    Wait,
    /// As soon as the command is stored, with its id.
    Queue,
    /// At once, with a stream of events.
    Stream,
}

/// The query and the headers `Idempotency-Key` and `Accept`.
pub(in crate::rest) struct ExecParams {
    pub(super) mode: ResponseMode,
    pub(super) options: ExecOptions,
}

impl ExecParams {
    /// The same, for several targets.
    pub(in crate::rest) fn limited(mut self, concurrency: Option<u32>, confirm: Option<u64>) -> Self {
        self.options = ExecOptions { concurrency, confirm, ..self.options };
        self
    }
}

impl FromRequestParts<AppState> for ExecParams {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, HttpError> {
        let Query(ExecQuery { wait, encoding }) = Query::from_request_parts(parts, state).await?;
        let idempotency_key = idempotency_key(&parts.headers);
        let options = ExecOptions { idempotency_key, encoding, ..ExecOptions::default() };
        let mode = match wait {
            // `wait=false` takes precedence over `Accept`, which some HTTP clients send with every request.
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
