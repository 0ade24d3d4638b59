//! What is revoked together with a right.

use hive_store::access::Role;
use hive_store::{
    ApiKeyRow, Losses, NewRegistrationTokenRow, RowRange, SatelliteRow, TeamPatch, UserPatch, UserUpdateOutcome,
};
use hive_wire::api::{Actor, CommandStatus, CommandType, PlatformRole, TokenScope};
use hive_wire::{ApiKeyId, CommandId, RegistrationTokenId, TeamId, UserId};

use crate::fixture::{DAY, Fixture};

/// What one author has made in a team.
struct AuthoredWork {
    queued: CommandId,
    power: CommandId,
    delivered: CommandId,
    token: RegistrationTokenId,
}

async fn work_of(on: &Fixture, author: &str, satellite: &SatelliteRow) -> AuthoredWork {
    let actor = Actor { kind: "user".into(), id: author.into(), name: "anna".into(), ip: None };
    let command = || on.new_command(satellite.id).actor(actor.clone());
    let token = NewRegistrationTokenRow {
        id: RegistrationTokenId::new(on.seed()),
        scope: TokenScope::Team,
        team_id: satellite.team_id,
        description: None,
        actor: actor.clone(),
        authorised_by: hive_store::access::Authority::Role,
        tags: Vec::new(),
        allowed_tags: Vec::new(),
        for_satellite: None,
        created_at: on.now(),
        expires_at: on.now().plus(DAY),
    };
    let id = token.id;
    on.store.registration_token_create(token, on.draft()).await.unwrap();
    let delivery = hive_store::Delivery { journal_id: "j".into(), at: on.now(), expires_at: None };
    let delivered = on.insert(command()).await;
    // What its satellite has cannot be taken back, and is never counted among the losses.
    assert!(on.store.command_deliver(delivered, delivery).await.unwrap());
    AuthoredWork {
        queued: on.insert(command()).await,
        power: on.insert(command().command_type(CommandType::Power)).await,
        delivered,
        token: id,
    }
}

async fn status(on: &Fixture, id: CommandId) -> CommandStatus {
    on.stored(id).await.status
}

async fn is_revoked(on: &Fixture, token: RegistrationTokenId) -> bool {
    on.store.registration_token_get(token).await.unwrap().unwrap().revoked_at.is_some()
}

/// Checks which of the work is left.
async fn expect(on: &Fixture, work: &AuthoredWork, [queued, power, token]: [bool; 3]) {
    let status_of = |is_left| if is_left { CommandStatus::Queued } else { CommandStatus::Cancelled };
    assert_eq!(status(on, work.queued).await, status_of(queued), "queued command");
    assert_eq!(status(on, work.power).await, status_of(power), "queued power command");
    assert_eq!(status(on, work.delivered).await, CommandStatus::Delivered, "its satellite has it");
    assert_eq!(!is_revoked(on, work.token).await, token, "registration token");
}

fn counts(losses: &Losses) -> (usize, u64, u64) {
    (losses.commands.len(), losses.registration_tokens, losses.api_keys)
}

async fn update(on: &Fixture, user: UserId, role: Option<PlatformRole>, disabled: Option<bool>) -> Losses {
    let patch = UserPatch { role, disabled, needed: on.needed(), now: on.now() };
    match on.store.user_update(user, patch, on.draft()).await.unwrap() {
        UserUpdateOutcome::Updated(_, losses) => losses,
        other => panic!("{other:?}"),
    }
}

async fn put(on: &Fixture, team: TeamId, user: UserId, role: Role) -> Losses {
    on.store.team_member_put(team, user, role, on.needed(), on.draft()).await.unwrap()
}

pub(crate) async fn a_lower_role_ends_what_needs_a_higher_one(on: &Fixture) {
    let (satellite, elsewhere, user) = (on.satellite().await, on.satellite().await, on.user().await.id);
    let (team, other) = (satellite.team_id.unwrap(), elsewhere.team_id.unwrap());
    for team in [team, other] {
        assert_eq!(put(on, team, user, Role::Admin).await, Losses::default());
    }
    let (here, there) =
        (work_of(on, &user.to_string(), &satellite).await, work_of(on, &user.to_string(), &elsewhere).await);
    let strangers = work_of(on, &on.unique(), &satellite).await;
    // Operators run commands, but neither power commands nor tokens are theirs.
    assert_eq!(counts(&put(on, team, user, Role::Operator).await), (1, 1, 0), "the power command and the token");
    expect(on, &here, [true, false, false]).await;
    assert_eq!(counts(&put(on, team, user, Role::Viewer).await), (1, 0, 0));
    expect(on, &here, [false, false, false]).await;
    let error = on.stored(here.queued).await.end.error.unwrap();
    assert!(error.message.starts_with("actor_disabled"), "{error:?}");
    let removed = on.store.team_member_remove(other, user, on.needed(), on.draft()).await.unwrap();
    assert_eq!(removed.as_ref().map(counts), Some((2, 1, 0)));
    expect(on, &there, [false, false, false]).await;
    expect(on, &strangers, [true, true, true]).await;
}

