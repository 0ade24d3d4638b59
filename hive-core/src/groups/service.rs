//! `GroupManager` in this process.

use std::collections::HashMap;

use async_trait::async_trait;
use hive_wire::api::{
    Group, GroupCreate, GroupDetails, GroupFilter, GroupRef, GroupSort, GroupUpdate, MAX_GROUP_MEMBERS, Page,
    PageRequest, Satellite, SatelliteSort,
};
use hive_wire::{GroupId, SatelliteId, TeamId};
use serde_json::json;

use super::{GroupManager, Groups};
use crate::access::{Permission, Principal, ResourceScope, visible_scope};
use crate::audit::draft::{Subject, record};
use crate::audit::excerpt::Details;
use crate::audit::{AuditAction, AuditDraft};
use crate::authorization::{authorize, group_for};
use crate::handle::ServiceHandle;
use crate::lists::listing::Listing;
use crate::store::{GroupPatch, GroupQuery, RowRange, SatelliteQuery, SatelliteSelection};
use crate::{Error, Result};

/// The satellites whose rows are read in one go.
const ROWS_AT_ONCE: usize = 1_000;

#[async_trait]
impl GroupManager for ServiceHandle<Groups> {
    async fn create(&self, group: GroupCreate) -> Result<GroupDetails> {
        self.service.create(&self.principal, group).await
    }

    async fn get(&self, id: GroupId) -> Result<Option<GroupDetails>> {
        match self.service.group_for(&self.principal, id, &Permission::SatellitesRead).await {
            Ok(group) => self.service.details(&self.principal, group).await.map(Some),
            // A group that is hidden and one that does not exist are the same answer.
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, filter: GroupFilter, page: PageRequest<GroupSort>) -> Result<Page<Group>> {
        let listing = Listing::of_rows(&("groups", &filter), page)?;
        let visible = visible_scope(&self.principal, &Permission::SatellitesRead);
        let query = GroupQuery { visible, team_id: filter.team, search: filter.search };
        let rows = self.service.store.group_list(&query, listing.range()).await?;
        Ok(listing.answer(rows, |group| group))
    }

    async fn update(&self, id: GroupId, update: GroupUpdate) -> Result<GroupDetails> {
        self.service.update(&self.principal, id, update).await
    }

    async fn remove(&self, id: GroupId) -> Result<()> {
        self.service.remove(&self.principal, id).await
    }

    async fn list_satellites(&self, id: GroupId, page: PageRequest<SatelliteSort>) -> Result<Page<Satellite>> {
        let group = self.service.group_for(&self.principal, id, &Permission::SatellitesRead).await?;
        let query = satellites_of(&self.principal, &group, SatelliteSelection::of_group(&group));
        self.service.satellites.list_matching(&("satellites of a group", id), &query, page).await
    }
}

impl Groups {
    async fn group_for(&self, principal: &Principal, id: GroupId, permission: &Permission) -> Result<Group> {
        group_for(self.store.as_ref(), principal, &GroupRef::Id(id), permission).await
    }

    async fn create(&self, principal: &Principal, create: GroupCreate) -> Result<GroupDetails> {
        let GroupCreate { name, team_id, query, members } = create;
        self.authorize_team(principal, team_id).await?;
        self.check_members(principal, team_id, members.len(), &members).await?;
        let now = self.context.now();
        let id = GroupId::new(self.context.seed());
        let group = Group { id, name, team_id, query, created_at: now, updated_at: now };
        let details = Details::default().with("name", json!(group.name)).with("query", json!(group.query));
        let details = details.with_list("members", &members);
        let record = self.record(principal, AuditAction::GroupCreate, &group, details);
        self.store.group_create(group.clone(), members, record).await?;
        self.details(principal, group).await
    }

    async fn update(&self, principal: &Principal, id: GroupId, update: GroupUpdate) -> Result<GroupDetails> {
        let group = self.group_for(principal, id, &Permission::GroupsManage).await?;
        // Before the fields are taken apart: the record says what was asked for, not what was changed by it.
        let record = self.record(principal, AuditAction::GroupUpdate, &group, changes(&update));
        let GroupUpdate { name, query, members, add_members: add, remove_members: remove } = update;
        let added: Vec<_> = members.iter().flatten().chain(&add).copied().collect();
        // A new list of members replaces the old one, which then does not count.
        let kept = match &members {
            Some(_) => 0,
            None => self.members(principal, &group).await?.len(),
        };
        self.check_members(principal, group.team_id, kept + added.len(), &added).await?;
        let patch = GroupPatch { name, query, members, add, remove, now: self.context.now() };
        let changed = self.store.group_update(id, patch, record).await?;
        self.details(principal, changed.ok_or_else(|| no_group(id))?).await
    }

