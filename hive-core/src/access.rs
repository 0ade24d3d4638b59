//! The permission model: one table without I/O, used in one place. What it does not allow is denied.

use std::collections::{BTreeMap, BTreeSet};

use hive_wire::api::{Actor, PlatformRole};
use hive_wire::{ApiKeyId, SatelliteId, TeamId, UserId};

pub use hive_store::access::{Authority, Permission, Role, VisibleTeams};

/// Whether a role grants a permission. The permission matrix.
fn is_granted(permission: &Permission, role: &Role) -> bool {
    let least = match permission {
        Permission::SatellitesRead | Permission::ApiKeysOwn => Role::Viewer,
        Permission::SatellitesExec
        | Permission::JobsRun
        | Permission::SatellitesTag
        | Permission::SessionsOpen
        | Permission::AuditRead => Role::Operator,
        Permission::SatellitesPower
        | Permission::SatellitesDelete
        | Permission::SatellitesManage
        | Permission::TokensManage
        | Permission::UsersManage
        | Permission::TeamsManage => Role::Admin,
        // A permission of a newer version: no role of this one is known to grant it.
        Permission::Unknown(_) => return false,
    };
    role.is_at_least(&least)
}

/// Returns the broader permission that implies this one: whoever may run commands on satellites may run them by jobs.
fn implied_by(permission: &Permission) -> Option<Permission> {
    (*permission == Permission::JobsRun).then_some(Permission::SatellitesExec)
}

/// The credential with which a caller was authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Credential {
    /// A login of this user.
    Login(UserId),
    /// An API key of this user.
    ApiKey(ApiKeyId, UserId),
    /// None: the caller is this process, such as the server's own commands or an embedding program.
    System,
}

impl Credential {
    /// Returns its user; `None` for the hive itself.
    pub fn user(self) -> Option<UserId> {
        match self {
            Self::Login(user) | Self::ApiKey(_, user) => Some(user),
            Self::System => None,
        }
    }
}

hive_wire::with_setters! {
    /// An authenticated caller.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Principal {
        /// The credential.
        pub credential: Credential,
        /// The name for people, and for the audit log.
        pub name: String,
        /// The IP address of the call.
        pub ip: Option<String>,
        /// The platform role.
        pub role: PlatformRole,
        /// The role in each team.
        pub teams: BTreeMap<TeamId, Role>,
        /// The permissions to which an API key is limited; `None` if it has all permissions of its owner.
        pub scopes: Option<BTreeSet<Permission>>,
    }
}

impl Principal {
    /// A principal without an address and teams, and with no limit beside its role.
    pub fn new(credential: Credential, name: impl Into<String>, role: PlatformRole) -> Self {
        Self { credential, name: name.into(), ip: None, role, teams: BTreeMap::new(), scopes: None }
    }

    /// The hive itself, with every permission.
    pub fn system() -> Self {
        Self::new(Credential::System, "system", PlatformRole::GlobalAdmin)
    }

    /// Returns the user behind the credential.
    pub fn user(&self) -> Option<UserId> {
        self.credential.user()
    }

    /// Returns the principal as an actor of the audit log.
    pub fn actor(&self) -> Actor {
        // The key and not its user: one user has several keys, and the record must show which of them was used.
        let (kind, id) = match self.credential {
            Credential::Login(user) => ("user", user.to_string()),
            Credential::ApiKey(key, _) => ("api_key", key.to_string()),
            Credential::System => ("system", "system".to_owned()),
        };
        Actor { kind: kind.into(), id, name: self.name.clone(), ip: self.ip.clone() }
    }

    fn role_at(&self, scope: ResourceScope<'_>) -> Option<Role> {
        match (&self.role, scope) {
            (PlatformRole::GlobalAdmin, _) => Some(Role::Admin),
            // No credential is limited to tags yet: the role on a satellite is the role in its team.
            (_, ResourceScope::Satellite { team, tags: _ }) => self.role_at(ResourceScope::team(team)),
            (PlatformRole::GlobalUser, ResourceScope::Team(team)) => self.teams.get(&team).cloned(),
            // The lowest role is enough: it has the permission for one's own API keys.
            (PlatformRole::GlobalUser, ResourceScope::Own) => Some(Role::Viewer),
            // Satellites without a team are for global admins only. A role of a later version grants nothing here, although
            // its teams may be known: it may be a role with fewer rights.
            (PlatformRole::GlobalUser, ResourceScope::Platform) | (PlatformRole::Unknown(_), _) => None,
        }
    }
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
    let is_in_scope = |permission: &Permission| {
        let scopes = principal.scopes.as_ref();
        scopes.is_none_or(|scopes| {
            scopes.contains(permission) || implied_by(permission).is_some_and(|broader| scopes.contains(&broader))
        })
    };
    // Both: scopes restrict a key and never give it more than its owner has.
    if is_granted(permission, &role) && is_in_scope(permission) {
        AccessDecision::Allow
    } else {
        AccessDecision::Forbid
    }
}

