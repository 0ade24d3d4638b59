//! What users are refused, and from when on.

use std::time::Duration;

use hive_wire::ErrorCode;
use hive_wire::api::{
    ApiKeyCreate, ApiKeyRotate, LoginRequest, NewUser, PageRequest, PasswordChange, PlatformRole, SatelliteFilter,
    TeamCreate, TeamMemberPut, UserCreate, UserUpdate,
};
use hive_wire::credential::Secret;

use crate::access::{Permission, Principal, Role};
use crate::hive::tests::hive;
use crate::hive::{ActingHive, Hive, Settings};
use crate::identity::authentication::VerifyMode;
use crate::{Error, Result, Subscription};

const STRONG: &str = "a long word of one's own";

async fn add(hive: &Hive, name: &str, role: PlatformRole) -> NewUser {
    hive.as_system().identity().user_create(UserCreate { username: name.into(), role }).await.unwrap()
}

async fn log_in(hive: &Hive, name: &str, password: &str) -> Result<ActingHive> {
    let request = LoginRequest { username: name.into(), password: password.into() };
    let token = hive.login(request, None, VerifyMode::Full).await?.token;
    use_login(hive, &token).await
}

async fn use_login(hive: &Hive, token: &str) -> Result<ActingHive> {
    Ok(hive.acting_as(hive.authenticate_jwt(token, None).await?))
}

async fn use_key(hive: &Hive, key: &str) -> Result<ActingHive> {
    Ok(hive.acting_as(hive.authenticate_api_key(key, None, VerifyMode::Full).await?))
}

fn check_refused<T>(result: Result<T>, code: ErrorCode) {
    assert_eq!(result.err().map(|error| error.code()), Some(code));
}

fn change(current: &str, new: &str) -> PasswordChange {
    PasswordChange { current: Secret(current.into()), new: Secret(new.into()) }
}

#[tokio::test]
async fn who_is_disabled_is_refused_everywhere_at_once() {
    let hive = hive().await;
    let system = hive.as_system();
    let NewUser { user, password } = add(&hive, "olga", PlatformRole::GlobalUser).await;
    let request = LoginRequest { username: "olga".into(), password: password.0.clone() };
    let login = hive.login(request, None, VerifyMode::Full).await.unwrap().token;
    let key = use_login(&hive, &login)
        .await
        .unwrap()
        .identity()
        .api_key_create(ApiKeyCreate::default())
        .await
        .unwrap()
        .api_key;
    use_key(&hive, &key).await.unwrap();
    let set = async |disabled| {
        let update = UserUpdate { role: None, disabled: Some(disabled) };
        system.identity().user_update(user.id, update).await.unwrap()
    };
    let disabled = set(true).await;
    assert!(disabled.disabled_at.is_some() && disabled.revoked.is_none());
    check_refused(use_login(&hive, &login).await, ErrorCode::AuthInvalid);
    check_refused(use_key(&hive, &key).await, ErrorCode::AuthInvalid);
    check_refused(log_in(&hive, "olga", &password.0).await, ErrorCode::AuthInvalid);
    // Enabled again: earlier logins stay void, and keys are valid again.
    assert_eq!(set(false).await.value, user);
    check_refused(use_login(&hive, &login).await, ErrorCode::AuthInvalid);
    use_key(&hive, &key).await.unwrap();
    log_in(&hive, "olga", &password.0).await.unwrap();
}

#[tokio::test]
async fn the_last_admin_stays_one() {
    let hive = hive().await;
    let anna = add(&hive, "anna", PlatformRole::GlobalAdmin).await.user;
    let system = hive.as_system();
    let demoted = UserUpdate { role: Some(PlatformRole::GlobalUser), disabled: None };
    let disabled = UserUpdate { role: None, disabled: Some(true) };
    for update in [demoted.clone(), disabled.clone()] {
        check_refused(system.identity().user_update(anna.id, update).await, ErrorCode::Conflict);
    }
    let bert = add(&hive, "bert", PlatformRole::GlobalAdmin).await.user;
    system.identity().user_update(anna.id, disabled).await.unwrap();
    check_refused(system.identity().user_update(bert.id, demoted).await, ErrorCode::Conflict);
}

