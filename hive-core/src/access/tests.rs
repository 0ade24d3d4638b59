//! Tests of the permission table.

use proptest::collection::{btree_map, btree_set};
use proptest::prelude::*;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use hive_wire::UserId;
use hive_wire::api::PlatformRole;

use super::*;
use hive_wire::id::Seed;

fn team(n: u8) -> TeamId {
    TeamId::new(Seed { unix_millis: 1, random: [n; 10] })
}

fn user(role: PlatformRole, teams: &[(TeamId, Role)]) -> Principal {
    let id = UserId::new(Seed { unix_millis: 1, random: [0; 10] });
    let teams = teams.iter().cloned().collect();
    Principal { teams, ..Principal::new(Credential::Login(id), "anna", role) }
}

#[test]
fn the_matrix_is_the_published_one() {
    use Permission::*;
    let check = |permission: Permission, expected: [bool; 3]| {
        let got = [Role::Admin, Role::Operator, Role::Viewer].map(|role| is_granted(&permission, &role));
        assert_eq!(got, expected, "{permission:?} for admin, operator, viewer");
    };
    for permission in [MetricsRead, AlertsRead] {
        check(permission, [true, true, true]);
    }
    for permission in [CommandsRead, FilesRead, FilesWrite, ForwardOpen, UsageRead, AlertsAck, McpUse] {
        check(permission, [true, true, false]);
    }
    for permission in [ProvisionManage, GroupsManage, ApiKeysAny, SettingsManage, AlertsManage, McpInstall] {
        check(permission, [true, false, false]);
    }
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

/// The matrix of the specification, by its own words: permission, admin, operator, viewer. `x.*` is every permission of an area that has
/// no row of its own.
const SPECIFICATION: &str = "\
| satellites.read, metrics.read | ✓ | ✓ | ✓ |
| satellites.exec, sessions.open, files.* , forward.open | ✓ | ✓ | – |
| satellites.tag | ✓ | ✓ | – |
| satellites.power, satellites.delete, provision.*, users.*, settings.* | ✓ | – | – |
| audit.read | ✓ | ✓ | – |
| jobs.run, alerts.ack, mcp.use | ✓ | ✓ | – |
| tokens.*, groups.manage, teams.*, api_keys.any, mcp.install, alerts.manage | ✓ (team admin: own team) | own API keys only | – |";

/// Returns the rows of a table of permissions: their words, and the text of each of the three columns.
fn rows(table: &str) -> Vec<(Vec<String>, [String; 3])> {
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let row = |row: &str| {
        let [words, one, two, three] = cells(row).try_into().expect("four columns");
        let words = words.split(',').map(|word| word.trim().trim_matches('`').to_owned()).collect();
        (words, [one, two, three])
    };
    table.lines().map(row).collect()
}

#[test]
fn the_matrix_is_that_of_the_specification() {
    for (words, columns) in rows(SPECIFICATION) {
        let expected = columns.map(|column| column.starts_with('✓'));
        for word in words {
            let is_meant = |permission: &&Permission| match word.strip_suffix(".*") {
                Some(area) => permission.as_str().split_once('.').is_some_and(|(of, _)| of == area),
                None => permission.as_str() == word,
            };
            let meant: Vec<_> = Permission::KNOWN.iter().filter(is_meant).collect();
            assert!(!meant.is_empty(), "there is no {word}");
            for permission in meant {
                let got = [Role::Admin, Role::Operator, Role::Viewer].map(|role| is_granted(permission, &role));
                assert_eq!(got, expected, "{permission}");
            }
        }
    }
    assert!(is_granted(&Permission::ApiKeysOwn, &Role::Operator), "own API keys");
}

/// The rows of the security page: permissions, and the columns viewer, operator and admin.
fn documented() -> Vec<(Vec<String>, [String; 3])> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, table) = page.split_once("| permissions | viewer | operator | admin |\n|---|---|---|---|\n").unwrap();
    let table: Vec<_> = table.lines().take_while(|line| line.starts_with('|')).collect();
    rows(&table.join("\n"))
}

#[test]
fn the_security_page_has_the_whole_matrix() {
    let mut listed = Vec::new();
    for (words, columns) in documented() {
        let expected = columns.map(|column| column == "yes");
        for word in words {
            let permission = Permission::from(word.as_str());
            let got = [Role::Viewer, Role::Operator, Role::Admin].map(|role| is_granted(&permission, &role));
            assert_eq!(got, expected, "{word}");
            listed.push(permission);
        }
    }
    listed.sort();
    let mut known = Permission::KNOWN.to_vec();
    known.sort();
    assert_eq!(listed, known, "each is listed once");
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
    let both = VisibleScope::of_teams([team(1), team(2)]);
    assert_eq!(visible_scope(&mixed, &Permission::SatellitesRead), both);
    assert_eq!(visible_scope(&mixed, &Permission::SatellitesExec), VisibleScope::of_teams([team(2)]));
    assert_eq!(visible_scope(&Principal::system(), &Permission::SatellitesExec), VisibleScope::ALL);
}

