//! The registry of satellites.

use hive_core::Error;
use hive_core::access::Permission;
use hive_core::wire::ErrorCode;
use hive_core::wire::SatelliteId;
use hive_core::wire::api::{
    AllowList, AllowListUpdate, MAX_PER_PAGE, PageRequest, Satellite, SatelliteFilter, SatelliteListQuery,
    SatelliteSort, SatelliteUpdate,
};
use serde_json::json;

use super::{ApiResult, ok, paged};
use crate::auth::Authenticated;
use crate::extract::{Body, Path, Query};
use crate::routes::{Operation, Reach, Routes};
use crate::state::AppState;

pub(super) fn routes() -> Routes<AppState> {
    Routes::tagged("satellites")
        .get(
            "/api/v1/satellites",
            list,
            Operation::new("satellite_list", "Lists satellites")
                .permission(Permission::SatellitesRead, Reach::Visible)
                .query::<SatelliteListQuery>()
                .query::<PageRequest<SatelliteSort>>()
                .answer_page::<Satellite>("A part of the satellites.")
                .errors([ErrorCode::NotFound]),
        )
        .get(
            "/api/v1/satellites/by-tag/{tag}",
            by_tag,
            Operation::new("satellite_list_by_tag", "Lists the satellites with a tag")
                .permission(Permission::SatellitesRead, Reach::Visible)
                .path_text("The tag.")
                .query::<PageRequest<SatelliteSort>>()
                .answer_page::<Satellite>("A part of the satellites."),
        )
        .get(
            "/api/v1/satellites/{id}",
            get,
            Operation::new("satellite_get", "Returns a satellite")
                .permission(Permission::SatellitesRead, Reach::Satellite)
                .path::<SatelliteId>("The satellite.")
                .answer::<Satellite>(200, "The satellite."),
        )
        .put(
            "/api/v1/satellites/{id}",
            update,
            Operation::new("satellite_update", "Changes a satellite")
                .permission(Permission::SatellitesTag, Reach::Satellite)
                .path::<SatelliteId>("The satellite.")
                .gives_name()
                .body::<SatelliteUpdate>(json!({ "tags": ["production", "web"] }))
                .answer::<Satellite>(200, "The satellite after the change.")
                .errors([ErrorCode::NotFound, ErrorCode::Conflict]),
        )
        .delete(
            "/api/v1/satellites/{id}",
            remove,
            Operation::new("satellite_remove", "Removes a satellite")
                .permission(Permission::SatellitesDelete, Reach::Satellite)
                .path::<SatelliteId>("The satellite.")
                .answer_done("It is removed, and its open commands and sessions have ended."),
        )
        .get(
            "/api/v1/satellites/{id}/addresses",
            addresses,
            Operation::new("satellite_allow_list_get", "Returns the networks from which a satellite may connect")
                .permission(Permission::SatellitesManage, Reach::Satellite)
                .path::<SatelliteId>("The satellite.")
                .answer::<AllowList>(200, "The networks."),
        )
        .put(
            "/api/v1/satellites/{id}/addresses",
            set_addresses,
            Operation::new("satellite_allow_list_set", "Sets the networks from which a satellite may connect")
                .description(
                    "The link of a satellite that is elsewhere ends at once. A list without the address of its link is refused \
                     unless `force` is true.",
                )
                .permission(Permission::SatellitesManage, Reach::Satellite)
                .path::<SatelliteId>("The satellite.")
                .body::<AllowListUpdate>(json!({ "addresses": ["192.0.2.0/24"] }))
                .answer::<AllowList>(200, "The networks after the change."),
        )
        .post(
            "/api/v1/satellites/{id}/disconnect",
            disconnect,
            Operation::new("satellite_disconnect", "Closes the link of a satellite")
                .description("The satellite connects again by itself.")
                .permission(Permission::SatellitesManage, Reach::Satellite)
                .path::<SatelliteId>("The satellite.")
                .keeps_answer()
                .answer_done("Its link is closed, if there was one."),
        )
}

pub(super) async fn list(
    Authenticated(hive): Authenticated,
    Query(query): Query<SatelliteListQuery>,
    Query(page): Query<PageRequest<SatelliteSort>>,
) -> ApiResult<Vec<Satellite>> {
    let filter = SatelliteFilter::from(query);
    let found = hive.satellites().list(filter, page).await?;
    Ok(paged(found))
}

pub(super) async fn by_tag(
    Authenticated(hive): Authenticated,
    Path(tag): Path<String>,
    Query(page): Query<PageRequest<SatelliteSort>>,
) -> ApiResult<Vec<Satellite>> {
    // As many as there can be: this list had no pages once.
    let page = PageRequest { per_page: page.per_page.or(Some(MAX_PER_PAGE)), ..page };
    let filter = SatelliteFilter { tags: vec![tag], ..SatelliteFilter::default() };
    let found = hive.satellites().list(filter, page).await?;
    Ok(paged(found))
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

pub(super) async fn addresses(Authenticated(hive): Authenticated, Path(id): Path<SatelliteId>) -> ApiResult<AllowList> {
    let list = hive.satellites().allow_list(id).await?;
    Ok(ok(list))
}

pub(super) async fn set_addresses(
    Authenticated(hive): Authenticated,
    Path(id): Path<SatelliteId>,
    Body(update): Body<AllowListUpdate>,
) -> ApiResult<AllowList> {
    let list = hive.satellites().allow_list_set(id, update).await?;
    Ok(ok(list))
}