/// Decides whether `principal` may see a row or an event. [`visible_teams`] says the same of all rows of a query.
pub fn may_see(principal: &Principal, resource: &impl Resource) -> bool {
    let permission = resource.read_permission();
    let sees = |scope| may(principal, &permission, scope) == AccessDecision::Allow;
    sees(resource.scope()) && !resource.moved_to().is_some_and(sees)
}

/// Returns the teams on whose resources `principal` may use `permission`.
pub fn visible_teams(principal: &Principal, permission: &Permission) -> VisibleTeams {
    // `All` is more than the list of all teams: it includes resources without a team.
    if may(principal, permission, ResourceScope::Platform) == AccessDecision::Allow {
        return VisibleTeams::All;
    }
    let is_allowed = |team: &TeamId| may(principal, permission, ResourceScope::Team(*team)) == AccessDecision::Allow;
    VisibleTeams::Teams(principal.teams.keys().copied().filter(is_allowed).collect())
}

/// A satellite that was authenticated by its API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SatelliteIdentity {
    /// The satellite.
    pub id: SatelliteId,
    /// The generation of the key, by which a link that was opened with an older key is recognised.
    pub key_generation: u64,
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, btree_set};
    use proptest::prelude::*;

    use super::*;
    use hive_wire::id::Seed;

    fn team(n: u8) -> TeamId {
        TeamId::new(Seed { unix_millis: 1, random: [n; 10] })
    }

    fn user(role: PlatformRole, teams: &[(TeamId, Role)]) -> Principal {
        let id = UserId::new(Seed { unix_millis: 1, random: [0; 10] });
        Principal {
            credential: Credential::Login(id),
            name: "anna".into(),
            ip: None,
            role,
            teams: teams.iter().cloned().collect(),
            scopes: None,
        }
    }

    #[test]
    fn the_matrix_is_the_published_one() {
        use Permission::*;
        let check = |permission: Permission, expected: [bool; 3]| {
            let got = [Role::Admin, Role::Operator, Role::Viewer].map(|role| is_granted(&permission, &role));
            assert_eq!(got, expected, "{permission:?} for admin, operator, viewer");
        };
        check(SatellitesRead, [true, true, true]);
        check(SatellitesExec, [true, true, false]);
        check(JobsRun, [true, true, false]);
        check(SessionsOpen, [true, true, false]);
        check(SatellitesTag, [true, true, false]);
        check(AuditRead, [true, true, false]);
        check(SatellitesPower, [true, false, false]);
        check(SatellitesDelete, [true, false, false]);
        check(SatellitesManage, [true, false, false]);
        check(TokensManage, [true, false, false]);
        check(UsersManage, [true, false, false]);
        check(TeamsManage, [true, false, false]);
        check(ApiKeysOwn, [true, true, true]);
    }

    #[test]
    fn another_team_is_hidden_and_not_forbidden() {
        let operator = user(PlatformRole::GlobalUser, &[(team(1), Role::Operator)]);
        let check = |permission, scope, verdict| assert_eq!(may(&operator, &permission, scope), verdict);
        check(Permission::SatellitesExec, ResourceScope::Team(team(1)), AccessDecision::Allow);
        check(Permission::SatellitesPower, ResourceScope::Team(team(1)), AccessDecision::Forbid);
        check(Permission::SatellitesRead, ResourceScope::Team(team(2)), AccessDecision::Hide);
        check(Permission::SatellitesRead, ResourceScope::Platform, AccessDecision::Hide);
        check(Permission::ApiKeysOwn, ResourceScope::Own, AccessDecision::Allow);
    }

    #[test]
    fn a_key_never_has_more_than_its_scopes_nor_than_its_owner() {
        let mut key = user(PlatformRole::GlobalAdmin, &[]);
        key.scopes = Some([Permission::SatellitesRead].into());
        assert_eq!(may(&key, &Permission::SatellitesRead, ResourceScope::Platform), AccessDecision::Allow);
        assert_eq!(may(&key, &Permission::SatellitesExec, ResourceScope::Platform), AccessDecision::Forbid);
        let mut weak = user(PlatformRole::GlobalUser, &[(team(1), Role::Viewer)]);
        weak.scopes = Some([Permission::SatellitesExec].into());
        assert_eq!(may(&weak, &Permission::SatellitesExec, ResourceScope::Team(team(1))), AccessDecision::Forbid);
    }

    #[test]
    fn who_may_run_commands_may_run_jobs_and_not_the_other_way_round() {
        let mut key = user(PlatformRole::GlobalAdmin, &[]);
        let mut check = |scope, permission, verdict| {
            let case = format!("{scope:?} {permission:?}");
            key.scopes = Some([scope].into());
            assert_eq!(may(&key, &permission, ResourceScope::Platform), verdict, "{case}");
        };
        check(Permission::SatellitesExec, Permission::JobsRun, AccessDecision::Allow);
        check(Permission::JobsRun, Permission::JobsRun, AccessDecision::Allow);
        check(Permission::JobsRun, Permission::SatellitesExec, AccessDecision::Forbid);
        check(Permission::SatellitesRead, Permission::JobsRun, AccessDecision::Forbid);
    }

    #[test]
    fn what_is_not_known_grants_nothing() {
        let everywhere = [ResourceScope::Platform, ResourceScope::Team(team(1)), ResourceScope::Own];
        let later = |word: &str| user(PlatformRole::GlobalUser, &[(team(1), Role::from(word))]);
        for permission in Permission::KNOWN {
            let unknown_user = user(PlatformRole::from("global_auditor"), &[(team(1), Role::Admin)]);
            for scope in everywhere {
                assert_ne!(may(&unknown_user, permission, scope), AccessDecision::Allow, "{permission} at {scope:?}");
            }
            assert_ne!(
                may(&later("auditor"), permission, ResourceScope::Team(team(1))),
                AccessDecision::Allow,
                "{permission}"
            );
            let mut key = user(PlatformRole::GlobalAdmin, &[]);
            key.scopes = Some([Permission::from("secrets.read")].into());
            assert_ne!(may(&key, permission, ResourceScope::Platform), AccessDecision::Allow, "{permission}");
        }
        let unknown = Permission::from("secrets.read");
        assert_ne!(may(&Principal::system(), &unknown, ResourceScope::Platform), AccessDecision::Allow);
    }

    #[test]
    fn sight_is_what_the_verdicts_say() {
        let mixed = user(PlatformRole::GlobalUser, &[(team(1), Role::Viewer), (team(2), Role::Operator)]);
        assert_eq!(visible_teams(&mixed, &Permission::SatellitesRead), VisibleTeams::Teams(vec![team(1), team(2)]));
        assert_eq!(visible_teams(&mixed, &Permission::SatellitesExec), VisibleTeams::Teams(vec![team(2)]));
        assert_eq!(visible_teams(&Principal::system(), &Permission::SatellitesExec), VisibleTeams::All);
    }

    /// Something of a satellite, that may have moved.
    struct Thing<'r> {
        permission: Permission,
        scope: ResourceScope<'r>,
        moved_to: Option<ResourceScope<'r>>,
    }

    impl Resource for Thing<'_> {
        fn read_permission(&self) -> Permission {
            self.permission.clone()
        }

        fn scope(&self) -> ResourceScope<'_> {
            self.scope
        }

        fn moved_to(&self) -> Option<ResourceScope<'_>> {
            self.moved_to
        }
    }

    fn satellite(team: Option<TeamId>) -> ResourceScope<'static> {
        ResourceScope::Satellite { team, tags: &[] }
    }

    #[test]
    fn who_loses_sight_of_a_satellite_sees_that_it_leaves() {
        let (blue, red) = (team(1), team(2));
        let leaves = Thing {
            permission: Permission::SatellitesRead,
            scope: satellite(Some(blue)),
            moved_to: Some(satellite(Some(red))),
        };
        let check = |teams: &[TeamId], expected: bool| {
            let teams: Vec<_> = teams.iter().map(|team| (*team, Role::Viewer)).collect();
            assert_eq!(may_see(&user(PlatformRole::GlobalUser, &teams), &leaves), expected, "{teams:?}");
        };
        check(&[blue], true);
        check(&[red], false);
        check(&[blue, red], false);
        check(&[], false);
        assert!(!may_see(&Principal::system(), &leaves), "it sees the satellite wherever that is");
        let leaves_all = Thing { scope: satellite(None), ..leaves };
        assert!(!may_see(&user(PlatformRole::GlobalUser, &[(blue, Role::Admin)]), &leaves_all));
    }

    fn a_permission() -> impl Strategy<Value = Permission> {
        (0..=Permission::KNOWN.len())
            .prop_map(|n| Permission::KNOWN.get(n).cloned().unwrap_or_else(|| Permission::from("secrets.read")))
    }

    fn a_principal() -> impl Strategy<Value = Principal> {
        let role = prop_oneof![Just("global_admin"), Just("global_user"), Just("auditor")].prop_map(PlatformRole::from);
        let in_team = prop_oneof![Just("admin"), Just("operator"), Just("viewer"), Just("guest")].prop_map(Role::from);
        let teams = btree_map((0..4_u8).prop_map(team), in_team, 0..4);
        let scopes = proptest::option::of(btree_set(a_permission(), 0..6));
        (role, teams, scopes).prop_map(|(role, teams, scopes)| Principal { teams, scopes, ..user(role, &[]) })
    }

    proptest! {
        #[test]
        fn a_row_is_seen_where_its_team_is_visible(
            principal in a_principal(),
            permission in a_permission(),
            team in proptest::option::of((0..5_u8).prop_map(team)),
        ) {
            let is_visible = visible_teams(&principal, &permission).covers(team);
            for scope in [ResourceScope::team(team), satellite(team)] {
                let row = Thing { permission: permission.clone(), scope, moved_to: None };
                prop_assert_eq!(may_see(&principal, &row), is_visible, "{:?}", scope);
            }
            prop_assert!(permission.is_known() || !is_visible, "an unknown word grants nothing");
        }
    }
}
