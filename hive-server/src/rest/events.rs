//! Events of satellites, as a stream.

use axum::extract::State;
use axum::response::Response;
use hive_core::wire::api::SatelliteEvent;

use super::sse;
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::state::AppState;

pub(super) async fn events(
    State(state): State<AppState>,
    Authenticated(hive): Authenticated,
) -> Result<Response, HttpError> {
    let events = hive.satellites().subscribe().await?;
    Ok(sse::stream(&state, events, event_name))
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
