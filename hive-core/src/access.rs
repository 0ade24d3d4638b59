//! The permission model: one table without I/O, used in one place. What it does not allow is denied.

mod principal;
#[cfg(test)]
mod tests;

use hive_wire::{SatelliteId, TeamId};

pub use hive_store::access::{Authority, Permission, Role, VisibleScope, VisibleTeams};
pub use principal::{Credential, CredentialVersion, Principal};

/// A row of the permission matrix.
struct PermissionRule {
    /// The least role that grants the permission.
    least_role: Role,
    /// Whether it is about satellites and what belongs to them. A caller who is limited to some satellites has no other.
    is_about_satellites: bool,
}

impl PermissionRule {
    /// The permission matrix; `None` for a permission that no role of this version grants.
    fn of(permission: &Permission) -> Option<Self> {
        use Permission as P;
        let (least_role, is_about_satellites) = match permission {
            P::SatellitesRead | P::MetricsRead => (Role::Viewer, true),
            P::AlertsRead | P::ApiKeysOwn => (Role::Viewer, false),
            P::SatellitesExec
            | P::CommandsRead
            | P::JobsRun
            | P::SessionsOpen
            | P::FilesRead
            | P::FilesWrite
            | P::ForwardOpen
            | P::SatellitesTag
            | P::AuditRead => (Role::Operator, true),
            P::UsageRead | P::AlertsAck | P::McpUse => (Role::Operator, false),
            P::SatellitesPower | P::SatellitesDelete | P::SatellitesManage => (Role::Admin, true),
            P::ProvisionManage
            | P::TokensManage
            | P::GroupsManage
            | P::UsersManage
            | P::TeamsManage
            | P::ApiKeysAny
            | P::SettingsManage
            | P::AlertsManage
            | P::McpInstall => (Role::Admin, false),
            // A permission of a newer version: no role of this one is known to grant it.
            P::Unknown(_) => return None,
        };
        Some(Self { least_role, is_about_satellites })
    }
}

/// Returns the least role that grants a permission; `None` for one that no role of this version grants.
pub(crate) fn least_role(permission: &Permission) -> Option<Role> {
    PermissionRule::of(permission).map(|rule| rule.least_role)
}

/// Whether a role grants a permission.
fn is_granted(permission: &Permission, role: &Role) -> bool {
    least_role(permission).is_some_and(|least| role.is_at_least(&least))
}

/// Returns the broader permissions that imply this one. Who runs commands on satellites may run them by jobs, and reads what they
/// print.
fn implied_by(permission: &Permission) -> &'static [Permission] {
    match permission {
        Permission::JobsRun => &[Permission::SatellitesExec],
        Permission::CommandsRead => &[Permission::SatellitesExec, Permission::JobsRun],
        _ => &[],
    }
}

/// Whether a permission is about satellites and what belongs to them.
fn is_about_satellites(permission: &Permission) -> bool {
    PermissionRule::of(permission).is_some_and(|rule| rule.is_about_satellites)
}

/// The resources on which an action is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceScope<'r> {
    /// The hive as a whole, and what belongs to no team.
    Platform,
    /// One team, and what belongs to it.
    Team(TeamId),
    /// One satellite.
    Satellite {
        /// Its team. `None` for a satellite that serves all teams.
        team: Option<TeamId>,
        /// Its tags.
        tags: &'r [String],
    },
    /// The caller's own things.
    Own,
}

impl ResourceScope<'_> {
    /// The scope of what belongs to this team, or to no team.
    pub fn team(team: Option<TeamId>) -> Self {
        team.map_or(Self::Platform, Self::Team)
    }
}

/// Something that a caller may see or not: a row of the store, or an event.
pub trait Resource {
    /// The permission to see it.
    fn read_permission(&self) -> Permission;

    /// The scope that it belongs to.
    fn scope(&self) -> ResourceScope<'_>;

    /// The scope that the satellite of an event has moved to, where the event is for those who lose sight of the satellite.
    fn moved_to(&self) -> Option<ResourceScope<'_>> {
        None
    }
}

/// The decision about an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessDecision {
    /// The action is allowed.
    Allow,
    /// The action is denied. The caller may know that the resource exists.
    Forbid,
    /// The action is denied, and the answer is the same as for a resource that does not exist.
    Hide,
}

/// Decides whether `principal` may use `permission` on the resources of `scope`.
pub fn may(principal: &Principal, permission: &Permission, scope: ResourceScope<'_>) -> AccessDecision {
    // A caller without any role there must not learn from the error which ids exist.
    let Some(role) = principal.role_at(scope) else {
        return AccessDecision::Hide;
    };
    match (&principal.satellite_tags, scope) {
        (None, _) | (Some(_), ResourceScope::Own) => {}
        (Some(selected), ResourceScope::Satellite { tags, .. }) => {
            if !tags.iter().any(|tag| selected.contains(tag)) {
                return AccessDecision::Hide;
            }
        }
        // A team is more than the satellites with a tag. That it exists is known to its members.
        (Some(_), ResourceScope::Platform | ResourceScope::Team(_)) => return AccessDecision::Forbid,
    }
    if principal.has(permission, &role) { AccessDecision::Allow } else { AccessDecision::Forbid }
}

/// Decides whether `principal` may see a row or an event. [`visible_scope`] says the same of all rows of a query.
pub fn may_see(principal: &Principal, resource: &impl Resource) -> bool {
    let permission = resource.read_permission();
    let sees = |scope| may(principal, &permission, scope) == AccessDecision::Allow;
    // Who sees the satellite in its new place learns of the move from its change.
    sees(resource.scope()) && !resource.moved_to().is_some_and(sees)
}

/// Returns the scope of the rows on which `principal` may use `permission`.
pub fn visible_scope(principal: &Principal, permission: &Permission) -> VisibleScope {
    let tags = principal.satellite_tags.clone();
    // A key for some satellites is no key for teams, users or groups.
    if tags.is_some() && !is_about_satellites(permission) {
        return VisibleScope::of_teams([]);
    }
    // Without the tags: those are compared per satellite, by the query that takes this scope.
    let is_allowed = |scope| principal.role_at(scope).is_some_and(|role| principal.has(permission, &role));
    // `All` is more than the list of all teams: it includes resources without a team.
    let teams = if is_allowed(ResourceScope::Platform) {
        VisibleTeams::All
    } else {
        let teams = principal.teams.keys().copied();
        VisibleTeams::Teams(teams.filter(|team| is_allowed(ResourceScope::Team(*team))).collect())
    };
    VisibleScope { teams, tags }
}

/// A satellite that was authenticated by its API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SatelliteIdentity {
    /// The satellite.
    pub id: SatelliteId,
    /// The generation of the key, by which a link that was opened with an older key is recognised.
    pub key_generation: u64,
    /// The address from which it came; `None` where it is not known.
    pub ip: Option<String>,
}
