//! Heartbeats over HTTPS. A satellite also uses them to check whether its stored key is still valid.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use hive_core::wire::SatelliteId;
use hive_core::wire::satellite_api::{HeartbeatRequest, HeartbeatResponse};

use super::{SatelliteApiError, authenticate};
use crate::auth::RequestParts;
use crate::error::HttpError;
use crate::extract::{Body, Path};
use crate::state::AppState;

pub(super) async fn heartbeat(
    State(state): State<AppState>,
    request_parts: RequestParts,
    headers: HeaderMap,
    id: Result<Path<SatelliteId>, HttpError>,
    request: Result<Body<HeartbeatRequest>, HttpError>,
) -> Result<Json<HeartbeatResponse>, SatelliteApiError> {
    let (identity, permit) = authenticate(&state, &request_parts, &headers).await?;
    drop(permit);
    // After the authentication: an unauthenticated caller learns nothing about the format.
    let (Path(id), Body(request)) = (id?, request?);
    let response = state.hive().satellite_heartbeat(&identity, id, request).await?;
    Ok(Json(response))
}
