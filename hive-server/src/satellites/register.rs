//! Registration: exchanges a registration token for an API key.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use hive_core::Error;
use hive_core::hive::{AuthFailureKind, RegistrationError, TokenProblem};
use hive_core::wire::credential::TOKEN_PREFIXES;
use hive_core::wire::satellite_api::{RegisterRequest, RegisterResponse, RegisterStatus};
use secrecy::SecretString;

use super::{SatelliteApiError, check_hive_id};
use crate::auth::{Peer, RequestParts};
use crate::error::HttpError;
use crate::extract::Body;
use crate::limits::NameCaller;
use crate::state::AppState;

/// The port of a satellite whose public URL is not known.
const DEFAULT_PORT: u16 = 3001;

pub(super) async fn register(
    State(state): State<AppState>,
    request_parts: RequestParts,
    headers: HeaderMap,
    request: Result<Body<RegisterRequest>, HttpError>,
) -> Result<Json<RegisterResponse>, SatelliteApiError> {
    check_hive_id(&state, &headers)?;
    let token = registration_token(&request_parts, &headers)?;
    let peer = request_parts.peer;
    let requests = &state.limiters().requests;
    requests.check_names(NameCaller::Address(peer.address))?;
    let permit = state.limiters().handshakes.admit(peer.address)?;
    let Body(request) = match request {
        Ok(request) => request,
        Err(refused) => {
            // The token first: without one that could be used, nobody learns what is wrong with the body.
            let checked = state.hive().check_registration_token(&token, peer.ip().as_deref()).await;
            if checked.is_err() {
                permit.charge_failure();
            }
            return Err(checked.err().map_or_else(|| refused.into(), SatelliteApiError::from));
        }
    };
    let result = state.hive().register_satellite(&token, request, peer.ip(), Some(observed_url(peer))).await;
    // Other errors, such as a name in use, are no guesses at a token.
    if let Err(RegistrationError::Token(_)) = &result {
        permit.charge_failure();
    }
    if let Err(RegistrationError::Other(Error::Conflict(_))) = &result {
        requests.count_taken_name(NameCaller::Address(peer.address));
    }
    let satellite = result?;
    let message = format!("satellite {} is registered; keep its API key, it is not shown again", satellite.name);
    Ok(Json(RegisterResponse { success: true, satellite, message, hive_id: Some(state.hive().id()) }))
}

fn registration_token(request_parts: &RequestParts, headers: &HeaderMap) -> Result<SecretString, SatelliteApiError> {
    let token = request_parts.bearer(headers, AuthFailureKind::RegistrationToken);
    let token = token.map_err(|_| SatelliteApiError::Token(TokenProblem::Required))?;
    Ok(token.into())
}

/// The URL of the satellite as far as the request shows it: the address that a trusted proxy forwards.
fn observed_url(peer: Peer) -> String {
    match peer.address {
        Some(address) if peer.is_forwarded => format!("http://{}", std::net::SocketAddr::from((address, DEFAULT_PORT))),
        // The address of a connection without a proxy may be that of any router on the way.
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
        assert_eq!(observed_url(Peer { address: Some(address.parse().unwrap()), is_forwarded }), url);
    }

    #[test]
    fn the_url_has_the_address_that_a_trusted_proxy_forwards() {
        check("203.0.113.7", true, "http://203.0.113.7:3001");
        check("2001:db8::7", true, "http://[2001:db8::7]:3001");
        check("203.0.113.7", false, "http://127.0.0.1:3001");
    }
}
