//! Users, teams, keys and tokens.

use hive_core::access::Role;
use hive_core::hive::VerifyMode;
use hive_core::wire::ErrorCode;
use hive_core::wire::api::{
    ApiKeyCreate, ApiKeyRotate, LoginRequest, PageRequest, PasswordChange, PlatformRole, RegistrationTokenCreate,
    TeamCreate, TeamMemberPut, TokenScope, UserCreate, UserUpdate,
};
use hive_core::wire::credential::Secret;

use super::world::request;
use super::{BehaviourWorld, claims};

claims!(
    who_one_is,
    users_are_added_found_and_changed,
    a_password_is_reset_and_changed,
    members_of_a_team,
    keys_are_made_rotated_and_revoked,
    tokens_are_made_used_and_revoked,
);

async fn who_one_is(world: BehaviourWorld) {
    let me = world.api().identity().me().await.unwrap();
    assert_eq!((me.user.id, me.api_key_id), (world.admin.user, Some(world.admin.key)));
    assert_eq!((me.user.username.as_str(), me.user.role), ("admin", PlatformRole::GlobalAdmin));
    world.end().await;
}

async fn users_are_added_found_and_changed(world: BehaviourWorld) {
    let api = world.api();
    let create = |username: &str, role| UserCreate { username: username.into(), role };
    let olga = api.identity().user_create(create("olga", PlatformRole::GlobalUser)).await.unwrap();
    let anna = api.identity().user_create(create("anna@example.com", PlatformRole::GlobalAdmin)).await.unwrap();
    assert!(olga.password.0.len() >= 20 && olga.password != anna.password);
    let page = async |page| api.identity().user_list(PageRequest::numbered(page, 2)).await.unwrap();
    let (first, second) = (page(1).await, page(2).await);
    assert_eq!((first.total, second.page, second.per_page), (3, Some(2), 2));
    let names: Vec<_> = first.items.iter().chain(&second.items).map(|user| user.username.as_str()).collect();
    assert_eq!(names, ["admin", "anna@example.com", "olga"]);
    assert_eq!(api.identity().user_get(olga.user.id).await.unwrap(), Some(olga.user.clone()));
    assert_eq!(api.identity().user_get(world.nobody()).await.unwrap(), None);

    let raise = UserUpdate { role: Some(PlatformRole::GlobalAdmin), disabled: None };
    assert_eq!(api.identity().user_update(olga.user.id, raise).await.unwrap().role, PlatformRole::GlobalAdmin);
    let disable = UserUpdate { role: None, disabled: Some(true) };
    let disabled = api.identity().user_update(olga.user.id, disable.clone()).await.unwrap();
    assert!(disabled.disabled_at.is_some() && disabled.role == PlatformRole::GlobalAdmin);
    assert_eq!(api.identity().user_update(olga.user.id, UserUpdate::default()).await.unwrap().value, disabled.value);
    api.identity().user_update(anna.user.id, disable.clone()).await.unwrap();
    // The two other admins are disabled by now.
    let last = api.identity().user_update(world.admin.user, disable).await.unwrap_err();
    assert_eq!(last.code(), ErrorCode::Conflict, "the last admin");
    assert_eq!(
        api.identity()
            .user_update(olga.user.id, UserUpdate { role: Some(PlatformRole::GlobalUser), disabled: Some(false) })
            .await
            .unwrap()
            .value,
        olga.user
    );
    world.end().await;
}

async fn a_password_is_reset_and_changed(world: BehaviourWorld) {
    let is_let_in = async |username: &str, password: &Secret| {
        let request = LoginRequest { username: username.into(), password: password.0.clone() };
        world.hive.login(request, None, VerifyMode::Full).await.is_ok()
    };
    let somebody = world.somebody("olga", &[]).await;
    let reset = world.api().identity().user_password_reset(somebody.user).await.unwrap().password;
    assert!(is_let_in("olga", &reset).await);
    let new = Secret("the sea is — 7 miles — away".into());
    let change = PasswordChange { current: reset.clone(), new: new.clone() };
    somebody.api.identity().password_change(change).await.unwrap();
    assert!(is_let_in("olga", &new).await && !is_let_in("olga", &reset).await);
    somebody.api.identity().me().await.expect("the key is still good");
    world.end().await;
}

