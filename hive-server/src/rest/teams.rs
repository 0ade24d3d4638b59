//! Teams and their members.

use hive_core::wire::api::{
    AllowList, AllowListUpdate, Changed, PageRequest, RevokedWork, Team, TeamCreate, TeamMember, TeamMemberPut,
    TeamMemberSort, TeamSort, TeamUpdate,
};
use hive_core::wire::{TeamId, UserId};

use super::{ApiResult, CreatedResult, created, ok, paged};
use crate::auth::Authenticated;
use crate::extract::{Body, Path, Query};
use crate::routes::{Operation, Reach, Routes};
use crate::state::AppState;
use hive_core::access::Permission;
use hive_core::wire::ErrorCode;
use serde_json::json;

pub(super) fn routes() -> Routes<AppState> {
    let of = |id, summary| {
        Operation::new(id, summary).permission(Permission::TeamsManage, Reach::Team).path::<TeamId>("The team.")
    };
    Routes::tagged("teams")
        .get(
            "/api/v1/teams",
            list,
            Operation::new("team_list", "Lists teams")
                .permission(Permission::SatellitesRead, Reach::Visible)
                .query::<PageRequest<TeamSort>>()
                .answer_page::<Team>("A part of the teams whose satellites the caller may see."),
        )
        .post(
            "/api/v1/teams",
            create,
            Operation::new("team_create", "Creates a team")
                .permission(Permission::TeamsManage, Reach::Platform)
                .keeps_answer()
                .gives_name()
                .body::<TeamCreate>(json!({ "slug": "web" }))
                .answer::<Team>(201, "The team.")
                .errors([ErrorCode::Conflict]),
        )
        .put(
            "/api/v1/teams/{id}",
            update,
            of("team_update", "Changes a team")
                .description(
                    "Members with the role `team_user` have what the team says of it at once. What they lose with it is revoked.",
                )
                .body::<TeamUpdate>(json!({ "team_user": "operator" }))
                .answer_changed::<Team>("The team, and what was revoked with what its users could do before."),
        )
        .get(
            "/api/v1/teams/{id}/addresses",
            addresses,
            of("team_allow_list_get", "Returns the networks from which the members of a team may use it")
                .answer::<AllowList>(200, "The networks."),
        )
        .put(
            "/api/v1/teams/{id}/addresses",
            set_addresses,
            of("team_allow_list_set", "Sets the networks from which the members of a team may use it")
                .description(
                    "Streams and sessions of members who are elsewhere end at once. Global admins are not limited. A list without \
                     the address of the call is refused unless `force` is true.",
                )
                .body::<AllowListUpdate>(json!({ "addresses": ["192.0.2.0/24"] }))
                .answer::<AllowList>(200, "The networks after the change."),
        )
        .get(
            "/api/v1/teams/{id}/members",
            members,
            of("team_member_list", "Lists the members of a team")
                .query::<PageRequest<TeamMemberSort>>()
                .answer_page::<TeamMember>("A part of the members."),
        )
        .put(
            "/api/v1/teams/{id}/members",
            put_member,
            of("team_member_put", "Adds a user to a team, or changes their role in it")
                .body::<TeamMemberPut>(json!({ "username": "anna", "role": "operator" }))
                .answer_changed::<TeamMember>("The member, and what was revoked with the role before."),
        )
        .delete(
            "/api/v1/teams/{id}/members/{user}",
            remove_member,
            of("team_member_remove", "Removes a user from a team")
                .path::<UserId>("The user.")
                .answer::<RevokedWork>(200, "The user is no member any more. What was revoked with the role."),
        )
}

pub(super) async fn list(
    Authenticated(hive): Authenticated,
    Query(page): Query<PageRequest<TeamSort>>,
) -> ApiResult<Vec<Team>> {
    let teams = hive.identity().team_page(page).await?;
    Ok(paged(teams))
}

pub(super) async fn create(Authenticated(hive): Authenticated, Body(team): Body<TeamCreate>) -> CreatedResult<Team> {
    let team = hive.identity().team_create(team).await?;
    Ok(created(team))
}

pub(super) async fn update(
    Authenticated(hive): Authenticated,
    Path(id): Path<TeamId>,
    Body(update): Body<TeamUpdate>,
) -> ApiResult<Changed<Team>> {
    // The answer comes after the commit and after the streams of the members were looked at.
    let team = hive.identity().team_update(id, update).await?;
    Ok(ok(team))
}

pub(super) async fn addresses(Authenticated(hive): Authenticated, Path(id): Path<TeamId>) -> ApiResult<AllowList> {
    let list = hive.identity().team_allow_list(id).await?;
    Ok(ok(list))
}

pub(super) async fn set_addresses(
    Authenticated(hive): Authenticated,
    Path(id): Path<TeamId>,
    Body(update): Body<AllowListUpdate>,
) -> ApiResult<AllowList> {
    // The service knows the address of the call, and refuses a list that locks its caller out.
    let list = hive.identity().team_allow_list_set(id, update).await?;
    Ok(ok(list))
}

pub(super) async fn members(
    Authenticated(hive): Authenticated,
    Path(id): Path<TeamId>,
    Query(page): Query<PageRequest<TeamMemberSort>>,
) -> ApiResult<Vec<TeamMember>> {
    let members = hive.identity().team_member_page(id, page).await?;
    Ok(paged(members))
}

pub(super) async fn put_member(
    Authenticated(hive): Authenticated,
    Path(id): Path<TeamId>,
    Body(member): Body<TeamMemberPut>,
) -> ApiResult<Changed<TeamMember>> {
    let member = hive.identity().team_member_put(id, member).await?;
    Ok(ok(member))
}

pub(super) async fn remove_member(
    Authenticated(hive): Authenticated,
    Path((id, user)): Path<(TeamId, UserId)>,
) -> ApiResult<RevokedWork> {
    let revoked = hive.identity().team_member_remove(id, user).await?;
    Ok(ok(revoked))
}
