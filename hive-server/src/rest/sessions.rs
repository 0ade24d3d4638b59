//! Sessions: create, list, send input, resize, terminate. Viewers attach over `ws::session`.

use hive_core::Error;
use hive_core::sessions::typed_bytes;
use hive_core::wire::api::{SatelliteSessionsQuery, Session, SessionCreate, SessionFilter, SessionInput, Size};
use hive_core::wire::{SatelliteId, SessionId};
use serde::Deserialize;

use super::{ApiResult, CreatedResult, created, ok};
use crate::auth::Authenticated;
use crate::extract::{Body, Path, Query};

/// The new size of a session.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResizeRequest {
    cols: u16,
    rows: u16,
}

pub(super) async fn create(
    Authenticated(hive): Authenticated,
    Body(params): Body<SessionCreate>,
) -> CreatedResult<Session> {
    let session = hive.sessions().create(params).await?;
    Ok(created(session))
}

pub(super) async fn list(
    Authenticated(hive): Authenticated,
    Query(filter): Query<SessionFilter>,
) -> ApiResult<Vec<Session>> {
    let found = hive.sessions().list(filter).await?;
    Ok(ok(found))
}

pub(super) async fn list_of(
    Authenticated(hive): Authenticated,
    Path(satellite): Path<SatelliteId>,
    Query(SatelliteSessionsQuery { ended }): Query<SatelliteSessionsQuery>,
) -> ApiResult<Vec<Session>> {
    let found = hive.sessions().list(SessionFilter { satellite_id: Some(satellite), ended }).await?;
    Ok(ok(found))
}

pub(super) async fn get(Authenticated(hive): Authenticated, Path(id): Path<SessionId>) -> ApiResult<Session> {
    let found = hive.sessions().get(id).await?;
    Ok(ok(found.ok_or_else(|| Error::SessionNotFound(id.to_string()))?))
}

pub(super) async fn end(Authenticated(hive): Authenticated, Path(id): Path<SessionId>) -> ApiResult<()> {
    hive.sessions().terminate(id).await?;
    Ok(ok(()))
}

pub(super) async fn input(
    Authenticated(hive): Authenticated,
    Path(id): Path<SessionId>,
    Body(input): Body<SessionInput>,
) -> ApiResult<()> {
    hive.sessions().send_input(id, typed_bytes(&input)?).await?;
    Ok(ok(()))
}

pub(super) async fn resize(
    Authenticated(hive): Authenticated,
    Path(id): Path<SessionId>,
    Body(size): Body<ResizeRequest>,
) -> ApiResult<()> {
    let ResizeRequest { cols, rows } = size;
    hive.sessions().resize(id, Size { cols, rows }).await?;
    Ok(ok(()))
}
