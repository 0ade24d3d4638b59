use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use hive_wire::TeamId;
use hive_wire::api::Team;

use super::CALLERS;
use super::fixture::Fixture;
use crate::access::{Permission, Role};
use crate::store::{ApiKeyRow, StoreError, StoreResult};

fn won<T>(results: Vec<StoreResult<T>>, what: &str) -> usize {
    let is_won = |result: &StoreResult<T>| match result {
        Ok(_) => true,
        Err(StoreError::Taken(taken)) if *taken == what => false,
        Err(error) => panic!("{error}"),
    };
    results.iter().filter(|result| is_won(result)).count()
}

pub(super) async fn a_username_is_taken_once(on: &Fixture) {
    let (username, actor) = (on.unique(), on.unique());
    let create = async |_| on.store.user_create(on.new_user(&username), on.draft_by(&actor)).await;
    assert_eq!(won(join_all((0..CALLERS).map(create)).await, "username"), 1);
    assert_eq!(on.records_by(&actor).await.len(), 1);
    let found = on.store.user_find(&username).await.unwrap().unwrap();
    assert_eq!((found.user.username.as_str(), found.password_hash.as_str()), (username.as_str(), "$argon2id$password"));
    assert_eq!(on.store.user_get(found.user.id).await.unwrap(), Some(found.user));
    assert!(on.store.user_find(&username.to_uppercase()).await.unwrap().is_none());
    assert_eq!(on.store.user_get(on.user_id()).await.unwrap(), None);
}

pub(super) async fn a_slug_is_taken_once(on: &Fixture) {
    let slug = on.unique();
    let create = async |_| {
        let team = Team { id: TeamId::new(on.source.seed()), slug: slug.clone(), created_at: on.now() };
        on.store.team_create(team, on.draft()).await
    };
    assert_eq!(won(join_all((0..CALLERS).map(create)).await, "slug"), 1);
    let teams = on.store.team_list().await.unwrap();
    assert_eq!(teams.iter().filter(|team| team.slug == slug).count(), 1);
    assert!(teams.is_sorted_by(|a, b| a.slug < b.slug));
}

pub(super) async fn a_member_is_what_was_said_last(on: &Fixture) {
    let (user, team, other) = (on.user().await.id, on.team().await, on.team().await);
    assert_eq!(on.store.team_memberships(user).await.unwrap(), []);
    for (team, role) in [(team, Role::Viewer), (other, Role::Operator), (team, Role::Admin)] {
        on.store.team_member_put(team, user, role, on.draft()).await.unwrap();
    }
    let memberships: BTreeMap<_, _> = on.store.team_memberships(user).await.unwrap().into_iter().collect();
    assert_eq!(memberships, [(team, Role::Admin), (other, Role::Operator)].into());
    let nowhere = TeamId::new(on.source.seed());
    assert!(on.store.team_member_put(nowhere, user, Role::Viewer, on.draft()).await.is_err());
}

pub(super) async fn an_api_key_reads_back_as_it_was_stored(on: &Fixture) {
    let user = on.user().await.id;
    let later = on.now().plus(Duration::from_secs(1));
    let plain = on.api_key(user);
    let scopes = Some([Permission::SatellitesRead, Permission::SatellitesExec].into());
    let limited = ApiKeyRow { scopes, expires_at: Some(later), created_at: later, ..on.api_key(user) };
    for key in [&plain, &limited] {
        on.store.api_key_create(key.clone(), on.draft()).await.unwrap();
        assert_eq!(on.store.api_key_owner(key.id).await.unwrap().unwrap().key, *key);
    }
    assert_eq!(on.store.api_key_list(user).await.unwrap(), [limited, plain], "newest first");
    assert_eq!(on.store.api_key_list(on.user().await.id).await.unwrap(), []);
}

pub(super) async fn an_api_key_names_its_owner_and_all_their_teams(on: &Fixture) {
    let (alone, member) = (on.user().await, on.user().await);
    let teams = [(on.team().await, Role::Admin), (on.team().await, Role::Viewer)];
    for (team, role) in teams {
        on.store.team_member_put(team, member.id, role, on.draft()).await.unwrap();
    }
    for (user, expected) in [(alone, BTreeMap::new()), (member, teams.into())] {
        let key = on.api_key(user.id);
        on.store.api_key_create(key.clone(), on.draft()).await.unwrap();
        let owner = on.store.api_key_owner(key.id).await.unwrap().unwrap();
        assert_eq!((owner.user, owner.teams.into_iter().collect::<BTreeMap<_, _>>()), (user, expected));
    }
}

pub(super) async fn an_api_key_is_revoked_once_and_by_its_owner(on: &Fixture) {
    let (user, stranger, actor) = (on.user().await.id, on.user().await.id, on.unique());
    let key = on.api_key(user);
    on.store.api_key_create(key.clone(), on.draft()).await.unwrap();
    let revoke = async |by| on.store.api_key_revoke(key.id, by, on.now(), on.draft_by(&actor)).await.unwrap();
    assert!(!revoke(stranger).await);
    let revoked = join_all((0..CALLERS).map(|_| revoke(user))).await;
    assert_eq!(revoked.into_iter().filter(|done| *done).count(), 1);
    assert_eq!(on.records_by(&actor).await.len(), 1);
    assert!(on.store.api_key_owner(key.id).await.unwrap().unwrap().key.revoked_at.is_some());
}
