use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use hive_store::access::{Permission, Role, VisibleTeams};
use hive_store::{
    ApiKeyRow, KeyRotation, Losses, PreviousKey, RowRange, StoreError, StoreResult, TeamPatch, UserPatch,
    UserUpdateOutcome,
};
use hive_wire::TeamId;
use hive_wire::api::{PlatformRole, Team, TeamMember, User};

use crate::CALLERS;
use crate::fixture::Fixture;

fn won<T>(results: Vec<StoreResult<T>>, what: &str) -> usize {
    let is_won = |result: &StoreResult<T>| match result {
        Ok(_) => true,
        Err(StoreError::Taken(taken)) if *taken == what => false,
        Err(error) => panic!("{error}"),
    };
    results.iter().filter(|result| is_won(result)).count()
}

pub(crate) async fn a_username_is_taken_once(on: &Fixture) {
    let (username, actor) = (on.unique(), on.unique());
    let create = async |_| on.store.user_create(on.new_user(&username), on.draft_by(&actor)).await;
    assert_eq!(won(join_all((0..CALLERS).map(create)).await, "username"), 1);
    assert_eq!(on.records_by(&actor).await.len(), 1);
    let found = on.store.user_find(&username).await.unwrap().unwrap();
    assert_eq!((found.user.username.as_str(), found.password_hash.as_str()), (username.as_str(), "$argon2id$password"));
    assert_eq!(on.store.user_get(found.user.id).await.unwrap(), Some(found));
    // Names are compared byte by byte, in every database.
    assert!(on.store.user_find(&username.to_uppercase()).await.unwrap().is_none());
    assert_eq!(on.store.user_get(on.user_id()).await.unwrap(), None);
}

pub(crate) async fn users_are_listed_by_name_and_in_pages(on: &Fixture) {
    let users = [on.user().await, on.user().await, on.user().await];
    let (all, total) = on.store.user_list(RowRange::ALL).await.unwrap();
    assert!(all.is_sorted_by(|a, b| a.username < b.username));
    assert!(users.iter().all(|user| all.contains(user)));
    let (page, _) = on.store.user_list(RowRange::part(1, 2)).await.unwrap();
    // Concurrent checks may add users.
    let (later, _) = on.store.user_list(RowRange::ALL).await.unwrap();
    assert!((all.len()..=later.len()).contains(&(total as usize)));
    assert!(page.len() == 2 && page[0].username < page[1].username);
    let is_behind_the_first = later.iter().any(|first| first.username < page[0].username);
    assert!(is_behind_the_first, "one was left out");
    assert_eq!(on.store.user_list(RowRange::part(1 << 40, 2)).await.unwrap().0, []);
}

pub(crate) async fn an_update_of_a_user_changes_what_it_names(on: &Fixture) {
    let (user, actor) = (on.user().await, on.unique());
    one_more_admin(on).await;
    let generation = async || on.store.user_get(user.id).await.unwrap().unwrap().login_generation;
    let update = async |role, disabled| {
        let patch = UserPatch { role, disabled, needed: on.needed(), now: on.now() };
        match on.store.user_update(user.id, patch, on.draft_by(&actor)).await.unwrap() {
            UserUpdateOutcome::Updated(user, _) => user,
            other => panic!("{other:?}"),
        }
    };
    let before = generation().await;
    assert_eq!(update(None, None).await, user);
    assert_eq!(update(Some(PlatformRole::GlobalAdmin), None).await.role, PlatformRole::GlobalAdmin);
    assert_eq!(update(Some(PlatformRole::GlobalUser), None).await, user);
    assert_eq!(generation().await, before, "logins live on");
    let disabled = update(None, Some(true)).await;
    assert!(disabled.disabled_at.is_some() && disabled.role == user.role);
    // Disabling twice keeps the first time.
    assert_eq!(update(None, Some(true)).await, disabled, "since then and not since now");
    assert_eq!(generation().await, before + 1, "logins ended once");
    let key = on.api_key(user.id);
    on.store.api_key_create(key.clone(), on.draft()).await.unwrap();
    assert_eq!(on.store.api_key_owner(key.id).await.unwrap().unwrap().user, disabled);
    assert_eq!(update(None, Some(false)).await, user);
    assert_eq!(generation().await, before + 1, "and stay ended");
    assert_eq!(on.records_by(&actor).await.len(), 6);
    let patch = UserPatch { role: None, disabled: Some(true), needed: on.needed(), now: on.now() };
    let unknown = on.store.user_update(on.user_id(), patch, on.draft_by(&actor)).await.unwrap();
    assert_eq!((unknown, on.records_by(&actor).await.len()), (UserUpdateOutcome::Unknown, 6));
}

