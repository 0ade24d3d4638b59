//! Permission checks of the services, with the errors that callers see.

use hive_wire::SatelliteId;
use hive_wire::api::{Group, GroupRef, RegistrationTokenInfo};

use crate::access::{AccessDecision, Permission, Principal, Resource, ResourceScope, may};
use crate::store::{GroupStore, SatelliteRow, SatelliteStore};
use crate::{Error, Result};

impl Resource for SatelliteRow {
    fn read_permission(&self) -> Permission {
        Permission::SatellitesRead
    }

    fn scope(&self) -> ResourceScope<'_> {
        ResourceScope::Satellite { team: self.team_id, tags: &self.tags }
    }
}

impl Resource for Group {
    fn read_permission(&self) -> Permission {
        Permission::SatellitesRead
    }

    fn scope(&self) -> ResourceScope<'_> {
        ResourceScope::team(self.team_id)
    }
}

impl Resource for RegistrationTokenInfo {
    fn read_permission(&self) -> Permission {
        Permission::TokensManage
    }

    fn scope(&self) -> ResourceScope<'_> {
        ResourceScope::team(self.team_id)
    }
}

/// Checks a permission on one resource. Where the principal may not know of the resource, it fails with `hidden`: the error
/// for a resource that does not exist.
pub(crate) fn authorize(
    principal: &Principal,
    permission: &Permission,
    scope: ResourceScope<'_>,
    hidden: impl FnOnce() -> Error,
) -> Result<()> {
    match may(principal, permission, scope) {
        AccessDecision::Allow => Ok(()),
        AccessDecision::Forbid => Err(forbidden(permission)),
        AccessDecision::Hide => Err(hidden()),
    }
}

/// Checks a permission that is not about one resource.
pub(crate) fn authorize_action(principal: &Principal, permission: &Permission, scope: ResourceScope<'_>) -> Result<()> {
    authorize(principal, permission, scope, || forbidden(permission))
}

/// The error of a caller who has not the permission.
pub(crate) fn forbidden(permission: &Permission) -> Error {
    Error::Forbidden(permission.as_str().into())
}

/// Checks a permission on a satellite.
pub(crate) fn authorize_satellite(
    principal: &Principal,
    row: SatelliteRow,
    permission: &Permission,
) -> Result<SatelliteRow> {
    let hidden = || Error::SatelliteNotFound(row.id.to_string());
    authorize(principal, permission, row.scope(), hidden)?;
    Ok(row)
}

/// Finds a satellite on which the principal has the permission.
pub(crate) async fn satellite_for(
    store: &dyn SatelliteStore,
    principal: &Principal,
    id: SatelliteId,
    permission: &Permission,
) -> Result<SatelliteRow> {
    let row = store.satellite_get(id).await?;
    let row = row.ok_or_else(|| Error::SatelliteNotFound(id.to_string()))?;
    authorize_satellite(principal, row, permission)
}

/// Finds a group in whose team the principal has the permission. A group of another team looks like one that does not exist.
pub(crate) async fn group_for(
    store: &dyn GroupStore,
    principal: &Principal,
    group: &GroupRef,
    permission: &Permission,
) -> Result<Group> {
    let no_group = || Error::NotFound { what: "group", id: group.to_string() };
    let found = match group {
        GroupRef::Id(id) => store.group_get(*id).await?.into_iter().collect(),
        GroupRef::Name(name) => store.group_find(name).await?,
    };
    let mut refusal = no_group();
    let mut allowed = Vec::new();
    for group in found {
        match may(principal, permission, group.scope()) {
            AccessDecision::Allow => allowed.push(group),
            AccessDecision::Forbid => refusal = forbidden(permission),
            AccessDecision::Hide => {}
        }
    }
    if allowed.len() > 1 {
        let ids: Vec<_> = allowed.iter().map(|group| group.id.to_string()).collect();
        let rule = format!("several groups are named {group}; give the id of one: {}", ids.join(", "));
        return Err(Error::invalid("group", rule));
    }
    allowed.pop().ok_or(refusal)
}

/// Checks a permission on a satellite as it is now. Returns the error for a caller who sees nothing of earlier times either:
/// a satellite of another team may have belonged to a team of theirs.
pub(crate) async fn hidden_now(
    store: &dyn SatelliteStore,
    principal: &Principal,
    id: SatelliteId,
    permission: &Permission,
) -> Result<Option<Error>> {
    let row = store.satellite_get(id).await?;
    let row = row.ok_or_else(|| Error::SatelliteNotFound(id.to_string()))?;
    match authorize_satellite(principal, row, permission) {
        Ok(_) => Ok(None),
        Err(hidden @ Error::SatelliteNotFound(_)) => Ok(Some(hidden)),
        Err(error) => Err(error),
    }
}

/// Returns the tags of a satellite for a caller whose credential is limited to some. For any other caller nothing is read, and
/// the answer is empty.
pub(crate) async fn tags_for(
    store: &dyn SatelliteStore,
    principal: &Principal,
    id: SatelliteId,
) -> Result<Vec<String>> {
    if principal.satellite_tags.is_none() {
        return Ok(Vec::new());
    }
    Ok(store.satellite_get(id).await?.map(|row| row.tags).unwrap_or_default())
}

/// The error for a satellite that accepts no commands now.
pub(crate) fn inactive(row: &SatelliteRow) -> Error {
    Error::SatelliteInactive { name: row.name.to_string(), status: row.status.clone() }
}
