//! The registry of satellites.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use hive_core::wire::SatelliteId;
use hive_core::wire::api::{Satellite, SatelliteFilter, SatelliteUpdate};
use hive_core::{DeviceRegistry, Error};

use super::{Answer, ok, page};
use crate::auth::Caller;
use crate::error::Failure;
use crate::extract::{Body, Paging, Pairs, Path};
use crate::state::AppState;

/// `online`, `status`, `tag` (repeated: all of them), `search`, `team`.
pub(super) struct Filter(SatelliteFilter);

impl FromRequestParts<AppState> for Filter {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Failure> {
        let query = Pairs::from_request_parts(parts, state).await?;
        Ok(Self(read_filter(&query)?))
    }
}

fn read_filter(query: &Pairs) -> Result<SatelliteFilter, Error> {
    let filter = SatelliteFilter {
        online: query.value("online")?,
        tags: query.all("tag"),
        search: query.text("search").map(str::to_owned),
        team_id: query.value("team")?,
        status: None,
    };
    // The published interface lists the two states of the link among those of the satellite.
    match query.text("status") {
        Some("online") => Ok(SatelliteFilter { online: Some(true), ..filter }),
        Some("offline") => Ok(SatelliteFilter { online: Some(false), ..filter }),
        _ => Ok(SatelliteFilter { status: query.known("status")?, ..filter }),
    }
}

pub(super) async fn list(
    Caller(hive): Caller,
    Filter(filter): Filter,
    Paging(wanted): Paging,
) -> Answer<Vec<Satellite>> {
    let found = hive.list(filter, wanted).await?;
    Ok(page(found))
}

pub(super) async fn by_tag(Caller(hive): Caller, Path(tag): Path<String>) -> Answer<Vec<Satellite>> {
    let found = hive.get_by_tag(&tag).await?;
    Ok(ok(found))
}

pub(super) async fn get(Caller(hive): Caller, Path(id): Path<SatelliteId>) -> Answer<Satellite> {
    let found = hive.get(id).await?;
    Ok(ok(found.ok_or_else(|| Error::SatelliteNotFound(id.to_string()))?))
}

pub(super) async fn update(
    Caller(hive): Caller,
    Path(id): Path<SatelliteId>,
    Body(update): Body<SatelliteUpdate>,
) -> Answer<Satellite> {
    let satellite = hive.update(id, update).await?;
    Ok(ok(satellite))
}

pub(super) async fn remove(Caller(hive): Caller, Path(id): Path<SatelliteId>) -> Answer<()> {
    hive.remove(id).await?;
    Ok(ok(()))
}

pub(super) async fn disconnect(Caller(hive): Caller, Path(id): Path<SatelliteId>) -> Answer<()> {
    hive.mark_offline(id).await?;
    Ok(ok(()))
}
