//! The registry of satellites.

use hive_core::Error;
use hive_core::wire::SatelliteId;
use hive_core::wire::api::{PageRequest, Satellite, SatelliteFilter, SatelliteListQuery, SatelliteUpdate};

use super::{ApiResult, ok, paged};
use crate::auth::Authenticated;
use crate::extract::{Body, Path, Query};

pub(super) async fn list(
    Authenticated(hive): Authenticated,
    Query(query): Query<SatelliteListQuery>,
    Query(page): Query<PageRequest>,
) -> ApiResult<Vec<Satellite>> {
    let filter = SatelliteFilter::from(query);
    let found = hive.satellites().list(filter, page).await?;
    Ok(paged(found))
}

pub(super) async fn by_tag(Authenticated(hive): Authenticated, Path(tag): Path<String>) -> ApiResult<Vec<Satellite>> {
    let found = hive.satellites().get_by_tag(&tag).await?;
    Ok(ok(found))
}

pub(super) async fn get(Authenticated(hive): Authenticated, Path(id): Path<SatelliteId>) -> ApiResult<Satellite> {
    let found = hive.satellites().get(id).await?;
    Ok(ok(found.ok_or_else(|| Error::SatelliteNotFound(id.to_string()))?))
}

pub(super) async fn update(
    Authenticated(hive): Authenticated,
    Path(id): Path<SatelliteId>,
    Body(update): Body<SatelliteUpdate>,
) -> ApiResult<Satellite> {
    let satellite = hive.satellites().update(id, update).await?;
    Ok(ok(satellite))
}

pub(super) async fn remove(Authenticated(hive): Authenticated, Path(id): Path<SatelliteId>) -> ApiResult<()> {
    hive.satellites().remove(id).await?;
    Ok(ok(()))
}

pub(super) async fn disconnect(Authenticated(hive): Authenticated, Path(id): Path<SatelliteId>) -> ApiResult<()> {
    hive.satellites().mark_offline(id).await?;
    Ok(ok(()))
}