#[tokio::test]
async fn another_password_ends_all_logins_and_no_key() {
    let hive = hive().await;
    let NewUser { user, password } = add(&hive, "olga", PlatformRole::GlobalUser).await;
    let olga = log_in(&hive, "olga", &password.0).await.unwrap();
    let key = olga.identity().api_key_create(ApiKeyCreate::default()).await.unwrap().api_key;
    for (current, new, field) in [("wrong", STRONG, "current"), (&password.0, "password123", "new")] {
        let refused = olga.identity().password_change(change(current, new)).await;
        assert!(matches!(refused, Err(Error::InvalidInput { field: named, .. }) if named == field));
    }
    olga.identity().password_change(change(&password.0, STRONG)).await.unwrap();
    check_refused(log_in(&hive, "olga", &password.0).await, ErrorCode::AuthInvalid);
    log_in(&hive, "olga", STRONG).await.unwrap();
    use_key(&hive, &key).await.unwrap();
    let reset = hive.as_system().identity().user_password_reset(user.id).await.unwrap().password;
    check_refused(log_in(&hive, "olga", STRONG).await, ErrorCode::AuthInvalid);
    log_in(&hive, "olga", &reset.0).await.unwrap();
}

#[tokio::test]
async fn who_runs_no_hive_knows_of_no_users() {
    let hive = hive().await;
    let (anna, olga) =
        (add(&hive, "anna", PlatformRole::GlobalAdmin).await, add(&hive, "olga", PlatformRole::GlobalUser).await);
    let acting = log_in(&hive, "olga", &olga.password.0).await.unwrap();
    check_refused(acting.identity().user_list(PageRequest::default()).await, ErrorCode::Forbidden);
    let more = UserCreate { username: "more".into(), role: PlatformRole::GlobalAdmin };
    check_refused(acting.identity().user_create(more).await, ErrorCode::Forbidden);
    for id in [anna.user.id, olga.user.id] {
        assert_eq!(acting.identity().user_get(id).await.unwrap(), None);
        let raised = UserUpdate { role: Some(PlatformRole::GlobalAdmin), disabled: None };
        check_refused(acting.identity().user_update(id, raised).await, ErrorCode::NotFound);
        check_refused(acting.identity().user_password_reset(id).await, ErrorCode::NotFound);
    }
    check_refused(hive.as_system().identity().password_change(change("", STRONG)).await, ErrorCode::Forbidden);
}

#[tokio::test]
async fn a_team_is_run_by_its_admins() {
    let hive = hive().await;
    let system = hive.as_system();
    let identity = system.identity();
    let [ops, dev] = ["ops", "dev"].map(|slug| identity.team_create(TeamCreate { slug: slug.into() }));
    let (ops, dev) = (ops.await.unwrap().id, dev.await.unwrap().id);
    let put = |username: &str, role| TeamMemberPut { username: username.into(), role };
    let mut acting = Vec::new();
    for (name, role) in [("adam", Role::Admin), ("olga", Role::Operator)] {
        let password = add(&hive, name, PlatformRole::GlobalUser).await.password;
        system.identity().team_member_put(ops, put(name, role)).await.unwrap();
        acting.push(log_in(&hive, name, &password.0).await.unwrap());
    }
    let new = add(&hive, "nina", PlatformRole::GlobalUser).await.user;
    let [adam, olga] = acting.try_into().expect("two");

    let member = adam.identity().team_member_put(ops, put("nina", Role::Viewer)).await.unwrap();
    assert_eq!((member.user_id, member.role.clone()), (new.id, Role::Viewer));
    let names: Vec<_> =
        adam.identity().team_member_list(ops).await.unwrap().into_iter().map(|member| member.username).collect();
    assert_eq!(names, ["adam", "nina", "olga"]);
    check_refused(adam.identity().team_member_put(ops, put("nobody", Role::Viewer)).await, ErrorCode::NotFound);
    check_refused(olga.identity().team_member_list(ops).await, ErrorCode::Forbidden);
    check_refused(olga.identity().team_member_put(ops, put("olga", Role::Admin)).await, ErrorCode::Forbidden);
    check_refused(adam.identity().team_member_put(dev, put("adam", Role::Admin)).await, ErrorCode::NotFound);
    check_refused(adam.identity().team_member_list(dev).await, ErrorCode::NotFound);

    adam.identity().team_member_remove(ops, new.id).await.unwrap();
    check_refused(adam.identity().team_member_remove(ops, new.id).await, ErrorCode::NotFound);
    check_refused(
        system.identity().team_member_list(hive_wire::TeamId::new(hive.source().seed())).await,
        ErrorCode::NotFound,
    );
}

