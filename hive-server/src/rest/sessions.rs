//! Sessions: create, list, send input, resize, terminate. Viewers attach over `ws::session`.

use hive_core::Error;
use hive_core::sessions::typed_bytes;
use hive_core::wire::api::{
    PageRequest, SatelliteSessionsQuery, Session, SessionCreate, SessionFilter, SessionInput, SessionSort, Size,
};
use hive_core::wire::{SatelliteId, SessionId};
use serde::Deserialize;

use super::{ApiResult, CreatedResult, created, ok, paged};
use crate::auth::Authenticated;
use crate::extract::{Body, Path, Query};
use crate::routes::{Operation, Reach, Routes};
use crate::state::AppState;
use hive_core::access::Permission;
use hive_core::wire::ErrorCode;
use serde_json::json;

pub(super) fn routes() -> Routes<AppState> {
    let routes = Routes::tagged("sessions")
        .get(
            "/api/v1/sessions",
            list,
            Operation::new("session_list", "Lists sessions")
                .permission(Permission::SessionsOpen, Reach::Anywhere)
                .query::<SessionFilter>()
                .query::<PageRequest<SessionSort>>()
                .answer_page::<Session>("A part of the sessions.")
                .errors([ErrorCode::SatelliteNotFound]),
        )
        .post(
            "/api/v1/sessions",
            create,
            Operation::new("session_create", "Opens a session on a satellite")
                .permission(Permission::SessionsOpen, Reach::Anywhere)
                .keeps_answer_about("/data/satellite_id", Reach::Satellite)
                .body::<SessionCreate>(
                    json!({ "satellite_id": "sat_01kge3h900e41861050r3gg28a", "cols": 120, "rows": 40 }),
                )
                .answer::<Session>(201, "The session, which is open.")
                .errors([
                    ErrorCode::SatelliteNotFound,
                    ErrorCode::SatelliteInactive,
                    ErrorCode::SatelliteOffline,
                    ErrorCode::SessionLimit,
                    ErrorCode::CommandBlocked,
                    ErrorCode::Unsupported,
                ]),
        )
        .get(
            "/api/v1/satellites/{id}/sessions",
            list_of,
            Operation::new("satellite_session_list", "Lists the sessions of a satellite")
                .permission(Permission::SessionsOpen, Reach::Satellite)
                .path::<SatelliteId>("The satellite.")
                .query::<SatelliteSessionsQuery>()
                .query::<PageRequest<SessionSort>>()
                .answer_page::<Session>("A part of the sessions."),
        );
    one(routes)
}

/// The routes of one session.
fn one(routes: Routes<AppState>) -> Routes<AppState> {
    let of = |id, summary| {
        Operation::new(id, summary)
            .permission(Permission::SessionsOpen, Reach::Session)
            .path::<SessionId>("The session.")
    };
    routes
        .get(
            "/api/v1/sessions/{id}",
            get,
            of("session_get", "Returns a session").answer::<Session>(200, "The session."),
        )
        .delete(
            "/api/v1/sessions/{id}",
            end,
            of("session_end", "Ends a session with all of its processes")
                .answer_done("It has ended.")
                .errors([ErrorCode::SatelliteOffline]),
        )
        .post(
            "/api/v1/sessions/{id}/input",
            input,
            of("session_input", "Types into a session")
                .keeps_answer()
                .body::<SessionInput>(json!({ "data": "bHMK" }))
                .answer_done("All input is written to the terminal.")
                .errors([ErrorCode::Conflict, ErrorCode::SatelliteOffline]),
        )
        .post(
            "/api/v1/sessions/{id}/resize",
            resize,
            of("session_resize", "Changes the size of a session")
                .keeps_answer()
                .body::<ResizeRequest>(json!({ "cols": 120, "rows": 40 }))
                .answer_done("The size is changed.")
                .errors([ErrorCode::Conflict, ErrorCode::SatelliteOffline]),
        )
}

/// The new size of a session.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResizeRequest {
    /// Columns.
    #[schema(minimum = 1, maximum = 1000)]
    cols: u16,
    /// Rows.
    #[schema(minimum = 1, maximum = 1000)]
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
    Query(page): Query<PageRequest<SessionSort>>,
) -> ApiResult<Vec<Session>> {
    let found = hive.sessions().list_page(filter, page).await?;
    Ok(paged(found))
}

pub(super) async fn list_of(
    Authenticated(hive): Authenticated,
    Path(satellite): Path<SatelliteId>,
    Query(SatelliteSessionsQuery { ended }): Query<SatelliteSessionsQuery>,
    Query(page): Query<PageRequest<SessionSort>>,
) -> ApiResult<Vec<Session>> {
    let found = hive.sessions().list_page(SessionFilter { satellite_id: Some(satellite), ended }, page).await?;
    Ok(paged(found))
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
    // Checked by the service, as for every caller of the library.
    let ResizeRequest { cols, rows } = size;
    hive.sessions().resize(id, Size { cols, rows }).await?;
    Ok(ok(()))
}
