//! Registration: a token for an API key.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use hive_core::hive::{AuthFailureKind, RegistrationError, TokenProblem};
use hive_core::wire::credential::TOKEN_PREFIXES;
use hive_core::wire::satellite_api::{RegisterRequest, RegisterResponse, RegisterStatus};
use secrecy::SecretString;

use super::{SatelliteFailure, expect_this_hive};
use crate::auth::Peer;
use crate::auth::Visitor;
use crate::error::Failure;
use crate::extract::Body;
use crate::state::AppState;

/// The port of a satellite whose public URL nobody knows.
const DEFAULT_PORT: u16 = 3001;

pub(super) async fn register(
    State(state): State<AppState>,
    visitor: Visitor,
    headers: HeaderMap,
    request: Result<Body<RegisterRequest>, Failure>,
) -> Result<Json<RegisterResponse>, SatelliteFailure> {
    expect_this_hive(&state, &headers)?;
    let token = registration_token(&visitor, &headers)?;
    let Body(request) = request?;
    let peer = visitor.peer;
    let admitted = state.door().admit(peer.address)?;
    let registered = state.hive().register_satellite(&token, request, peer.ip(), Some(seen_url(peer))).await;
    if let Err(RegistrationError::Token(_)) = &registered {
        admitted.charge_failure();
    }
    let satellite = registered?;
    let message = format!("satellite {} is registered; keep its API key, it is not shown again", satellite.name);
    Ok(Json(RegisterResponse { success: true, satellite, message, hive_id: Some(state.hive().id()) }))
}

fn registration_token(visitor: &Visitor, headers: &HeaderMap) -> Result<SecretString, SatelliteFailure> {
    let token = visitor.bearer(headers, AuthFailureKind::RegistrationToken);
    let token = token.map_err(|_| SatelliteFailure::Token(TokenProblem::Required))?;
    Ok(token.into())
}

/// Where the satellite can be reached as far as the request shows: at the address that a trusted proxy saw.
fn seen_url(peer: Peer) -> String {
    match peer.address {
        Some(address) if peer.is_forwarded => format!("http://{}", std::net::SocketAddr::from((address, DEFAULT_PORT))),
        _ => format!("http://127.0.0.1:{DEFAULT_PORT}"),
    }
}

pub(super) async fn status() -> Json<RegisterStatus> {
    Json(RegisterStatus {
        registration_method: "token_based".into(),
        token_required: true,
        supported_prefixes: TOKEN_PREFIXES.map(String::from).to_vec(),
        instructions: "Ask an admin for a registration token (hive tokens create) and start the satellite with it."
            .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, is_forwarded: bool, url: &str) {
        assert_eq!(seen_url(Peer { address: Some(address.parse().unwrap()), is_forwarded }), url);
    }

    #[test]
    fn a_satellite_is_where_a_trusted_proxy_saw_it() {
        check("203.0.113.7", true, "http://203.0.113.7:3001");
        check("2001:db8::7", true, "http://[2001:db8::7]:3001");
        check("203.0.113.7", false, "http://127.0.0.1:3001");
    }
}
