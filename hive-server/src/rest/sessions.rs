//! Terminals: opening, listing, typing, ending. Who looks at one comes over `ws/session`.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use hive_core::session::typed_bytes;
use hive_core::wire::api::{Session, SessionCreate, SessionFilter, SessionInput, Size};
use hive_core::wire::{SatelliteId, SessionId};
use hive_core::{Error, SessionManager};
use serde::Deserialize;

use super::{Answer, Created, created, ok};
use crate::auth::Caller;
use crate::error::Failure;
use crate::extract::{Body, Pairs, Path};
use crate::state::AppState;

/// `satellite_id`, `ended`.
pub(super) struct Filter(SessionFilter);

impl FromRequestParts<AppState> for Filter {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Failure> {
        let query = Pairs::from_request_parts(parts, state).await?;
        let (satellite_id, ended) = (query.value("satellite_id")?, query.value("ended")?.unwrap_or_default());
        Ok(Self(SessionFilter { satellite_id, ended }))
    }
}

/// Another size of a terminal.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resize {
    cols: u16,
    rows: u16,
}

pub(super) async fn create(Caller(hive): Caller, Body(params): Body<SessionCreate>) -> Created<Session> {
    let session = hive.session_create(params).await?;
    Ok(created(session))
}

pub(super) async fn list(Caller(hive): Caller, Filter(filter): Filter) -> Answer<Vec<Session>> {
    let found = hive.session_list(filter).await?;
    Ok(ok(found))
}

pub(super) async fn list_of(
    Caller(hive): Caller,
    Path(satellite): Path<SatelliteId>,
    Filter(filter): Filter,
) -> Answer<Vec<Session>> {
    let found = hive.session_list(SessionFilter { satellite_id: Some(satellite), ..filter }).await?;
    Ok(ok(found))
}

pub(super) async fn get(Caller(hive): Caller, Path(id): Path<SessionId>) -> Answer<Session> {
    let found = hive.session_get(id).await?;
    Ok(ok(found.ok_or_else(|| Error::SessionNotFound(id.to_string()))?))
}

pub(super) async fn end(Caller(hive): Caller, Path(id): Path<SessionId>) -> Answer<()> {
    hive.session_terminate(id).await?;
    Ok(ok(()))
}

pub(super) async fn input(
    Caller(hive): Caller,
    Path(id): Path<SessionId>,
    Body(input): Body<SessionInput>,
) -> Answer<()> {
    hive.session_input(id, typed_bytes(&input)?).await?;
    Ok(ok(()))
}

pub(super) async fn resize(Caller(hive): Caller, Path(id): Path<SessionId>, Body(size): Body<Resize>) -> Answer<()> {
    let Resize { cols, rows } = size;
    hive.session_resize(id, Size { cols, rows }).await?;
    Ok(ok(()))
}