pub(crate) async fn what_a_team_takes_from_its_users_ends_what_needed_it(on: &Fixture) {
    let (satellite, user) = (on.satellite().await, on.user().await.id);
    let team = satellite.team_id.unwrap();
    let means = async |role| {
        let patch = TeamPatch { team_user: Some(role) };
        on.store.team_update(team, patch, on.needed(), on.draft()).await.unwrap().unwrap().1
    };
    put(on, team, user, Role::of_team_user()).await;
    means(Role::Operator).await;
    let work = work_of(on, &user.to_string(), &satellite).await;
    let lost = means(Role::Viewer).await;
    assert_eq!(lost.iter().map(|lost| counts(&lost.losses)).collect::<Vec<_>>(), [(2, 1, 0)]);
    expect(on, &work, [false, false, false]).await;
}

pub(crate) async fn a_demoted_admin_keeps_what_the_teams_allow(on: &Fixture) {
    let (satellite, elsewhere, user) = (on.satellite().await, on.satellite().await, on.user().await.id);
    // Another admin: the store does not take the last one away.
    let keeper = on.user().await.id;
    for admin in [user, keeper] {
        update(on, admin, Some(PlatformRole::GlobalAdmin), None).await;
    }
    put(on, satellite.team_id.unwrap(), user, Role::Operator).await;
    let (here, there) =
        (work_of(on, &user.to_string(), &satellite).await, work_of(on, &user.to_string(), &elsewhere).await);
    let losses = update(on, user, Some(PlatformRole::GlobalUser), None).await;
    assert_eq!(counts(&losses), (3, 2, 0));
    expect(on, &here, [true, false, false]).await;
    expect(on, &there, [false, false, false]).await;
}

pub(crate) async fn who_is_disabled_loses_queued_work_and_tokens_and_keeps_keys(on: &Fixture) {
    let (satellite, user, actor) = (on.satellite().await, on.user().await.id, on.unique());
    put(on, satellite.team_id.unwrap(), user, Role::Admin).await;
    let key = on.api_key(user);
    on.store.api_key_create(key.clone(), on.draft()).await.unwrap();
    let (own, by_key) =
        (work_of(on, &user.to_string(), &satellite).await, work_of(on, &key.id.to_string(), &satellite).await);
    let patch = UserPatch { role: None, disabled: Some(true), needed: on.needed(), now: on.now() };
    let UserUpdateOutcome::Updated(_, losses) = on.store.user_update(user, patch, on.draft_by(&actor)).await.unwrap()
    else {
        panic!("not updated");
    };
    assert_eq!(counts(&losses), (4, 2, 0));
    for work in [own, by_key] {
        expect(on, &work, [false, false, false]).await;
    }
    let details = on.records_by(&actor).await.pop().unwrap().details;
    assert_eq!(details["revoked"]["reason"], "actor_disabled", "{details}");
    assert_eq!((&details["revoked"]["commands"], &details["revoked"]["registration_tokens"]), (&4.into(), &2.into()));
    // What was cancelled stays cancelled.
    assert_eq!(update(on, user, None, Some(false)).await, Losses::default());
    assert!(on.store.api_key_owner(key.id).await.unwrap().unwrap().key.revoked_at.is_none(), "it is valid again");
}

pub(crate) async fn what_was_made_with_a_key_dies_with_it(on: &Fixture) {
    let (satellite, user) = (on.satellite().await, on.user().await.id);
    let key = async |parent: Option<ApiKeyId>| {
        let key = ApiKeyRow { parent, ..on.api_key(user) };
        on.store.api_key_create(key.clone(), on.draft()).await.unwrap();
        key.id
    };
    let root = key(None).await;
    let child = key(Some(root)).await;
    let grandchild = key(Some(child)).await;
    let other = key(None).await;
    let (made, kept) =
        (work_of(on, &grandchild.to_string(), &satellite).await, work_of(on, &other.to_string(), &satellite).await);
    let losses = on.store.api_key_revoke(root, user, on.now(), on.draft()).await.unwrap().unwrap();
    assert_eq!(counts(&losses), (2, 1, 2));
    expect(on, &made, [false, false, false]).await;
    expect(on, &kept, [true, true, true]).await;
    let revoked =
        on.store.api_key_list(user, RowRange::ALL).await.unwrap().0.into_iter().filter(|key| key.revoked_at.is_some());
    assert_eq!(revoked.count(), 3);
}