#[test]
fn a_credential_for_some_satellites_has_no_others_and_no_team() {
    let mut key = user(PlatformRole::GlobalAdmin, &[]);
    key.satellite_tags = Some(["staging".to_owned()].into());
    let tags = |tag: &str| [tag.to_owned()];
    let check = |permission: Permission, scope, expected| {
        assert_eq!(may(&key, &permission, scope), expected, "{permission} at {scope:?}");
    };
    let (staging, production) = (tags("staging"), tags("production"));
    let of = |tags| ResourceScope::Satellite { team: Some(team(1)), tags };
    check(Permission::SatellitesPower, of(&staging), AccessDecision::Allow);
    check(Permission::SatellitesRead, of(&production), AccessDecision::Hide);
    check(Permission::SatellitesRead, of(&[]), AccessDecision::Hide);
    check(Permission::TokensManage, ResourceScope::Team(team(1)), AccessDecision::Forbid);
    check(Permission::UsersManage, ResourceScope::Platform, AccessDecision::Forbid);
    check(Permission::ApiKeysOwn, ResourceScope::Own, AccessDecision::Allow);
}

#[test]
fn who_runs_commands_reads_what_they_print() {
    let check = |scope: Permission, expected| {
        let mut key = user(PlatformRole::GlobalAdmin, &[]);
        key.scopes = Some([scope.clone()].into());
        assert_eq!(may(&key, &Permission::CommandsRead, ResourceScope::Platform), expected, "{scope}");
    };
    check(Permission::SatellitesExec, AccessDecision::Allow);
    check(Permission::JobsRun, AccessDecision::Allow);
    check(Permission::CommandsRead, AccessDecision::Allow);
    check(Permission::SatellitesRead, AccessDecision::Forbid);
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
    let tags = proptest::option::of(btree_set(a_tag(), 0..3));
    let principal =
        |(role, teams, scopes, satellite_tags)| Principal { teams, scopes, satellite_tags, ..user(role, &[]) };
    (role, teams, scopes, tags).prop_map(principal)
}

fn a_tag() -> impl Strategy<Value = String> {
    prop_oneof![Just("staging"), Just("web"), Just("canary")].prop_map(str::to_owned)
}

/// The permissions that a role has, by the table of the security page.
static ROLES: LazyLock<BTreeMap<&str, BTreeSet<String>>> = LazyLock::new(|| {
    let mut roles = BTreeMap::new();
    for (words, columns) in documented() {
        for (role, column) in ["viewer", "operator", "admin"].into_iter().zip(columns) {
            let granted: &mut BTreeSet<_> = roles.entry(role).or_default();
            granted.extend(words.iter().filter(|_| column == "yes").cloned());
        }
    }
    roles
});

/// What a key for some satellites may have at all.
const ABOUT_SATELLITES: [&str; 14] = [
    "satellites.read",
    "metrics.read",
    "satellites.exec",
    "commands.read",
    "jobs.run",
    "sessions.open",
    "files.read",
    "files.write",
    "forward.open",
    "satellites.tag",
    "satellites.power",
    "satellites.delete",
    "satellites.manage",
    "audit.read",
];

/// The decision, computed in another way and from the pages for people: from all roles, all scopes and all tags at once.
fn expected(principal: &Principal, permission: &str, team: Option<TeamId>, tags: Option<&[String]>) -> bool {
    let role = match (principal.role.as_str(), team) {
        ("global_admin", _) => "admin",
        ("global_user", Some(team)) => principal.teams.get(&team).map_or("", Role::as_str),
        _ => "",
    };
    let is_granted = ROLES.get(role).is_some_and(|granted| granted.contains(permission));
    // `satellites.exec` as a scope includes `jobs.run` and `commands.read`; `jobs.run` includes `commands.read`.
    let includes = |scope: &Permission| match (scope.as_str(), permission) {
        ("satellites.exec", "jobs.run" | "commands.read") | ("jobs.run", "commands.read") => true,
        (scope, permission) => scope == permission,
    };
    let is_in_scope = principal.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(includes));
    let has_tag = principal
        .satellite_tags
        .as_ref()
        .is_none_or(|selected| tags.is_some_and(|tags| tags.iter().any(|tag| selected.contains(tag))));
    is_granted && is_in_scope && has_tag
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn acts_sight_and_queries_agree(
        principal in a_principal(),
        permission in a_permission(),
        team in proptest::option::of((0..5_u8).prop_map(team)),
        tags in proptest::option::of(btree_set(a_tag(), 0..3)),
    ) {
        // Only what is about satellites is a row of one.
        let tags: Option<Vec<_>> = tags.filter(|_| ABOUT_SATELLITES.contains(&permission.as_str())).map(Vec::from_iter);
        let scope = match &tags {
            Some(tags) => ResourceScope::Satellite { team, tags },
            None => ResourceScope::team(team),
        };
        let expected = expected(&principal, permission.as_str(), team, tags.as_deref());
        let row = Thing { permission: permission.clone(), scope, moved_to: None };
        prop_assert_eq!(may(&principal, &permission, scope) == AccessDecision::Allow, expected, "may, {:?}", scope);
        prop_assert_eq!(may_see(&principal, &row), expected, "may_see, {:?}", scope);
        let visible = visible_scope(&principal, &permission);
        prop_assert_eq!(visible.covers(team, tags.as_deref()), expected, "a query, {:?}", scope);
        prop_assert!(!visible.is_nothing() || !expected);
        prop_assert!(permission.is_known() || !expected, "an unknown word grants nothing");
    }
}