    async fn remove(&self, principal: &Principal, id: GroupId) -> Result<()> {
        let group = self.group_for(principal, id, &Permission::GroupsManage).await?;
        let record = self.record(
            principal,
            AuditAction::GroupRemove,
            &group,
            Details::default().with("name", json!(group.name)),
        );
        if self.store.group_remove(id, record).await? { Ok(()) } else { Err(no_group(id)) }
    }

    /// Checks that the principal manages the groups of a team, or those of the whole hive.
    async fn authorize_team(&self, principal: &Principal, team: Option<TeamId>) -> Result<()> {
        let hidden = || match team {
            Some(team) => Error::NotFound { what: "team", id: team.to_string() },
            None => Error::Forbidden(Permission::GroupsManage.as_str().into()),
        };
        // The rights first, so that a refusal does not tell whether the team exists.
        authorize(principal, &Permission::GroupsManage, ResourceScope::team(team), hidden)?;
        self.identity.check_team(team).await
    }

    /// Checks satellites that a group is to list. `total` counts those that it lists already too.
    async fn check_members(
        &self,
        principal: &Principal,
        team: Option<TeamId>,
        total: usize,
        members: &[SatelliteId],
    ) -> Result<()> {
        if total > MAX_GROUP_MEMBERS {
            return Err(Error::invalid("members", format!("a group lists at most {MAX_GROUP_MEMBERS} satellites")));
        }
        for part in members.chunks(ROWS_AT_ONCE) {
            let visible = visible_scope(principal, &Permission::SatellitesRead);
            let query = SatelliteQuery { ids: Some(part.to_vec()), ..SatelliteQuery::visible_to(visible) };
            let (rows, _) = self.satellite_store.satellite_list(&query, RowRange::ALL).await?;
            let teams: HashMap<_, _> = rows.iter().map(|row| (row.id, row.team_id)).collect();
            for member in part {
                // One that the caller does not see is an unknown one, else its id would tell that it exists.
                let found = teams.get(member).ok_or_else(|| Error::SatelliteNotFound(member.to_string()))?;
                if team.is_some() && *found != team {
                    // Its id may be named: the caller sees the satellite.
                    let rule = format!("satellite {member} is not of the team of the group");
                    return Err(Error::invalid("members", rule));
                }
            }
        }
        Ok(())
    }

    async fn details(&self, principal: &Principal, group: Group) -> Result<GroupDetails> {
        let members = self.members(principal, &group).await?;
        let query = satellites_of(principal, &group, SatelliteSelection::of_group(&group));
        // No rows, only their number.
        let (_, satellite_count) = self.satellite_store.satellite_list(&query, RowRange::part(0, 0)).await?;
        Ok(GroupDetails { group, members, satellite_count })
    }

    /// Returns the satellites that a group lists and that the principal sees.
    async fn members(&self, principal: &Principal, group: &Group) -> Result<Vec<SatelliteId>> {
        let query = satellites_of(principal, group, SatelliteSelection::listed_by(group.id));
        Ok(self.satellite_store.satellite_list_ids(&query, RowRange::ALL).await?)
    }

    fn record(&self, principal: &Principal, action: AuditAction, group: &Group, details: Details) -> AuditDraft {
        let subject = Subject::new(group.id).of_team(group.team_id);
        record(&self.context, principal, action, subject, details.into_value())
    }
}

/// What a record says of a change: the fields that are given.
fn changes(update: &GroupUpdate) -> Details {
    let GroupUpdate { name, query, members, add_members, remove_members } = update;
    let mut details = Details::default();
    if let Some(name) = name {
        details = details.with("name", json!(name));
    }
    if let Some(query) = query {
        details = details.with("query", json!(query));
    }
    if let Some(members) = members {
        details = details.with_list("members", members);
    }
    for (field, changed) in [("add_members", add_members), ("remove_members", remove_members)] {
        if !changed.is_empty() {
            details = details.with_list(field, changed);
        }
    }
    details
}

/// The satellites of a selection that the group may have and the principal sees.
fn satellites_of(principal: &Principal, group: &Group, selection: SatelliteSelection) -> SatelliteQuery {
    let visible = visible_scope(principal, &Permission::SatellitesRead);
    SatelliteQuery { team_id: group.team_id, selection: Some(selection), ..SatelliteQuery::visible_to(visible) }
}

fn no_group(id: GroupId) -> Error {
    Error::NotFound { what: "group", id: id.to_string() }
}