#[tokio::test]
async fn a_rotated_key_has_one_secret_and_gives_no_more_rights() {
    let hive = hive().await;
    let password = add(&hive, "anna", PlatformRole::GlobalAdmin).await.password;
    let anna = log_in(&hive, "anna", &password.0).await.unwrap();
    let old = anna.identity().api_key_create(ApiKeyCreate::default()).await.unwrap();
    use_key(&hive, &old.api_key).await.unwrap();
    let new = anna.identity().api_key_rotate(old.info.id, ApiKeyRotate::default()).await.unwrap();
    assert!(new.info.last_used_at.is_some());
    assert_eq!(hive_wire::api::ApiKeyInfo { last_used_at: None, ..new.info.clone() }, old.info);
    check_refused(use_key(&hive, &old.api_key).await, ErrorCode::AuthInvalid);
    let principal = hive.authenticate_api_key(&new.api_key, None, VerifyMode::Full).await.unwrap();
    let scopes = Some([Permission::ApiKeysOwn, Permission::SatellitesRead].into());
    let scoped = hive.acting_as(Principal { scopes, ..principal });
    scoped.satellites().list(SatelliteFilter::default(), PageRequest::default()).await.unwrap();
    check_refused(scoped.identity().api_key_rotate(new.info.id, ApiKeyRotate::default()).await, ErrorCode::Forbidden);
    let own = scoped.identity().api_key_create(ApiKeyCreate::default()).await.unwrap();
    scoped.identity().api_key_rotate(own.info.id, ApiKeyRotate::default()).await.unwrap();
    anna.identity().api_key_revoke(new.info.id).await.unwrap();
    check_refused(anna.identity().api_key_rotate(new.info.id, ApiKeyRotate::default()).await, ErrorCode::Conflict);
}

/// Waits until a stream has ended.
async fn until_over<T>(stream: &mut Subscription<T>) {
    let over = async { while stream.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), over).await.expect("the stream goes on");
}

async fn is_going_on<T: std::fmt::Debug>(stream: &mut Subscription<T>) -> bool {
    tokio::task::yield_now().await;
    loop {
        match futures_util::FutureExt::now_or_never(stream.next()) {
            Some(Some(_)) => {}
            Some(None) => return false,
            None => return true,
        }
    }
}

#[tokio::test]
async fn what_is_open_ends_with_the_right_to_it() {
    let hive = hive().await;
    let system = hive.as_system();
    let ops = system.identity().team_create(TeamCreate { slug: "ops".into() }).await.unwrap().id;
    let NewUser { user, password } = add(&hive, "olga", PlatformRole::GlobalUser).await;
    let operator = |role| TeamMemberPut { username: "olga".into(), role };
    system.identity().team_member_put(ops, operator(Role::Operator)).await.unwrap();
    let login = log_in(&hive, "olga", &password.0).await.unwrap();
    let key = login.identity().api_key_create(ApiKeyCreate::default()).await.unwrap();
    let by_key = use_key(&hive, &key.api_key).await.unwrap();

    let mut bystander = system.satellites().subscribe(None).await.unwrap();
    let mut by_login_stream = login.satellites().subscribe(None).await.unwrap();
    let mut by_key_stream = by_key.satellites().subscribe(None).await.unwrap();
    system.identity().team_member_put(ops, operator(Role::Admin)).await.unwrap();
    assert!(is_going_on(&mut by_login_stream).await, "more rights end nothing");
    system.identity().user_password_reset(user.id).await.unwrap();
    until_over(&mut by_login_stream).await;
    assert!(is_going_on(&mut by_key_stream).await, "the key is still good");
    let new = by_key.identity().api_key_rotate(key.info.id, ApiKeyRotate::default()).await.unwrap();
    until_over(&mut by_key_stream).await;

    let by_key = use_key(&hive, &new.api_key).await.unwrap();
    let mut demoted = by_key.satellites().subscribe(None).await.unwrap();
    system.identity().team_member_put(ops, operator(Role::Viewer)).await.unwrap();
    until_over(&mut demoted).await;
    let mut disabled = by_key.satellites().subscribe(None).await.unwrap();
    system.identity().user_update(user.id, UserUpdate { role: None, disabled: Some(true) }).await.unwrap();
    until_over(&mut disabled).await;
    check_refused(by_key.satellites().subscribe(None).await.map(drop), ErrorCode::AuthInvalid);
    assert!(is_going_on(&mut bystander).await);
}

#[tokio::test]
async fn what_is_open_ends_though_another_process_took_the_right() {
    let settings = Settings { sweep_interval: Duration::from_millis(20), ..Settings::default() };
    let dir = tempfile::tempdir().unwrap();
    let open = async || Hive::builder().data_dir(dir.path()).settings(settings.clone()).build().await.unwrap();
    let (hive, other) = (open().await, open().await);
    let NewUser { user, password } = add(&hive, "olga", PlatformRole::GlobalUser).await;
    let mut stream = log_in(&hive, "olga", &password.0).await.unwrap().satellites().subscribe(None).await.unwrap();
    other.as_system().identity().user_update(user.id, UserUpdate { role: None, disabled: Some(true) }).await.unwrap();
    until_over(&mut stream).await;
}
