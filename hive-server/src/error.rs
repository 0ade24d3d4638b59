//! Maps errors to responses: code, status and envelope. Their causes go to the log and never into a response.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hive_core::Error;
use hive_core::clock::{Entropy, SystemEntropy};
use hive_core::error::KeyConflict;
use hive_core::wire::ErrorCode;
use hive_core::wire::api::{ApiError, ErrorEnvelope};
use serde_json::json;

use hive_core::wire::escape::error_chain;

/// `Retry-After` of a draining server, in seconds: about as long as a restart takes.
const DRAINING_RETRY_SECONDS: u64 = 5;
/// `Retry-After` of a full command queue, in seconds.
const QUEUE_RETRY_SECONDS: u64 = 1;

/// Why a request fails.
#[derive(Debug)]
pub(crate) enum HttpError {
    /// An error of the hive.
    Hive(Error),
    /// The path does not take this method.
    MethodNotAllowed,
    /// The path is a WebSocket, of this sub-protocol if it has one, and the request does not open one.
    UpgradeRequired(Option<&'static str>),
    /// A browser reached the server by a name that is none of the hive.
    MisdirectedHost,
    /// As many UI sockets are open as may be.
    TooManySockets,
    /// Too many callers authenticate at the same time.
    Overloaded { retry_after: Duration },
    /// The server is stopping.
    Draining,
}

impl From<Error> for HttpError {
    fn from(error: Error) -> Self {
        Self::Hive(error)
    }
}

/// The response to a failed request, apart from the shape of its body.
pub(crate) struct ErrorResponseParts {
    pub(crate) status: StatusCode,
    pub(crate) retry_after_seconds: Option<u64>,
    pub(crate) error: ApiError,
    /// Whether it is the idempotency key of the call that is in use, and not what the call is about.
    is_about_key: bool,
}

impl HttpError {
    /// Maps the error to its response, and logs the causes that the response leaves out.
    pub(crate) fn into_parts(self) -> ErrorResponseParts {
        let error = self.to_wire();
        ErrorResponseParts {
            status: self.status(&error),
            retry_after_seconds: self.retry_after_seconds(),
            error,
            is_about_key: matches!(self, Self::Hive(Error::KeyConflict(_))),
        }
    }

    fn to_wire(&self) -> ApiError {
        let error = |code, message: &str| ApiError { code, message: message.into(), details: None };
        let invalid = |message: &str| error(ErrorCode::InvalidInput, message);
        let unavailable = |message| error(ErrorCode::Unavailable, message);
        match self {
            Self::Hive(error) => logged(error),
            Self::MethodNotAllowed => invalid("this path does not take this method"),
            Self::UpgradeRequired(None) => invalid("this path is a WebSocket"),
            Self::UpgradeRequired(Some(name)) => {
                invalid(&format!("this path is a WebSocket of the sub-protocol {name}"))
            }
            Self::MisdirectedHost => {
                let rule = "`Host` is not a name of this hive; `--external-url` or `--origin` of the server adds it";
                error(ErrorCode::Forbidden, rule)
            }
            Self::TooManySockets => unavailable("as many UI sockets are open as the server allows"),
            Self::Overloaded { .. } => unavailable("too many callers authenticate at the same time"),
            Self::Draining => unavailable("the server is stopping; accepted commands continue"),
        }
    }