/// Creates an admin who remains one.
async fn one_more_admin(on: &Fixture) {
    let patch = UserPatch { role: Some(PlatformRole::GlobalAdmin), disabled: None, needed: on.needed(), now: on.now() };
    let updated = on.store.user_update(on.user().await.id, patch, on.draft()).await.unwrap();
    assert!(matches!(updated, UserUpdateOutcome::Updated(..)));
}

/// Two processes disable and demote two admins concurrently, many times.
///
/// There are no other admins in the store: the other checks of two processes create none.
pub(crate) async fn two_processes_leave_one_admin(one: &Fixture, other: &Fixture) {
    let (anna, bert) = (one.user().await.id, one.user().await.id);
    let update = async |on: &Fixture, id, role, disabled| {
        let patch = UserPatch { role: Some(role), disabled: Some(disabled), needed: on.needed(), now: on.now() };
        on.store.user_update(id, patch, on.draft()).await.unwrap()
    };
    let is_done = |updated: &UserUpdateOutcome| matches!(updated, UserUpdateOutcome::Updated(..));
    for round in 0..8 {
        for id in [anna, bert] {
            assert!(is_done(&update(one, id, PlatformRole::GlobalAdmin, false).await));
        }
        // One is disabled, the other demoted. The second change is refused.
        let disable = update(one, anna, PlatformRole::GlobalAdmin, true);
        let demote = update(other, bert, PlatformRole::GlobalUser, round % 2 == 0);
        let (disabled, demoted) = futures_util::join!(disable, demote);
        assert!(is_done(&disabled) != is_done(&demoted), "{disabled:?} {demoted:?}");
        assert!([disabled, demoted].contains(&UserUpdateOutcome::LastAdmin));
    }
    for id in [anna, bert] {
        // The remaining admin stays one. A user who is none may be changed.
        update(one, id, PlatformRole::GlobalUser, true).await;
    }
    let (users, _) = one.store.user_list(RowRange::ALL).await.unwrap();
    let is_admin = |user: &&User| user.role == PlatformRole::GlobalAdmin && user.disabled_at.is_none();
    assert_eq!(users.iter().filter(is_admin).count(), 1);
}

pub(crate) async fn a_password_is_changed_once_from_its_current_hash(on: &Fixture) {
    let (user, actor) = (on.user().await.id, on.unique());
    let row = async || on.store.user_get(user).await.unwrap().unwrap();
    let first = row().await;
    let set = async |hash: String, before: Option<&str>| {
        let before = before.map(str::to_owned);
        on.store.user_password_set(user, hash, before, on.draft_by(&actor)).await.unwrap()
    };
    let change = async |n| set(format!("$argon2id${n}"), Some(&first.password_hash)).await;
    let changed = join_all((0..CALLERS).map(change)).await;
    assert_eq!(changed.into_iter().filter(|done| *done).count(), 1);
    assert_eq!((row().await.login_generation, on.records_by(&actor).await.len()), (first.login_generation + 1, 1));
    // An admin sets a password without the current one.
    assert!(set("$argon2id$reset".into(), None).await);
    let last = row().await;
    assert_eq!((&*last.password_hash, last.login_generation), ("$argon2id$reset", first.login_generation + 2));
    assert!(!on.store.user_password_set(on.user_id(), "x".into(), None, on.draft_by(&actor)).await.unwrap());
    assert_eq!(on.records_by(&actor).await.len(), 2);
}

pub(crate) async fn a_slug_is_taken_once(on: &Fixture) {
    let slug = on.unique();
    let create = async |_| {
        let team =
            Team { id: TeamId::new(on.seed()), slug: slug.clone(), created_at: on.now(), team_user: Role::Viewer };
        on.store.team_create(team, on.draft()).await
    };
    assert_eq!(won(join_all((0..CALLERS).map(create)).await, "slug"), 1);
    let teams = on.store.team_list(&VisibleTeams::All, RowRange::ALL).await.unwrap().0;
    assert_eq!(teams.iter().filter(|team| team.slug == slug).count(), 1);
    assert!(teams.is_sorted_by(|a, b| a.slug < b.slug));
    let created = teams.into_iter().find(|team| team.slug == slug).unwrap();
    assert_eq!(on.store.team_get(created.id).await.unwrap(), Some(created));
    assert_eq!(on.store.team_get(TeamId::new(on.seed())).await.unwrap(), None);
}

pub(crate) async fn a_member_has_the_last_role(on: &Fixture) {
    let (user, team, other) = (on.user().await.id, on.team().await, on.team().await);
    assert_eq!(on.store.team_memberships(user).await.unwrap(), []);
    for (team, role) in [(team, Role::Viewer), (other, Role::Operator), (team, Role::Admin)] {
        on.store.team_member_put(team, user, role, on.needed(), on.draft()).await.unwrap();
    }
    let memberships: BTreeMap<_, _> = on.store.team_memberships(user).await.unwrap().into_iter().collect();
    assert_eq!(memberships, [(team, Role::Admin), (other, Role::Operator)].into());
    // A foreign key refuses a team that does not exist.
    let nowhere = TeamId::new(on.seed());
    assert!(on.store.team_member_put(nowhere, user, Role::Viewer, on.needed(), on.draft()).await.is_err());
}