async fn members_of_a_team(world: BehaviourWorld) {
    let team = world.api().identity().team_create(TeamCreate { slug: "ops".into() }).await.unwrap();
    let other = world.api().identity().team_create(TeamCreate { slug: "dev".into() }).await.unwrap();
    let adam = world.somebody("adam", &[(team.id, Role::Admin)]).await;
    world.somebody("olga", &[]).await;
    let put = |username: &str, role| TeamMemberPut { username: username.into(), role };
    let olga = adam.api.identity().team_member_put(team.id, put("olga", Role::Viewer)).await.unwrap();
    assert_eq!((olga.username.as_str(), olga.role.clone()), ("olga", Role::Viewer));
    let raised = adam.api.identity().team_member_put(team.id, put("olga", Role::Operator)).await.unwrap();
    assert_eq!((raised.user_id, raised.role.clone()), (olga.user_id, Role::Operator));
    let members = adam.api.identity().team_member_list(team.id).await.unwrap();
    assert_eq!(members.iter().map(|member| member.username.as_str()).collect::<Vec<_>>(), ["adam", "olga"]);
    assert_eq!(members, world.api().identity().team_member_list(team.id).await.unwrap());
    adam.api.identity().team_member_remove(team.id, olga.user_id).await.unwrap();
    assert_eq!(adam.api.identity().team_member_list(team.id).await.unwrap().len(), 1);
    assert_eq!(adam.api.identity().team_list().await.unwrap(), std::slice::from_ref(&team));
    assert_eq!(world.api().identity().team_list().await.unwrap(), [other, team]);
    world.end().await;
}

async fn keys_are_made_rotated_and_revoked(world: BehaviourWorld) {
    let wanted = ApiKeyCreate { name: "für \"ci\"".into(), expires_in_hours: Some(24), ..ApiKeyCreate::default() };
    let made = world.api().identity().api_key_create(wanted).await.unwrap();
    assert_eq!((made.info.name.as_str(), made.info.user_id), ("für \"ci\"", world.admin.user));
    assert!(made.info.expires_at.is_some_and(|end| end > made.info.created_at));
    let listed = world.api().identity().api_key_list().await.unwrap();
    assert_eq!((listed.len(), &listed[0]), (2, &made.info), "newest first");
    let first = world.by_key(&made.api_key).await;
    assert_eq!(first.identity().me().await.unwrap().api_key_id, Some(made.info.id));
    let rotated = world.api().identity().api_key_rotate(made.info.id, ApiKeyRotate::default()).await.unwrap();
    assert!(rotated.info.id == made.info.id && rotated.info.expires_at == made.info.expires_at);
    assert!(rotated.info.last_used_at.is_some() && rotated.api_key != made.api_key);
    let second = world.by_key(&rotated.api_key).await;
    second.identity().api_key_revoke(made.info.id).await.unwrap();
    assert!(world.api().identity().api_key_list().await.unwrap()[0].revoked_at.is_some());
    world.end().await;
}

async fn tokens_are_made_used_and_revoked(world: BehaviourWorld) {
    let (api, team) = (world.api(), world.team("ops").await);
    let wanted = |scope, team_id| RegistrationTokenCreate {
        scope,
        team_id,
        expires_in_hours: Some(2),
        description: Some("rack 7".into()),
        ..RegistrationTokenCreate::global()
    };
    let global = api.identity().registration_token_create(wanted(TokenScope::Global, None)).await.unwrap();
    let of_team = api.identity().registration_token_create(wanted(TokenScope::Team, Some(team))).await.unwrap();
    assert!(global.token.starts_with("hive_satellite_global_") && of_team.token.starts_with("hive_satellite_team_"));
    api.identity().registration_token_revoke(of_team.token_id).await.unwrap();
    api.satellites().register(global.token.into(), request("web-server-01")).await.unwrap();
    let listed = api.identity().registration_token_list().await.unwrap();
    let [second, first] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((first.token_id, first.scope.clone(), first.team_id), (global.token_id, TokenScope::Global, None));
    assert_eq!((second.token_id, second.team_id), (of_team.token_id, Some(team)));
    assert!(first.used_at.is_some() && first.revoked_at.is_none());
    assert!(second.used_at.is_none() && second.revoked_at.is_some());
    assert_eq!((first.created_by.as_str(), first.description.as_deref()), ("admin", Some("rack 7")));
    world.end().await;
}
