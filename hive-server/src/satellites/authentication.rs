//! Which satellite is calling, and why a key is not accepted.

use axum::http::HeaderMap;
use hive_core::Error;
use hive_core::access::SatelliteIdentity;
use hive_core::hive::AuthFailureKind;
use hive_core::wire::HiveId;
use hive_core::wire::satellite_api::{HIVE_ID_HEADER, RejectionClass};

use super::SatelliteFailure;
use crate::auth::Visitor;
use crate::limits::Admitted;
use crate::state::AppState;

/// Finds out which satellite is calling, and lets it in. One that shows nothing, or takes this for another hive, is refused
/// before it costs anybody a place.
pub(crate) async fn authenticate(
    state: &AppState,
    visitor: &Visitor,
    headers: &HeaderMap,
) -> Result<(SatelliteIdentity, Admitted), SatelliteFailure> {
    expect_this_hive(state, headers)?;
    let key = visitor.bearer(headers, AuthFailureKind::SatelliteKey)?;
    let admitted = state.door().admit(visitor.peer.address)?;
    let checked = state.hive().authenticate_satellite(key, visitor.effort()).await;
    match visitor.judge_satellite(&admitted, key, checked) {
        Err(Error::AuthInvalid) => {
            let rejection = state.hive().satellite_key_rejection(key).await?;
            // Each comparison costs as much as the check of one more wrong key, and counts as one.
            visitor.note_wrong_keys(rejection.compared);
            Err(SatelliteFailure::Rejected(rejection.class))
        }
        judged => Ok((judged?, admitted)),
    }
}

/// Refuses a satellite that takes this for another hive, before anything is spent on its key or its token.
pub(crate) fn expect_this_hive(state: &AppState, headers: &HeaderMap) -> Result<(), SatelliteFailure> {
    let named = headers.get(HIVE_ID_HEADER).and_then(|value| value.to_str().ok());
    let named = named.and_then(|text| text.trim().parse::<HiveId>().ok());
    match named {
        Some(other) if other != state.hive().id() => Err(SatelliteFailure::Rejected(RejectionClass::OtherHive)),
        _ => Ok(()),
    }
}
