//! Where an error becomes an answer: code, status, envelope. Causes go to the log and nowhere else.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hive_core::Error;
use hive_core::clock::{Entropy, SystemEntropy};
use hive_core::wire::ErrorCode;
use hive_core::wire::api::{ApiError, ErrorEnvelope};
use hive_core::wire::session::SUBPROTOCOL;
use serde_json::json;

use crate::telemetry::with_causes;

/// When a caller who found the server stopping may try again, in seconds.
const STOPPING_RETRY_SECONDS: u64 = 5;
/// When a caller whose queue is full may try again.
const QUEUE_RETRY_SECONDS: u64 = 1;

/// Why a request gets no other answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The hive says so.
    Hive(Error),
    /// The path is there, but not for this method.
    WrongMethod,
    /// The path is a WebSocket, and the request is not the beginning of one.
    UpgradeRequired,
    /// Too many callers are in the middle of proving who they are; when this one may try again.
    Overloaded { retry_after: Duration },
    /// The server stops and waits no longer.
    Stopping,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Hive(error)
    }
}

/// A failure as it is answered, whatever the shape of the body.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after_seconds: Option<u64>,
    pub(crate) error: ApiError,
}

impl Failure {
    /// Turns the failure into its answer, and logs what the answer leaves out.
    pub(crate) fn answer(self) -> Answer {
        let error = self.to_wire();
        Answer { status: self.status(&error), retry_after_seconds: self.retry_after_seconds(), error }
    }

    fn to_wire(&self) -> ApiError {
        let told = |code, message: &str| ApiError { code, message: message.into(), details: None };
        let invalid = |message: &str| told(ErrorCode::InvalidInput, message);
        let unavailable = |message| told(ErrorCode::Unavailable, message);
        match self {
            Self::Hive(error) => logged(error),
            Self::WrongMethod => invalid("this path does not take this method"),
            Self::UpgradeRequired => invalid(&format!("this path is a WebSocket of the sub-protocol {SUBPROTOCOL}")),
            Self::Overloaded { .. } => unavailable("too many callers come at the same time"),
            Self::Stopping => unavailable("the server is stopping; a command that it has accepted goes on"),
        }
    }

    fn status(&self, error: &ApiError) -> StatusCode {
        match self {
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            _ => StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Hive(Error::RateLimited { retry_after_seconds }) => Some(*retry_after_seconds),
            Self::Hive(Error::QueueFull { .. }) => Some(QUEUE_RETRY_SECONDS),
            Self::Overloaded { retry_after } => Some(retry_after.as_secs_f64().round() as u64),
            Self::Stopping => Some(STOPPING_RETRY_SECONDS),
            _ => None,
        }
    }
}

/// The error as it is answered. One of ours gets a number under which its cause stands in the log.
fn logged(error: &Error) -> ApiError {
    let mut wire = error.to_wire();
    match error {
        Error::Internal(cause) | Error::Damaged(cause) => {
            let id = request_id();
            tracing::error!(request.id = %id, cause = %with_causes(cause.as_ref()), "a request failed");
            wire.details = Some(json!({ "request_id": id }));
        }
        Error::Unavailable(cause) => {
            tracing::warn!(cause = %with_causes(cause.as_ref()), "the storage cannot be used");
        }
        _ => {}
    }
    wire
}

fn request_id() -> String {
    let mut bytes = [0; 8];
    SystemEntropy.fill(&mut bytes);
    format!("req_{:016x}", u64::from_be_bytes(bytes))
}

impl Answer {
    /// Puts the answer's status and headers around a body.
    pub(crate) fn with_body(&self, body: impl IntoResponse) -> Response {
        let mut response = (self.status, body).into_response();
        let mut set = |name: HeaderName, value: String| {
            if let Ok(value) = value.try_into() {
                response.headers_mut().insert(name, value);
            }
        };
        if let Some(seconds) = self.retry_after_seconds {
            set(header::RETRY_AFTER, seconds.to_string());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            set(header::WWW_AUTHENTICATE, "Bearer".into());
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            set(header::UPGRADE, "websocket".into());
        }
        response
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let answer = self.answer();
        answer.with_body(Json(ErrorEnvelope { success: false, error: answer.error.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(failure: Failure, status: u16, code: ErrorCode) {
        let answer = failure.answer();
        assert_eq!((answer.status.as_u16(), answer.error.code), (status, code));
    }

    #[test]
    fn each_failure_has_its_status_and_code() {
        check(Failure::WrongMethod, 405, ErrorCode::InvalidInput);
        check(Failure::UpgradeRequired, 426, ErrorCode::InvalidInput);
        check(Failure::Overloaded { retry_after: Duration::ZERO }, 503, ErrorCode::Unavailable);
        check(Failure::Stopping, 503, ErrorCode::Unavailable);
        check(Error::AuthRequired.into(), 401, ErrorCode::AuthRequired);
        check(Error::SatelliteNotFound("x".into()).into(), 404, ErrorCode::SatelliteNotFound);
        check(Error::SatelliteOffline("x".into()).into(), 503, ErrorCode::SatelliteOffline);
    }

    #[test]
    fn a_fault_of_ours_names_a_request_and_not_its_cause() {
        let answer = Failure::from(Error::internal("SELECT secret FROM keys")).answer();
        let body = serde_json::to_string(&answer.error).unwrap();
        assert!(body.contains("req_") && !body.contains("SELECT"), "{body}");
        assert_eq!(answer.status.as_u16(), 500);
    }

    #[test]
    fn who_is_told_to_wait_is_told_how_long() {
        let response = Failure::from(Error::RateLimited { retry_after_seconds: 7 }).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "7");
        let response = Failure::Overloaded { retry_after: Duration::from_secs(3) }.into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "3");
    }
}
