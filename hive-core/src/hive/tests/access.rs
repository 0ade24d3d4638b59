//! Who gets in, satellites and people, and what they find there.

use hive_wire::ErrorCode;
use hive_wire::agent::{ToAgent, close};
use hive_wire::api::{
    ApiKeyCreate, AuditQuery, ExecCommand, NewUser, PageRequest, PlatformRole, RegistrationTokenCreate,
    SatelliteStatus, SatelliteType, SatelliteUpdate, Target, TeamCreate, TokenScope, UserCreate, UserUpdate,
};

use super::{NAME, connect, global, hive, register, request, token};
use crate::Error;
use crate::access::Role;
use crate::audit::AuditAction;
use crate::audit::draft::{Subject, record};
use crate::commands::ExecOptions;
use crate::hive::{RegistrationError, TokenProblem};
use crate::identity::authentication::VerifyMode;
use crate::store::UserPatch;
use hive_test_peers::FromHive;

fn user(name: &str, role: PlatformRole) -> UserCreate {
    UserCreate { username: name.into(), role }
}

#[tokio::test]
async fn registering_again_keeps_the_id_and_kills_the_old_key_at_once() {
    let hive = hive().await;
    let first = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &first, "journal-1").await;
    // A plain token would be refused while the satellite is online.
    let create = RegistrationTokenCreate { for_satellite: Some(first.id), ..global() };
    let made_for = token(&hive.as_system(), create).await;
    let second = hive.register_satellite(&made_for, request(NAME), None, None).await.unwrap();
    assert_eq!(second.id, first.id);
    assert_eq!(second.status, "inactive");
    assert!(matches!(
        hive.authenticate_satellite(&first.api_key, None, VerifyMode::Full).await,
        Err(Error::AuthInvalid)
    ));
    assert_eq!(satellite.try_next().await.unwrap_err().code, Some(close::AUTH_FAILED));
    hive.authenticate_satellite(&second.api_key, None, VerifyMode::Full).await.unwrap();
}

#[tokio::test]
async fn a_satellite_that_changes_its_team_gets_a_new_key_and_the_old_one_is_dead() {
    let hive = hive().await;
    let system = hive.as_system();
    let registered = register(&hive, NAME).await;
    let mut satellite = connect(&hive, &registered, "journal-1").await;
    let team = system.identity().team_create(TeamCreate { slug: "blue".into() }).await.unwrap();
    let assign = |team_id| SatelliteUpdate { team_id: Some(team_id), ..SatelliteUpdate::default() };
    let moved = system.satellites().update(registered.id, assign(Some(team.id))).await.unwrap();
    assert_eq!((moved.team_id, moved.satellite_type), (Some(team.id), SatelliteType::Team));
    let FromHive::Control(ToAgent::RotateKey { api_key }) = satellite.next().await else { panic!() };
    satellite.try_next().await.expect_err("the link of the old key is closed");
    assert!(matches!(
        hive.authenticate_satellite(&registered.api_key, None, VerifyMode::Full).await,
        Err(Error::AuthInvalid)
    ));
    assert_eq!(hive.authenticate_satellite(&api_key.0, None, VerifyMode::Full).await.unwrap().id, registered.id);
    assert!(api_key.0.starts_with("hive_satellite_api_team_") && !format!("{api_key:?}").contains(&api_key.0));
    system.satellites().update(registered.id, assign(Some(team.id))).await.unwrap();
    hive.authenticate_satellite(&api_key.0, None, VerifyMode::Full).await.expect("the same team changes nothing");
}

