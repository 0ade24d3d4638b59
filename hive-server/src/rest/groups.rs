//! Groups of satellites, and the tags of satellites.

use axum::extract::State;
use axum::response::Response;
use hive_core::Error;
use hive_core::access::Permission;
use hive_core::wire::api::{
    ExecEvent, ExecGroupRequest, ExecManyQuery, ExecResult, Group, GroupCreate, GroupDetails, GroupFilter, GroupRef,
    GroupSort, GroupUpdate, PageRequest, Satellite, SatelliteSort, TagCount, TagFilter, TagSort, Target,
};
use hive_core::wire::{ErrorCode, GroupId};
use serde_json::json;

use super::exec::{ERRORS, ExecParams, run_many};
use super::{ApiResult, CreatedResult, created, ok, paged};
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::{Body, Path, Query};
use crate::limits::RateClass;
use crate::routes::{Operation, Reach, Routes};
use crate::state::AppState;

pub(super) fn routes() -> Routes<AppState> {
    let of = |id, summary, permission| {
        Operation::new(id, summary).permission(permission, Reach::Group).path::<GroupId>("The group.")
    };
    let manage = Permission::GroupsManage;
    Routes::tagged("groups")
        .get(
            "/api/v1/tags",
            tags,
            Operation::new("tag_list", "Lists tags with their numbers of satellites")
                .permission(Permission::SatellitesRead, Reach::Visible)
                .query::<TagFilter>()
                .query::<PageRequest<TagSort>>()
                .answer_page::<TagCount>("A part of the tags of satellites that the caller may see."),
        )
        .get(
            "/api/v1/groups",
            list,
            Operation::new("group_list", "Lists groups")
                .permission(Permission::SatellitesRead, Reach::Visible)
                .query::<GroupFilter>()
                .query::<PageRequest<GroupSort>>()
                .answer_page::<Group>("A part of the groups."),
        )
        .post(
            "/api/v1/groups",
            create,
            Operation::new("group_create", "Creates a group")
                .permission(manage.clone(), Reach::Anywhere)
                .keeps_answer_about("/data/team_id", Reach::Team)
                .gives_name()
                .body::<GroupCreate>(json!({ "name": "web", "query": "production AND web" }))
                .answer::<GroupDetails>(201, "The group.")
                .errors([ErrorCode::Conflict, ErrorCode::NotFound, ErrorCode::SatelliteNotFound]),
        )
        .get(
            "/api/v1/groups/{id}",
            get,
            of("group_get", "Returns a group", Permission::SatellitesRead)
                .answer::<GroupDetails>(200, "The group, with the number of its satellites now."),
        )
        .put(
            "/api/v1/groups/{id}",
            update,
            of("group_update", "Changes a group", manage.clone())
                .gives_name()
                .body::<GroupUpdate>(json!({ "query": "production AND web" }))
                .answer::<GroupDetails>(200, "The group.")
                .errors([ErrorCode::Conflict, ErrorCode::SatelliteNotFound]),
        )
        .delete(
            "/api/v1/groups/{id}",
            remove,
            of("group_remove", "Removes a group", manage).answer_done("The group is removed. Its jobs go on."),
        )
        .get(
            "/api/v1/groups/{id}/satellites",
            satellites,
            of("group_satellite_list", "Lists the satellites of a group", Permission::SatellitesRead)
                .query::<PageRequest<SatelliteSort>>()
                .answer_page::<Satellite>("A part of the satellites that the group has now."),
        )
        .post(
            "/api/v1/groups/{id}/exec",
            exec,
            of("group_exec", "Runs a command on the satellites of a group", Permission::SatellitesExec)
                .rate(RateClass::Exec)
                .description(
                    "Answers at the end of all of them. With `Accept: text/event-stream` it streams `ExecEvent`s.",
                )
                .query::<ExecManyQuery>()
                .key_of_command()
                .body::<ExecGroupRequest>(json!({ "command": "uptime" }))
                .answer_list::<ExecResult>("The results.")
                .answer_events::<ExecEvent>("The events of the commands.")
                .errors(ERRORS),
        )
}

pub(super) async fn tags(
    Authenticated(hive): Authenticated,
    Query(filter): Query<TagFilter>,
    Query(page): Query<PageRequest<TagSort>>,
) -> ApiResult<Vec<TagCount>> {
    let found = hive.satellites().list_tags(filter, page).await?;
    Ok(paged(found))
}

pub(super) async fn list(
    Authenticated(hive): Authenticated,
    Query(filter): Query<GroupFilter>,
    Query(page): Query<PageRequest<GroupSort>>,
) -> ApiResult<Vec<Group>> {
    let found = hive.groups().list(filter, page).await?;
    Ok(paged(found))
}

pub(super) async fn create(
    Authenticated(hive): Authenticated,
    Body(group): Body<GroupCreate>,
) -> CreatedResult<GroupDetails> {
    let group = hive.groups().create(group).await?;
    Ok(created(group))
}

pub(super) async fn get(Authenticated(hive): Authenticated, Path(id): Path<GroupId>) -> ApiResult<GroupDetails> {
    let found = hive.groups().get(id).await?;
    Ok(ok(found.ok_or_else(|| Error::NotFound { what: "group", id: id.to_string() })?))
}

pub(super) async fn update(
    Authenticated(hive): Authenticated,
    Path(id): Path<GroupId>,
    Body(update): Body<GroupUpdate>,
) -> ApiResult<GroupDetails> {
    let group = hive.groups().update(id, update).await?;
    Ok(ok(group))
}

pub(super) async fn remove(Authenticated(hive): Authenticated, Path(id): Path<GroupId>) -> ApiResult<()> {
    hive.groups().remove(id).await?;
    Ok(ok(()))
}

pub(super) async fn satellites(
    Authenticated(hive): Authenticated,
    Path(id): Path<GroupId>,
    Query(page): Query<PageRequest<SatelliteSort>>,
) -> ApiResult<Vec<Satellite>> {
    let found = hive.groups().list_satellites(id, page).await?;
    Ok(paged(found))
}

pub(super) async fn exec(
    State(state): State<AppState>,
    Authenticated(hive): Authenticated,
    Path(id): Path<GroupId>,
    params: ExecParams,
    Body(request): Body<ExecGroupRequest>,
) -> Result<Response, HttpError> {
    // By id, because another group of the same name may be visible to the caller.
    let ExecGroupRequest { concurrency, confirm, command } = request;
    let targets = vec![Target::Group(GroupRef::Id(id))];
    run_many(&state, &hive, targets, command, params.limited(concurrency, confirm)).await
}
