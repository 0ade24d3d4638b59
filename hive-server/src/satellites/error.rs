//! Errors of the satellite API: `{success, error, message, instructions}`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hive_core::Error;
use hive_core::hive::{RegistrationError, TokenProblem};
use hive_core::wire::agent::SUBPROTOCOL;
use hive_core::wire::satellite_api::{ErrorResponse, RejectionClass};
use hive_core::wire::{ErrorCode, HiveId};

use crate::error::HttpError;

/// Why a request of a satellite fails.
#[derive(Debug)]
pub(crate) enum SatelliteApiError {
    /// An error that is not specific to satellites.
    Http(HttpError),
    /// The API key is rejected, with the class of the reason.
    Rejected(RejectionClass),
    /// The registration token is missing or invalid.
    Token(TokenProblem),
    /// A link needs a WebSocket with the sub-protocol of satellites.
    UpgradeRequired,
}

impl From<HttpError> for SatelliteApiError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl From<Error> for SatelliteApiError {
    fn from(error: Error) -> Self {
        Self::Http(error.into())
    }
}

impl From<RegistrationError> for SatelliteApiError {
    fn from(error: RegistrationError) -> Self {
        match error {
            RegistrationError::Token(problem) => Self::Token(problem),
            RegistrationError::Other(error) => error.into(),
        }
    }
}

impl IntoResponse for SatelliteApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Http(error) => http_response(error, None),
            Self::Rejected(class) => http_response(Error::AuthInvalid.into(), Some(class)),
            Self::Token(problem) => token_response(problem),
            Self::UpgradeRequired => upgrade_response(),
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

/// The body of a 401, passed to [`add_hive_id`] as an extension of the response.
#[derive(Clone)]
struct Unauthorized(ErrorResponse);

/// Adds the id of the hive to every 401. A satellite ignores a 401 without it, which may come from a proxy.
pub(crate) async fn add_hive_id(State(hive): State<HiveId>, mut response: Response) -> Response {
    let Some(Unauthorized(error)) = response.extensions_mut().remove() else { return response };
    let mut body = Json(ErrorResponse { hive_id: Some(hive), ..error }).into_response();
    // The new body is longer; hyper sets its length.
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = std::mem::take(body.body_mut());
    response
}

fn unauthorized(mut response: Response, body: ErrorResponse) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED {
        // The answer is made where the hive is not known. `add_hive_id` completes it on its way out.
        response.extensions_mut().insert(Unauthorized(body));
    }
    response
}

fn http_response(error: HttpError, class: Option<RejectionClass>) -> Response {
    let parts = error.into_parts();
    let word = parts.error.code.as_str().to_ascii_lowercase();
    let instructions = class.as_ref().map_or_else(|| instructions(&parts.error.code), rejection_instructions);
    let body = ErrorResponse { class, ..body(&word, &parts.error.message, instructions) };
    unauthorized(parts.with_body(Json(body.clone())), body)
}

fn rejection_instructions(class: &RejectionClass) -> &'static str {
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
            "Register the satellite again with a new registration token. A key is invalid after its satellite was registered \
             again or removed."
        }
        ErrorCode::Conflict => {
            "Choose another --name for this satellite. To replace the satellite that has the name, ask an admin for a token \
             that allows it: 'hive tokens create --for NAME'."
        }
        ErrorCode::InvalidInput => "Correct the named field and try again.",
        ErrorCode::Unavailable | ErrorCode::RateLimited => "Try again later.",
        _ => "",
    }
}

fn token_response(problem: TokenProblem) -> Response {
    let status = match problem {
        TokenProblem::ScopeMismatch => StatusCode::FORBIDDEN,
        // The token was right once: another satellite has it.
        TokenProblem::Used => StatusCode::CONFLICT,
        _ => StatusCode::UNAUTHORIZED,
    };
    let body = body(problem.code(), problem.to_string(), problem.instructions());
    unauthorized((status, Json(body.clone())).into_response(), body)
}

fn upgrade_response() -> Response {
    const REQUIRED: [(HeaderName, HeaderValue); 2] = [
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL)),
    ];
    let message = format!("this is a WebSocket of the sub-protocol {SUBPROTOCOL}");
    let body = body("upgrade_required", message, "Connect with a current satellite-agent.");
    (StatusCode::UPGRADE_REQUIRED, REQUIRED, Json(body)).into_response()
}