#[tokio::test]
async fn a_token_is_good_for_one_registration_and_a_name_for_one_team() {
    let hive = hive().await;
    let acting = hive.as_system();
    let spent = token(&acting, global()).await;
    hive.register_satellite(&spent, request(NAME), None, None).await.unwrap();
    let again = hive.register_satellite(&spent, request("web-server-02"), None, None).await;
    assert!(matches!(again, Err(RegistrationError::Token(TokenProblem::Used))));
    let team = acting.identity().team_create(TeamCreate { slug: "blue".into() }).await.unwrap();
    let create = RegistrationTokenCreate { scope: TokenScope::Team, team_id: Some(team.id), ..global() };
    let teams = token(&acting, create).await;
    let taken = hive.register_satellite(&teams, request(NAME), None, None).await;
    assert!(matches!(taken, Err(RegistrationError::Other(Error::Conflict(_)))));
    hive.register_satellite(&teams, request("web-server-03"), None, None)
        .await
        .expect("a refused name spends no token");
}

#[tokio::test]
async fn another_team_looks_as_if_it_did_not_exist() {
    let hive = hive().await;
    let system = hive.as_system();
    let team = system.identity().team_create(TeamCreate { slug: "blue".into() }).await.unwrap();
    system.identity().team_create(TeamCreate { slug: "red".into() }).await.unwrap();
    let create = RegistrationTokenCreate { scope: TokenScope::Team, team_id: Some(team.id), ..global() };
    let blue = token(&system, create).await;
    let registered = hive.register_satellite(&blue, request(NAME), None, None).await.unwrap();
    let mut keys = Vec::new();
    for (name, slug) in [("anna", "blue"), ("bert", "red")] {
        system.identity().user_create(user(name, PlatformRole::GlobalUser)).await.unwrap();
        system.team_member_add(slug, name, Role::Operator).await.unwrap();
        keys.push(system.api_key_create_for(name, ApiKeyCreate::default()).await.unwrap().api_key);
    }
    let anna = hive.acting_as(hive.authenticate_api_key(&keys[0], None, VerifyMode::Full).await.unwrap());
    let bert = hive.acting_as(hive.authenticate_api_key(&keys[1], None, VerifyMode::Full).await.unwrap());
    assert!(anna.satellites().get(registered.id).await.unwrap().is_some());
    assert!(bert.satellites().get(registered.id).await.unwrap().is_none());
    let refused =
        bert.commands().exec(registered.id, ExecCommand::shell("true"), ExecOptions::default()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::SatelliteNotFound);
    let named = vec![Target::Name(NAME.try_into().unwrap())];
    let refused =
        bert.commands().exec_multi(named, ExecCommand::shell("true"), ExecOptions::default()).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("no satellite {NAME}"));
    let manage = SatelliteUpdate { status: Some(SatelliteStatus::Maintenance), ..SatelliteUpdate::default() };
    assert_eq!(anna.satellites().update(registered.id, manage).await.unwrap_err().code(), ErrorCode::Forbidden);
    assert!(anna.audit().query(AuditQuery::default(), PageRequest::default()).await.is_ok());
    assert_eq!(anna.audit().export().await.unwrap_err().code(), ErrorCode::Forbidden);
}

#[tokio::test]
async fn a_password_opens_a_login_and_a_revoked_key_opens_nothing() {
    let hive = hive().await;
    let NewUser { user, password } =
        hive.as_system().identity().user_create(user("admin", PlatformRole::GlobalAdmin)).await.unwrap();
    let login = |password: &str| hive_wire::api::LoginRequest { username: "admin".into(), password: password.into() };
    let opened = hive.login(login(&password.0), None, VerifyMode::Full).await.unwrap();
    let acting = hive.acting_as(hive.authenticate_jwt(&opened.token, None).await.unwrap());
    assert_eq!(acting.identity().me().await.unwrap().user, user);
    assert!(matches!(hive.login(login("wrong"), None, VerifyMode::Full).await, Err(Error::AuthInvalid)));
    let unlooked = hive.login(login(&password.0), None, VerifyMode::CachedOnly).await;
    assert!(matches!(unlooked, Err(Error::RateLimited { .. })), "passwords are not remembered");
    let key = acting.identity().api_key_create(ApiKeyCreate::default()).await.unwrap();
    hive.authenticate_api_key(&key.api_key, None, VerifyMode::Full).await.unwrap();
    acting.identity().api_key_revoke(key.info.id).await.unwrap();
    assert!(matches!(hive.authenticate_api_key(&key.api_key, None, VerifyMode::Full).await, Err(Error::AuthInvalid)));
}

