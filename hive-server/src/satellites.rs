//! The HTTPS API for satellites, `/api/satellites`. Its bodies have no envelope, and its errors a shape of their own.

mod authentication;
mod error;
mod heartbeat;
mod register;
mod tokens;

use axum::response::IntoResponse as _;
use hive_core::wire::satellite_api::{
    ErrorResponse, HIVE_ID_HEADER, HeartbeatRequest, HeartbeatResponse, RegisterRequest, RegisterResponse,
    RegisterStatus,
};
use hive_core::wire::{ErrorCode, SatelliteId};
use serde_json::json;

use crate::routes::{ErrorFormat, Operation, Routes};
use crate::state::AppState;

pub(crate) use authentication::{authenticate, check_hive_id};
pub(crate) use error::{SatelliteApiError, add_hive_id};

/// The most bytes of a registration, because its caller is not authenticated.
const MAX_REGISTRATION_BYTES: usize = 64 * 1024;

/// The errors of this API.
pub(crate) const ERRORS: ErrorFormat =
    ErrorFormat::of::<ErrorResponse>(|error| SatelliteApiError::from(error).into_response());

pub(crate) fn routes() -> [Routes<AppState>; 2] {
    let of_satellites = Routes::tagged("satellite API")
        .with_errors(ERRORS)
        .post(
            "/api/satellites/register",
            register::register,
            Operation::new("satellite_register", "Registers a satellite by a registration token")
                .description("The token is sent as `Authorization: Bearer`.")
                .satellite()
                .header(HIVE_ID_HEADER, HIVE_ID)
                .body::<RegisterRequest>(
                    json!({ "name": "web-server-01", "system_info": { "os": "linux", "arch": "x86_64" } }),
                )
                .max_body_bytes(MAX_REGISTRATION_BYTES)
                .answer_bare::<RegisterResponse>(200, "The satellite, with its API key, which is shown once.")
                .errors([ErrorCode::Forbidden, ErrorCode::Conflict]),
        )
        .get(
            "/api/satellites/register/status",
            register::status,
            Operation::new("satellite_register_status", "Says how satellites register")
                .answer_bare::<RegisterStatus>(200, "How satellites register."),
        )
        .post(
            "/api/satellites/{id}/heartbeat",
            heartbeat::heartbeat,
            Operation::new("satellite_heartbeat", "Reports that a satellite is there")
                .satellite()
                .path::<SatelliteId>("The satellite of the key.")
                .header(HIVE_ID_HEADER, HIVE_ID)
                .body::<HeartbeatRequest>(json!({ "status": "active" }))
                .answer_bare::<HeartbeatResponse>(200, "The satellite's status.")
                .errors([ErrorCode::Forbidden, ErrorCode::NotFound, ErrorCode::SatelliteNotFound]),
        );
    [of_satellites, tokens::routes().with_errors(ERRORS)]
}

const HIVE_ID: &str = "The hive that the satellite expects. Another hive answers 401.";
