//! Errors as satellites are told them: `{success, error, message, instructions}`.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hive_core::Error;
use hive_core::hive::{RegistrationError, TokenProblem};
use hive_core::wire::ErrorCode;
use hive_core::wire::agent::SUBPROTOCOL;
use hive_core::wire::satellite_api::ErrorResponse;

use crate::error::Failure;

/// Why a satellite gets no other answer.
#[derive(Debug)]
pub(crate) enum SatelliteFailure {
    /// As for everybody else.
    Call(Failure),
    /// Something is wrong with the registration token.
    Token(TokenProblem),
    /// The link needs a WebSocket that speaks our sub-protocol.
    UpgradeRequired,
}

impl From<Failure> for SatelliteFailure {
    fn from(failure: Failure) -> Self {
        Self::Call(failure)
    }
}

impl From<Error> for SatelliteFailure {
    fn from(error: Error) -> Self {
        Self::Call(error.into())
    }
}

impl From<RegistrationError> for SatelliteFailure {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::Token(problem) => Self::Token(problem),
            RegistrationError::Hive(error) => error.into(),
        }
    }
}

impl IntoResponse for SatelliteFailure {
    fn into_response(self) -> Response {
        match self {
            Self::Call(failure) => answer_call(failure),
            Self::Token(problem) => answer_token(problem),
            Self::UpgradeRequired => answer_upgrade(),
        }
    }
}

fn body(error: &str, message: impl Into<String>, instructions: &str) -> Json<ErrorResponse> {
    Json(ErrorResponse {
        success: false,
        error: error.to_owned(),
        message: message.into(),
        instructions: instructions.to_owned(),
        hive_id: None,
        class: None,
    })
}

fn answer_call(failure: Failure) -> Response {
    let answer = failure.answer();
    let word = answer.error.code.as_str().to_ascii_lowercase();
    answer.with_body(body(&word, &answer.error.message, instructions(&answer.error.code)))
}

fn instructions(code: &ErrorCode) -> &'static str {
    match code {
        ErrorCode::AuthRequired => "Send the satellite's API key: Authorization: Bearer <key>.",
        ErrorCode::AuthInvalid => {
            "Register again: a new registration token gives a new API key. The old one is dead once the satellite was \
             registered anew or removed."
        }
        ErrorCode::Conflict => {
            "Choose another --name for this satellite. To put this machine in the place of the one that has the name, ask an \
             admin for a token made for it: 'hive tokens create --for NAME'."
        }
        ErrorCode::InvalidInput => "Correct the named field and try again.",
        ErrorCode::Unavailable | ErrorCode::RateLimited => "Try again later.",
        _ => "",
    }
}

fn answer_token(problem: TokenProblem) -> Response {
    let status = match problem {
        TokenProblem::ScopeMismatch => StatusCode::FORBIDDEN,
        TokenProblem::Used => StatusCode::CONFLICT,
        _ => StatusCode::UNAUTHORIZED,
    };
    (status, body(problem.code(), problem.to_string(), problem.instructions())).into_response()
}

fn answer_upgrade() -> Response {
    const WANTED: [(HeaderName, HeaderValue); 2] = [
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL)),
    ];
    let message = format!("this is a WebSocket of the sub-protocol {SUBPROTOCOL}");
    let body = body("upgrade_required", message, "Connect with a current satellite-agent.");
    (StatusCode::UPGRADE_REQUIRED, WANTED, body).into_response()
}