pub(crate) async fn a_member_may_follow_what_the_team_says(on: &Fixture) {
    let (user, fixed, team) = (on.user().await.id, on.user().await.id, on.team().await);
    on.store.team_member_put(team, user, Role::of_team_user(), on.needed(), on.draft()).await.unwrap();
    on.store.team_member_put(team, fixed, Role::Operator, on.needed(), on.draft()).await.unwrap();
    let key = on.api_key(user);
    on.store.api_key_create(key.clone(), on.draft()).await.unwrap();
    for role in [Role::Viewer, Role::Operator, Role::Viewer] {
        let patch = TeamPatch { team_user: Some(role.clone()) };
        let (changed, lost) =
            on.store.team_update(team, patch, on.needed(), on.draft()).await.unwrap().expect("it exists");
        assert_eq!((changed.id, &changed.team_user), (team, &role));
        assert_eq!(lost.iter().map(|lost| lost.user).collect::<Vec<_>>(), [user], "the one who follows it");
        assert_eq!(on.store.team_get(team).await.unwrap(), Some(changed));
        assert_eq!(on.store.team_memberships(user).await.unwrap(), [(team, role.clone())]);
        assert_eq!(on.store.team_memberships(fixed).await.unwrap(), [(team, Role::Operator)]);
        assert_eq!(on.store.api_key_owner(key.id).await.unwrap().unwrap().teams, [(team, role.clone())]);
        let members = on.store.team_member_list(team, RowRange::ALL).await.unwrap().0;
        let follower = members.into_iter().find(|member| member.user_id == user).unwrap();
        assert_eq!((follower.role, follower.follows_team), (role, true));
    }
    let unknown = on.store.team_update(TeamId::new(on.seed()), TeamPatch::default(), on.needed(), on.draft()).await;
    assert_eq!(unknown.unwrap(), None);
}

pub(crate) async fn members_are_listed_by_name_and_removed_once(on: &Fixture) {
    let (team, actor) = (on.team().await, on.unique());
    assert_eq!(on.store.team_member_list(team, RowRange::ALL).await.unwrap().0, []);
    let mut expected = Vec::new();
    for role in [Role::Admin, Role::Viewer, Role::Operator] {
        let user = on.user().await;
        on.store.team_member_put(team, user.id, role.clone(), on.needed(), on.draft()).await.unwrap();
        expected.push(TeamMember { user_id: user.id, username: user.username, role, follows_team: false });
    }
    expected.sort_by(|a, b| a.username.cmp(&b.username));
    assert_eq!(on.store.team_member_list(team, RowRange::ALL).await.unwrap().0, expected);
    let gone = expected.remove(1).user_id;
    let remove =
        async |_| on.store.team_member_remove(team, gone, on.needed(), on.draft_by(&actor)).await.unwrap().is_some();
    let removed = join_all((0..CALLERS).map(remove)).await;
    assert_eq!((removed.into_iter().filter(|done| *done).count(), on.records_by(&actor).await.len()), (1, 1));
    assert_eq!(on.store.team_member_list(team, RowRange::ALL).await.unwrap().0, expected);
    assert_eq!(on.store.team_memberships(gone).await.unwrap(), []);
}

pub(crate) async fn an_api_key_reads_back_as_it_was_stored(on: &Fixture) {
    let user = on.user().await.id;
    let later = on.now().plus(Duration::from_secs(1));
    let plain = on.api_key(user);
    let scopes = Some([Permission::SatellitesRead, Permission::SatellitesExec].into());
    let limited = ApiKeyRow {
        parent: Some(plain.id),
        previous: Some(PreviousKey { hash: "$argon2id$old".into(), until: later }),
        scopes,
        satellite_tags: Some(["staging".to_owned()].into()),
        addresses: Some(vec!["192.0.2.0/24".into(), "2001:db8::/32".into()]),
        rate_per_minute: Some(120),
        expires_at: Some(later),
        created_at: later,
        last_used_at: Some(later),
        ..on.api_key(user)
    };
    for key in [&plain, &limited] {
        on.store.api_key_create(key.clone(), on.draft()).await.unwrap();
        assert_eq!(on.store.api_key_owner(key.id).await.unwrap().unwrap().key, *key);
    }
    assert_eq!(on.store.api_key_list(user, RowRange::ALL).await.unwrap().0, [limited, plain], "newest first");
    assert_eq!(on.store.api_key_list(on.user().await.id, RowRange::ALL).await.unwrap().0, []);
}

