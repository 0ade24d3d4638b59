//! What happens to satellites, as it happens.

use axum::extract::State;
use axum::response::Response;
use hive_core::DeviceRegistry;
use hive_core::wire::api::SatelliteEvent;

use super::sse;
use crate::auth::Caller;
use crate::error::Failure;
use crate::state::AppState;

pub(super) async fn events(State(state): State<AppState>, Caller(hive): Caller) -> Result<Response, Failure> {
    let events = hive.subscribe().await?;
    Ok(sse::answer(&state, events, event_name))
}

fn event_name(event: &SatelliteEvent) -> &'static str {
    match event {
        SatelliteEvent::Online { .. } => "satellite:online",
        SatelliteEvent::Offline { .. } => "satellite:offline",
        SatelliteEvent::Updated { .. } => "satellite:updated",
        SatelliteEvent::KeyReplaced { .. } => "satellite:key_replaced",
        SatelliteEvent::Conflict { .. } => "satellite:conflict",
        SatelliteEvent::Removed { .. } => "satellite:removed",
        _ => "satellite:event",
    }
}
