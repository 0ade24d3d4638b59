//! Errors as satellites are told them: `{success, error, message, instructions}`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hive_core::Error;
use hive_core::hive::{RegistrationError, TokenProblem};
use hive_core::wire::agent::SUBPROTOCOL;
use hive_core::wire::satellite_api::{ErrorResponse, RejectionClass};
use hive_core::wire::{ErrorCode, HiveId};

use crate::error::Failure;

/// Why a satellite gets no other answer.
#[derive(Debug)]
pub(crate) enum SatelliteFailure {
    /// As for everybody else.
    Call(Failure),
    /// The key is not accepted, and why.
    Rejected(RejectionClass),
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
            Self::Call(failure) => answer_call(failure, None),
            Self::Rejected(class) => answer_call(Error::AuthInvalid.into(), Some(class)),
            Self::Token(problem) => answer_token(problem),
            Self::UpgradeRequired => answer_upgrade(),
        }
    }
}

fn body(error: &str, message: impl Into<String>, instructions: &str) -> ErrorResponse {
    ErrorResponse {
        success: false,
        error: error.to_owned(),
        message: message.into(),
        instructions: instructions.to_owned(),
        hive_id: None,
        class: None,
    }
}

/// The body of a 401 on its way to [`tell_hive`].
#[derive(Clone)]
struct Unauthorized(ErrorResponse);

/// Says in every 401 which hive answers: without that a satellite takes it for the word of something in between.
pub(crate) async fn tell_hive(State(hive): State<HiveId>, mut response: Response) -> Response {
    let Some(Unauthorized(told)) = response.extensions_mut().remove() else { return response };
    let mut body = Json(ErrorResponse { hive_id: Some(hive), ..told }).into_response();
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = std::mem::take(body.body_mut());
    response
}

fn unauthorized(mut response: Response, body: ErrorResponse) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED {
        response.extensions_mut().insert(Unauthorized(body));
    }
    response
}

fn answer_call(failure: Failure, class: Option<RejectionClass>) -> Response {
    let answer = failure.answer();
    let word = answer.error.code.as_str().to_ascii_lowercase();
    let instructions = class.as_ref().map_or_else(|| instructions(&answer.error.code), what_to_do);
    let body = ErrorResponse { class, ..body(&word, &answer.error.message, instructions) };
    unauthorized(answer.with_body(Json(body.clone())), body)
}

fn what_to_do(class: &RejectionClass) -> &'static str {
    match class {
        RejectionClass::Superseded => {
            "A newer key has replaced this one. Restore the satellite's newest data directory, or register it again with a new \
             registration token."
        }
        RejectionClass::OtherHive => "The satellite belongs to another hive. Check its --server.",
        _ => instructions(&ErrorCode::AuthInvalid),
    }
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
    let body = body(problem.code(), problem.to_string(), problem.instructions());
    unauthorized((status, Json(body.clone())).into_response(), body)
}

fn answer_upgrade() -> Response {
    const WANTED: [(HeaderName, HeaderValue); 2] = [
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL)),
    ];
    let message = format!("this is a WebSocket of the sub-protocol {SUBPROTOCOL}");
    let body = body("upgrade_required", message, "Connect with a current satellite-agent.");
    (StatusCode::UPGRADE_REQUIRED, WANTED, Json(body)).into_response()
}
