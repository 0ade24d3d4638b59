//! The registry of satellites.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use hive_core::wire::SatelliteId;
use hive_core::wire::api::{Satellite, SatelliteFilter, SatelliteUpdate};
use hive_core::{DeviceRegistry, Error};

use super::{ApiResult, ok, page};
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::{Body, PageQuery, Path, QueryParams};
use crate::state::AppState;

/// `online`, `status`, `tag` (may be repeated; a satellite must have all), `search`, `team`.
pub(super) struct Filter(SatelliteFilter);

impl FromRequestParts<AppState> for Filter {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, HttpError> {
        let query = QueryParams::from_request_parts(parts, state).await?;
        Ok(Self(read_filter(&query)?))
    }
}

fn read_filter(query: &QueryParams) -> Result<SatelliteFilter, Error> {
    let filter = SatelliteFilter {
        online: query.value("online")?,
        tags: query.all("tag"),
        search: query.text("search").map(str::to_owned),
        team_id: query.value("team")?,
        status: None,
    };
    // The documented API lists the states of the link among those of the satellite.
    match query.text("status") {
        Some("online") => Ok(SatelliteFilter { online: Some(true), ..filter }),
        Some("offline") => Ok(SatelliteFilter { online: Some(false), ..filter }),
        _ => Ok(SatelliteFilter { status: query.known("status")?, ..filter }),
    }
}

pub(super) async fn list(
    Authenticated(hive): Authenticated,
    Filter(filter): Filter,
    PageQuery(wanted): PageQuery,
) -> ApiResult<Vec<Satellite>> {
    let found = hive.list(filter, wanted).await?;
    Ok(page(found))
}

pub(super) async fn by_tag(Authenticated(hive): Authenticated, Path(tag): Path<String>) -> ApiResult<Vec<Satellite>> {
    let found = hive.get_by_tag(&tag).await?;
    Ok(ok(found))
}

pub(super) async fn get(Authenticated(hive): Authenticated, Path(id): Path<SatelliteId>) -> ApiResult<Satellite> {
    let found = hive.get(id).await?;
    Ok(ok(found.ok_or_else(|| Error::SatelliteNotFound(id.to_string()))?))
}

pub(super) async fn update(
    Authenticated(hive): Authenticated,
    Path(id): Path<SatelliteId>,
    Body(update): Body<SatelliteUpdate>,
) -> ApiResult<Satellite> {
    let satellite = hive.update(id, update).await?;
    Ok(ok(satellite))
}

pub(super) async fn remove(Authenticated(hive): Authenticated, Path(id): Path<SatelliteId>) -> ApiResult<()> {
    hive.remove(id).await?;
    Ok(ok(()))
}

pub(super) async fn disconnect(Authenticated(hive): Authenticated, Path(id): Path<SatelliteId>) -> ApiResult<()> {
    hive.mark_offline(id).await?;
    Ok(ok(()))
}