#[tokio::test]
async fn a_role_of_a_later_version_grants_nothing_and_is_kept() {
    let hive = hive().await;
    let system = hive.as_system();
    let team = system.identity().team_create(TeamCreate { slug: "blue".into() }).await.unwrap().id;
    let create = UserCreate { username: "anna".into(), role: PlatformRole::GlobalAdmin };
    let anna = system.identity().user_create(create).await.unwrap().user;
    system
        .identity()
        // Another admin, so that the one below may lose the role.
        .user_create(UserCreate { username: "root".into(), role: PlatformRole::GlobalAdmin })
        .await
        .unwrap();
    let key = system.api_key_create_for("anna", ApiKeyCreate::default()).await.unwrap().api_key;
    let user_role = PlatformRole::from("global_auditor");
    let needed = crate::identity::losses::needed_roles();
    let now = hive.source().now();
    let patch = UserPatch { role: Some(user_role.clone()), disabled: None, needed: needed.clone(), now };
    let context = &hive.services().context;
    let record =
        || record(context, system.principal(), AuditAction::UserUpdate, Subject::new(anna.id), serde_json::json!({}));
    // Written past the service, which refuses a role that it does not know: only a later version writes one.
    hive.services().store.user_update(anna.id, patch, record()).await.unwrap();
    hive.services().store.team_member_put(team, anna.id, Role::from("auditor"), needed, record()).await.unwrap();
    let acting = hive.acting_as(hive.authenticate_api_key(&key, None, VerifyMode::Full).await.unwrap());
    let nothing = acting.satellites().list(hive_wire::api::SatelliteFilter::default(), PageRequest::default()).await;
    assert_eq!(nothing.unwrap().total, 0);
    assert!(matches!(acting.identity().user_get(anna.id).await, Ok(None)));
    assert!(matches!(acting.identity().api_key_list().await, Err(Error::Forbidden(_))));
    // What does not touch it leaves it as it is.
    let update = UserUpdate { role: None, disabled: Some(false) };
    assert_eq!(system.identity().user_update(anna.id, update).await.unwrap().role, user_role);
    assert_eq!(system.identity().user_get(anna.id).await.unwrap().unwrap().role, user_role);
    assert_eq!(system.identity().team_member_list(team).await.unwrap()[0].role, Role::from("auditor"));
}

#[tokio::test]
async fn a_word_that_is_not_known_is_refused_by_the_hive_itself() {
    let hive = hive().await;
    let system = hive.as_system();
    let refused = |error: Error| match error {
        Error::InvalidInput { field, rule } => {
            assert!(rule.contains("`king`") && rule.contains("expected"), "{rule}");
            field
        }
        other => panic!("{other:?}"),
    };
    let user = UserCreate { username: "anna".into(), role: "king".into() };
    assert_eq!(refused(system.identity().user_create(user).await.err().unwrap()), "role");
    let token = RegistrationTokenCreate { scope: "king".into(), ..RegistrationTokenCreate::global() };
    assert_eq!(refused(system.identity().registration_token_create(token).await.err().unwrap()), "scope");
    let id = register(&hive, NAME).await.id;
    let update = SatelliteUpdate { status: Some("king".into()), ..SatelliteUpdate::default() };
    assert_eq!(refused(system.satellites().update(id, update).await.unwrap_err()), "status");
    let power = hive_wire::api::PowerRequest { action: "king".into(), delay_seconds: 0, message: None, priority: None };
    assert_eq!(refused(system.commands().power(id, power, ExecOptions::default()).await.unwrap_err()), "action");
}
