//! Authentication of satellites by their API keys.

use axum::http::HeaderMap;
use hive_core::Error;
use hive_core::access::SatelliteIdentity;
use hive_core::hive::AuthFailureKind;
use hive_core::wire::HiveId;
use hive_core::wire::credential::split_satellite_key;
use hive_core::wire::satellite_api::{HIVE_ID_HEADER, RejectionClass};

use super::SatelliteApiError;
use crate::auth::RequestParts;
use crate::limits::{FailureCost, HandshakePermit};
use crate::state::AppState;

/// Authenticates a satellite. Returns its identity and the handshake permit that it holds until the permit is dropped.
pub(crate) async fn authenticate(
    state: &AppState,
    request_parts: &RequestParts,
    headers: &HeaderMap,
) -> Result<(SatelliteIdentity, HandshakePermit), SatelliteApiError> {
    // Cheap checks first: a request without a key, or for another hive, must not use up a permit.
    check_hive_id(state, headers)?;
    let key = request_parts.bearer(headers, AuthFailureKind::SatelliteKey)?;
    let handshakes = &state.limiters().handshakes;
    if let Ok((named, _)) = split_satellite_key(key) {
        handshakes.check_rate(named)?;
    }
    let permit = handshakes.admit(request_parts.peer.address)?;
    let ip = request_parts.peer.ip();
    let result = state.hive().authenticate_satellite(key, ip.as_deref(), request_parts.verify_mode()).await;
    match request_parts.record_satellite_auth_result(&permit, key, result) {
        Err(Error::AuthInvalid) => {
            let rejection = state.hive().satellite_key_rejection(key).await?;
            // Each compared hash costs as much as the check of another wrong key.
            request_parts.record_failures(FailureCost::Key, rejection.compared);
            Err(SatelliteApiError::Rejected(rejection.class))
        }
        Err(error @ Error::Forbidden(_)) => {
            // No failure of the address: the key is the right one, and the agent tries again until the list allows it.
            state.hive().note_refused_satellite_address(key, ip.as_deref());
            Err(error.into())
        }
        result => {
            let identity = result?;
            handshakes.count(identity.id);
            Ok((identity, permit))
        }
    }
}

/// Refuses a satellite that names another hive than this one.
pub(crate) fn check_hive_id(state: &AppState, headers: &HeaderMap) -> Result<(), SatelliteApiError> {
    let named = headers.get(HIVE_ID_HEADER).and_then(|value| value.to_str().ok());
    let named = named.and_then(|text| text.trim().parse::<HiveId>().ok());
    // A missing header is accepted: satellites of before a registration know no hive yet.
    match named {
        Some(other) if other != state.hive().id() => Err(SatelliteApiError::Rejected(RejectionClass::OtherHive)),
        _ => Ok(()),
    }
}