    fn status(&self, error: &ApiError) -> StatusCode {
        match self {
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UpgradeRequired(_) => StatusCode::UPGRADE_REQUIRED,
            Self::MisdirectedHost => StatusCode::MISDIRECTED_REQUEST,
            _ => StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::Hive(Error::RateLimited { retry_after_seconds }) => Some(*retry_after_seconds),
            Self::Hive(Error::QueueFull { .. }) => Some(QUEUE_RETRY_SECONDS),
            Self::Hive(Error::KeyConflict(KeyConflict::InProgress)) => Some(KeyConflict::RETRY_SECONDS),
            Self::Overloaded { retry_after } => Some(retry_after.as_secs_f64().round() as u64),
            Self::Draining | Self::TooManySockets => Some(DRAINING_RETRY_SECONDS),
            _ => None,
        }
    }
}

/// The error as clients see it. An internal one gets a request id, under which its cause is in the log.
fn logged(error: &Error) -> ApiError {
    let mut wire = error.to_wire();
    match error {
        Error::Internal(cause) | Error::Corrupt(cause) => {
            let id = request_id();
            tracing::error!(request.id = %id, cause = %error_chain(cause.as_ref()), "a request failed");
            wire.details = Some(json!({ "request_id": id }));
        }
        Error::Unavailable(cause) => {
            tracing::warn!(cause = %error_chain(cause.as_ref()), "the storage is unavailable");
        }
        _ => {}
    }
    wire
}

fn request_id() -> String {
    let mut bytes = [0; 8];
    // Random, not counted: the ids of several servers may meet in one log.
    SystemEntropy.fill(&mut bytes);
    format!("req_{:016x}", u64::from_be_bytes(bytes))
}

/// Marks a response that refuses the input of a request before anything was done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InputRefused;

/// Marks a response about the idempotency key of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyRefused;

impl ErrorResponseParts {
    /// Builds the response with this body.
    pub(crate) fn with_body(&self, body: impl IntoResponse) -> Response {
        let mut response = (self.status, body).into_response();
        if matches!(self.error.code, ErrorCode::InvalidInput | ErrorCode::PayloadTooLarge) {
            response.extensions_mut().insert(InputRefused);
        }
        if self.is_about_key {
            response.extensions_mut().insert(KeyRefused);
        }
        let mut set = |name: HeaderName, value: String| {
            if let Ok(value) = value.try_into() {
                response.headers_mut().insert(name, value);
            }
        };
        if let Some(seconds) = self.retry_after_seconds {
            set(header::RETRY_AFTER, seconds.to_string());
        }
        // RFC 9110, sections 11.6.1 and 15.5.22: these statuses require the header.
        if self.status == StatusCode::UNAUTHORIZED {
            set(header::WWW_AUTHENTICATE, "Bearer".into());
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            set(header::UPGRADE, "websocket".into());
        }
        response
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let parts = self.into_parts();
        parts.with_body(Json(ErrorEnvelope { success: false, error: parts.error.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: HttpError, status: u16, code: ErrorCode) {
        let parts = error.into_parts();
        assert_eq!((parts.status.as_u16(), parts.error.code), (status, code));
    }

    #[test]
    fn each_error_has_its_status_and_code() {
        check(HttpError::MethodNotAllowed, 405, ErrorCode::InvalidInput);
        check(HttpError::UpgradeRequired(None), 426, ErrorCode::InvalidInput);
        check(HttpError::MisdirectedHost, 421, ErrorCode::Forbidden);
        check(HttpError::TooManySockets, 503, ErrorCode::Unavailable);
        check(HttpError::Overloaded { retry_after: Duration::ZERO }, 503, ErrorCode::Unavailable);
        check(HttpError::Draining, 503, ErrorCode::Unavailable);
        check(Error::AuthRequired.into(), 401, ErrorCode::AuthRequired);
        check(Error::SatelliteNotFound("x".into()).into(), 404, ErrorCode::SatelliteNotFound);
        check(Error::SatelliteOffline("x".into()).into(), 503, ErrorCode::SatelliteOffline);
    }

    #[test]
    fn an_internal_error_has_a_request_id_and_no_cause() {
        let parts = HttpError::from(Error::internal("SELECT secret FROM keys")).into_parts();
        let body = serde_json::to_string(&parts.error).unwrap();
        assert!(body.contains("req_") && !body.contains("SELECT"), "{body}");
        assert_eq!(parts.status.as_u16(), 500);
    }

    #[test]
    fn retry_after_is_in_whole_seconds() {
        let response = HttpError::from(Error::RateLimited { retry_after_seconds: 7 }).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "7");
        let response = HttpError::Overloaded { retry_after: Duration::from_secs(3) }.into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "3");
    }
}
