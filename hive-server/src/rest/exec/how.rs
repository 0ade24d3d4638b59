//! How a command is given, apart from what it does.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use hive_core::router::ExecOptions;

use crate::error::Failure;
use crate::extract::{Pairs, idempotency_key};
use crate::state::AppState;

/// What becomes of the call once the command is accepted.
pub(super) enum Mode {
    /// It is answered at the command's end.
    Wait,
    /// It is answered at once with the command's id.
    Queue,
    /// It is answered with what happens while it happens.
    Stream,
}

/// `wait`, `encoding`, `Idempotency-Key` and `Accept`.
pub(super) struct How {
    pub(super) mode: Mode,
    pub(super) options: ExecOptions,
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

fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/event-stream"))
}