pub(crate) async fn an_api_key_is_read_with_its_owner_and_their_teams(on: &Fixture) {
    let (alone, member) = (on.user().await, on.user().await);
    let teams = [(on.team().await, Role::Admin), (on.team().await, Role::Viewer)];
    for (team, role) in teams.clone() {
        on.store.team_member_put(team, member.id, role, on.needed(), on.draft()).await.unwrap();
    }
    for (user, expected) in [(alone, BTreeMap::new()), (member, teams.into())] {
        let key = on.api_key(user.id);
        on.store.api_key_create(key.clone(), on.draft()).await.unwrap();
        let owner = on.store.api_key_owner(key.id).await.unwrap().unwrap();
        assert_eq!((owner.user, owner.teams.into_iter().collect::<BTreeMap<_, _>>()), (user, expected));
    }
}

pub(crate) async fn an_api_key_is_revoked_once_and_by_its_owner(on: &Fixture) {
    let (user, stranger, actor) = (on.user().await.id, on.user().await.id, on.unique());
    let key = on.api_key(user);
    on.store.api_key_create(key.clone(), on.draft()).await.unwrap();
    let revoke = async |by| on.store.api_key_revoke(key.id, by, on.now(), on.draft_by(&actor)).await.unwrap();
    assert!(revoke(stranger).await.is_none());
    let revoked = join_all((0..CALLERS).map(|_| revoke(user))).await;
    assert_eq!(revoked.into_iter().flatten().collect::<Vec<_>>(), [Losses::default()]);
    assert_eq!(on.records_by(&actor).await.len(), 1);
    assert!(on.store.api_key_owner(key.id).await.unwrap().unwrap().key.revoked_at.is_some());
}

pub(crate) async fn a_valid_api_key_is_rotated_by_its_owner(on: &Fixture) {
    let (user, stranger, actor) = (on.user().await.id, on.user().await.id, on.unique());
    let soon = on.now().plus(Duration::from_mins(1));
    let key = ApiKeyRow { expires_at: Some(soon), ..on.api_key(user) };
    on.store.api_key_create(key.clone(), on.draft()).await.unwrap();
    let rotate = async |by, now| {
        let rotation = KeyRotation { hash: "$argon2id$new".into(), overlap_until: None, now };
        on.store.api_key_rotate(key.id, by, rotation, on.draft_by(&actor)).await.unwrap()
    };
    assert_eq!(rotate(stranger, on.now()).await, None);
    assert_eq!(rotate(user, soon).await, None, "it has expired");
    let rotated = ApiKeyRow { hash: "$argon2id$new".into(), ..key.clone() };
    assert_eq!(rotate(user, on.now()).await.as_ref(), Some(&rotated));
    assert_eq!(on.store.api_key_owner(key.id).await.unwrap().unwrap().key, rotated);
    assert!(on.store.api_key_revoke(key.id, user, on.now(), on.draft()).await.unwrap().is_some());
    assert_eq!(rotate(user, on.now()).await, None, "it was revoked");
    assert_eq!(on.records_by(&actor).await.len(), 1);
}

pub(crate) async fn the_secret_before_goes_on_for_the_overlap(on: &Fixture) {
    let user = on.user().await.id;
    let (key, until) = (on.api_key(user), on.now().plus(Duration::from_mins(1)));
    on.store.api_key_create(key.clone(), on.draft()).await.unwrap();
    let rotate = async |hash: &str, overlap_until| {
        let rotation = KeyRotation { hash: hash.into(), overlap_until, now: on.now() };
        let row = on.store.api_key_rotate(key.id, user, rotation, on.draft()).await.unwrap().unwrap();
        (row.hash, row.previous)
    };
    let previous = |hash: &str| Some(PreviousKey { hash: hash.into(), until });
    assert_eq!(rotate("second", Some(until)).await, ("second".into(), previous(&key.hash)));
    assert_eq!(rotate("third", Some(until)).await, ("third".into(), previous("second")), "one before, and not two");
    assert_eq!(rotate("fourth", None).await, ("fourth".into(), None));
}

pub(crate) async fn the_last_use_of_a_key_never_goes_back(on: &Fixture) {
    let user = on.user().await.id;
    let (key, now) = (on.api_key(user), on.now());
    on.store.api_key_create(key.clone(), on.draft()).await.unwrap();
    for (at, expected) in [(now, now), (now.minus(Duration::from_secs(9)), now)] {
        on.store.api_key_note_used(vec![(key.id, at)]).await.unwrap();
        let stored = on.store.api_key_owner(key.id).await.unwrap().unwrap().key;
        assert_eq!(stored.last_used_at, Some(expected));
    }
}
