//! A heartbeat over HTTPS: also how a satellite finds out whether its stored key is still good.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use hive_core::wire::SatelliteId;
use hive_core::wire::satellite_api::{HeartbeatRequest, HeartbeatResponse};

use super::{SatelliteFailure, authenticate};
use crate::auth::Visitor;
use crate::error::Failure;
use crate::extract::{Body, Path};
use crate::state::AppState;

pub(super) async fn heartbeat(
    State(state): State<AppState>,
    visitor: Visitor,
    headers: HeaderMap,
    id: Result<Path<SatelliteId>, Failure>,
    request: Result<Body<HeartbeatRequest>, Failure>,
) -> Result<Json<HeartbeatResponse>, SatelliteFailure> {
    let (identity, admitted) = authenticate(&state, &visitor, &headers).await?;
    drop(admitted);
    let (Path(id), Body(request)) = (id?, request?);
    let response = state.hive().satellite_heartbeat(&identity, id, request).await?;
    Ok(Json(response))
}
