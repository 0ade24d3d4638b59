//! What an API key is limited to, and what ends with it.

use std::sync::Arc;
use std::time::Duration;

use hive_wire::ErrorCode;
use hive_wire::api::{
    ApiKeyCreate, ApiKeyRotate, AuditQuery, CommandStatus, ExecCommand, NewApiKey, OutputEncoding, PageRequest,
    PlatformRole, RegistrationTokenCreate, SatelliteFilter, SatelliteUpdate, TeamCreate, TeamMemberPut, UserCreate,
    UserUpdate,
};

use crate::access::{Permission, Role};
use crate::clock::{Clock, ClockAndRng, ManualClock, SystemClock};
use crate::commands::ExecOptions;
use crate::hive::tests::{connect, global, hive, register, request, token};
use crate::hive::{ActingHive, Hive, RegistrationError, Settings, TokenProblem};
use crate::identity::authentication::VerifyMode;
use crate::{Error, EventItem, Result, Subscription};

async fn key_from(hive: &Hive, key: &str, ip: &str) -> Result<ActingHive> {
    Ok(hive.acting_as(hive.authenticate_api_key(key, Some(ip.into()), VerifyMode::Full).await?))
}

async fn use_key(hive: &Hive, key: &str) -> Result<ActingHive> {
    key_from(hive, key, "192.0.2.1").await
}

/// An admin of the whole hive, by a key without limits.
async fn admin(hive: &Hive) -> ActingHive {
    let system = hive.as_system();
    let user = UserCreate { username: "anna".into(), role: PlatformRole::GlobalAdmin };
    system.identity().user_create(user).await.unwrap();
    let key = system.api_key_create_for("anna", ApiKeyCreate::default()).await.unwrap();
    use_key(hive, &key.api_key).await.unwrap()
}

async fn create(maker: &ActingHive, request: ApiKeyCreate) -> Result<NewApiKey> {
    maker.identity().api_key_create(request).await
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn check_refused<T>(result: Result<T>, code: ErrorCode) {
    assert_eq!(result.err().map(|error| error.code()), Some(code));
}

#[tokio::test]
async fn a_key_does_what_its_scopes_and_its_owner_allow_now() {
    let hive = hive().await;
    let system = hive.as_system();
    let satellite = register(&hive, "web-server-01").await;
    let team = system.identity().team_create(TeamCreate { slug: "ops".into() }).await.unwrap();
    let assign = SatelliteUpdate { team_id: Some(Some(team.id)), ..SatelliteUpdate::default() };
    system.satellites().update(satellite.id, assign).await.unwrap();
    let olga = UserCreate { username: "olga".into(), role: PlatformRole::GlobalUser };
    system.identity().user_create(olga).await.unwrap();
    let member = |role| TeamMemberPut { username: "olga".into(), role };
    system.identity().team_member_put(team.id, member(Role::Admin)).await.unwrap();
    let own_key = system.api_key_create_for("olga", ApiKeyCreate::default()).await.unwrap().api_key;
    let own = use_key(&hive, &own_key).await.unwrap();
    let scopes = Some(words(&["satellites.read", "satellites.tag"]));
    let key = create(&own, ApiKeyCreate { scopes, ..ApiKeyCreate::default() }).await.unwrap();
    assert_eq!(key.info.scopes, Some(words(&["satellites.read", "satellites.tag"])));
    let retag = async |key: &str| {
        let tags = SatelliteUpdate { tags: Some(vec!["web".into()]), ..SatelliteUpdate::default() };
        use_key(&hive, key).await.unwrap().satellites().update(satellite.id, tags).await
    };
    retag(&key.api_key).await.unwrap();
    let scoped = use_key(&hive, &key.api_key).await.unwrap();
    let exec = scoped.commands().exec(satellite.id, ExecCommand::shell("true"), ExecOptions::default()).await;
    check_refused(exec, ErrorCode::Forbidden);
    system.identity().team_member_put(team.id, member(Role::Viewer)).await.unwrap();
    check_refused(retag(&key.api_key).await, ErrorCode::Forbidden);
    // What the owner has not is not given away.
    let own = use_key(&hive, &own_key).await.unwrap();
    let scopes = Some(words(&["satellites.power"]));
    let error = create(&own, ApiKeyCreate { scopes, ..ApiKeyCreate::default() }).await.err().unwrap();
    assert!(error.to_string().contains("satellites.power"), "{error}");
}

#[tokio::test]
async fn what_is_made_with_a_key_may_no_more_and_ends_no_later() {
    let hive = hive().await;
    let admin = admin(&hive).await;
    let limits = ApiKeyCreate {
        scopes: Some(words(&["satellites.read", "api_keys.own", "tokens.manage"])),
        addresses: Some(words(&["192.0.2.0/24"])),
        expires_in_hours: Some(24),
        rate_per_minute: Some(60),
        ..ApiKeyCreate::default()
    };
    let made = create(&admin, limits).await.unwrap();
    let key = use_key(&hive, &made.api_key).await.unwrap();
    let child = create(&key, ApiKeyCreate { expires_in_hours: Some(48), ..ApiKeyCreate::default() }).await.unwrap();
    assert_eq!(child.info.parent_id, Some(made.info.id));
    assert_eq!((&child.info.scopes, &child.info.addresses), (&made.info.scopes, &made.info.addresses));
    assert_eq!((child.info.expires_at, child.info.rate_per_minute), (made.info.expires_at, Some(60)));
    for wider in [
        ApiKeyCreate { scopes: Some(words(&["satellites.exec"])), ..ApiKeyCreate::default() },
        ApiKeyCreate { addresses: Some(words(&["192.0.0.0/16"])), ..ApiKeyCreate::default() },
    ] {
        check_refused(create(&key, wider).await, ErrorCode::InvalidInput);
    }
    let narrower = ApiKeyCreate { addresses: Some(words(&["192.0.2.1"])), ..ApiKeyCreate::default() };
    assert_eq!(create(&key, narrower).await.unwrap().info.addresses, Some(words(&["192.0.2.1/32"])));
    let token = key.identity().registration_token_create(global()).await.unwrap();
    assert!(token.expires_at <= made.info.expires_at.unwrap());
    check_refused(
        key.identity().api_key_rotate(admin_key(&admin).await, ApiKeyRotate::default()).await,
        ErrorCode::Forbidden,
    );
}

async fn admin_key(admin: &ActingHive) -> hive_wire::ApiKeyId {
    admin.identity().me().await.unwrap().api_key_id.unwrap()
}

#[tokio::test]
async fn what_was_made_with_a_key_ends_with_it() {
    let hive = hive().await;
    let admin = admin(&hive).await;
    let satellite = register(&hive, "web-server-01").await;
    let made = create(&admin, ApiKeyCreate::default()).await.unwrap();
    let key = use_key(&hive, &made.api_key).await.unwrap();
    let child = create(&key, ApiKeyCreate::default()).await.unwrap();
    let child_acting = use_key(&hive, &child.api_key).await.unwrap();
    let of_child = token(&child_acting, global()).await;
    // It becomes active, and is offline from then on.
    drop(connect(&hive, &satellite, "journal-1").await);
    let queued =
        child_acting.commands().submit(satellite.id, ExecCommand::shell("true"), ExecOptions::default()).await.unwrap();
    let mut events = child_acting.satellites().subscribe(None).await.unwrap();

    let revoked = admin.identity().api_key_revoke(made.info.id).await.unwrap();
    assert_eq!((revoked.api_keys, revoked.registration_tokens, revoked.commands), (1, 1, 1));
    let over = async { while events.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(10), over).await.expect("the stream ends");
    check_refused(use_key(&hive, &child.api_key).await, ErrorCode::AuthInvalid);
    let registered = hive.register_satellite(&of_child, request("web-server-02"), None, None).await;
    assert!(matches!(registered, Err(RegistrationError::Token(TokenProblem::Revoked | TokenProblem::MakerGone))));
    let command = admin.commands().get(queued, OutputEncoding::Lossy).await.unwrap().unwrap();
    assert_eq!(command.status, CommandStatus::Cancelled);
    check_refused(admin.identity().api_key_revoke(made.info.id).await, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_key_is_accepted_from_its_networks_alone() {
    let hive = hive().await;
    let admin = admin(&hive).await;
    let addresses = Some(words(&["192.0.2.0/24", "2001:db8::/32"]));
    let key = create(&admin, ApiKeyCreate { addresses, ..ApiKeyCreate::default() }).await.unwrap().api_key;
    for ip in ["192.0.2.9", "::ffff:192.0.2.9", "2001:db8::1"] {
        key_from(&hive, &key, ip).await.unwrap();
    }
    for ip in ["192.0.3.9", "::1", "unix"] {
        check_refused(key_from(&hive, &key, ip).await, ErrorCode::AuthInvalid);
    }
    check_refused(hive.authenticate_api_key(&key, None, VerifyMode::Full).await, ErrorCode::AuthInvalid);
}

#[tokio::test]
async fn the_secret_before_a_rotation_is_accepted_for_the_overlap() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let source = ClockAndRng { clock: clock.clone(), ..ClockAndRng::default() };
    let hive = Hive::builder().source(source).build().await.unwrap();
    let admin = admin(&hive).await;
    let first = create(&admin, ApiKeyCreate::default()).await.unwrap();
    let opened = use_key(&hive, &first.api_key).await.unwrap();
    let rotate = ApiKeyRotate { overlap_seconds: 60 };
    let second = admin.identity().api_key_rotate(first.info.id, rotate).await.unwrap();
    assert!(second.info.overlap_until.is_some());
    for key in [&first.api_key, &second.api_key] {
        use_key(&hive, key).await.unwrap();
    }
    clock.advance(Duration::from_secs(61));
    check_refused(use_key(&hive, &first.api_key).await, ErrorCode::AuthInvalid);
    use_key(&hive, &second.api_key).await.unwrap();
    let listed = opened.identity().api_key_list().await.unwrap();
    let listed = listed.into_iter().find(|key| key.id == first.info.id).unwrap();
    assert_eq!((listed.overlap_until, listed.last_used_at), (None, Some(hive.source().now())));
    let long = ApiKeyRotate { overlap_seconds: 8 * 24 * 3600 };
    check_refused(admin.identity().api_key_rotate(first.info.id, long).await, ErrorCode::InvalidInput);
}

#[tokio::test]
async fn streams_of_the_secret_before_a_rotation_end_with_the_overlap() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let source = ClockAndRng { clock: clock.clone(), ..ClockAndRng::default() };
    let settings = Settings::default().sweep_interval(Duration::from_millis(20));
    let hive = Hive::builder().source(source).settings(settings).build().await.unwrap();
    let admin = admin(&hive).await;
    let first = create(&admin, ApiKeyCreate::default()).await.unwrap();
    let by_first = use_key(&hive, &first.api_key).await.unwrap();
    let mut before = by_first.satellites().subscribe(None).await.unwrap();
    let rotate = ApiKeyRotate { overlap_seconds: 60 };
    let second = admin.identity().api_key_rotate(first.info.id, rotate).await.unwrap();
    // Opened by the old secret after the rotation, when the key has another hash already.
    let mut during = by_first.satellites().subscribe(None).await.unwrap();
    let by_second = use_key(&hive, &second.api_key).await.unwrap();
    let mut by_new_secret = by_second.satellites().subscribe(None).await.unwrap();
    let is_open = async |stream: &mut Subscription<EventItem>| {
        tokio::time::timeout(Duration::from_millis(100), async { while stream.next().await.is_some() {} })
            .await
            .is_err()
    };
    for stream in [&mut before, &mut during, &mut by_new_secret] {
        assert!(is_open(stream).await, "during the overlap");
    }
    clock.advance(Duration::from_secs(61));
    for stream in [&mut before, &mut during] {
        let over = async { while stream.next().await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(10), over).await.expect("it ends with the overlap");
    }
    assert!(is_open(&mut by_new_secret).await);
    check_refused(by_first.satellites().subscribe(None).await.map(drop), ErrorCode::AuthInvalid);
}

#[tokio::test]
async fn who_may_manage_any_key_lists_and_revokes_those_of_others() {
    let hive = hive().await;
    let admin = admin(&hive).await;
    let olga = UserCreate { username: "olga".into(), role: PlatformRole::GlobalUser };
    let olga = admin.identity().user_create(olga).await.unwrap().user.id;
    let of_olga = hive.as_system().api_key_create_for("olga", ApiKeyCreate::default()).await.unwrap();
    let by_olga = use_key(&hive, &of_olga.api_key).await.unwrap();
    let scopes = Some(words(&["api_keys.any"]));
    let any = create(&admin, ApiKeyCreate { scopes, ..ApiKeyCreate::default() }).await.unwrap();
    let any = use_key(&hive, &any.api_key).await.unwrap();
    let listed = any.identity().api_key_list_of(olga).await.unwrap();
    assert_eq!(listed.iter().map(|key| key.id).collect::<Vec<_>>(), [of_olga.info.id]);
    assert_eq!(by_olga.identity().api_key_list_of(olga).await.unwrap(), listed, "one's own");
    let anna = admin.principal().user().unwrap();
    check_refused(by_olga.identity().api_key_list_of(anna).await, ErrorCode::Forbidden);
    check_refused(by_olga.identity().api_key_revoke(admin_key(&admin).await).await, ErrorCode::NotFound);
    check_refused(any.identity().api_key_list().await, ErrorCode::Forbidden);
    any.identity().api_key_revoke(of_olga.info.id).await.unwrap();
    check_refused(use_key(&hive, &of_olga.api_key).await, ErrorCode::AuthInvalid);
}

#[tokio::test]
async fn a_key_for_a_tag_sees_and_uses_the_satellites_that_carry_it() {
    let hive = hive().await;
    let admin = admin(&hive).await;
    let (staging, production) = (register(&hive, "staging-01").await, register(&hive, "production-1").await);
    let tags = SatelliteUpdate { tags: Some(vec!["staging".into()]), ..SatelliteUpdate::default() };
    admin.satellites().update(staging.id, tags).await.unwrap();
    let _links = (connect(&hive, &staging, "journal-1").await, connect(&hive, &production, "journal-2").await);
    let submit =
        async |by: &ActingHive, id| by.commands().submit(id, ExecCommand::shell("true"), ExecOptions::default()).await;
    let of_production = submit(&admin, production.id).await.unwrap();
    let request = ApiKeyCreate { satellites: Some(words(&["tag:staging"])), ..ApiKeyCreate::default() };
    let made = create(&admin, request).await.unwrap();
    assert_eq!(made.info.satellites, Some(words(&["tag:staging"])));
    let key = use_key(&hive, &made.api_key).await.unwrap();
    let found = key.satellites().list(SatelliteFilter::default(), PageRequest::default()).await.unwrap();
    assert_eq!((found.total, found.items[0].id), (1, staging.id));
    let of_staging = submit(&key, staging.id).await.unwrap();
    assert!(key.commands().get(of_staging, OutputEncoding::Lossy).await.unwrap().is_some());
    assert!(key.commands().get(of_production, OutputEncoding::Lossy).await.unwrap().is_none());
    check_refused(submit(&key, production.id).await, ErrorCode::SatelliteNotFound);
    check_refused(key.commands().list(production.id, PageRequest::default()).await, ErrorCode::SatelliteNotFound);
    check_refused(
        key.identity().registration_token_create(RegistrationTokenCreate::global()).await,
        ErrorCode::Forbidden,
    );
    let wider = ApiKeyCreate { satellites: Some(words(&["tag:web"])), ..ApiKeyCreate::default() };
    check_refused(create(&key, wider).await, ErrorCode::InvalidInput);
    let child = create(&key, ApiKeyCreate::default()).await.unwrap();
    assert_eq!(child.info.satellites, made.info.satellites);
}

#[tokio::test]
async fn a_limited_key_makes_no_login_with_more_rights() {
    let hive = hive().await;
    let admin = admin(&hive).await;
    let scopes = Some(words(&["users.manage", "api_keys.own"]));
    let made = create(&admin, ApiKeyCreate { scopes, ..ApiKeyCreate::default() }).await.unwrap();
    let key = use_key(&hive, &made.api_key).await.unwrap();
    let user = |role| UserCreate { username: "eve".into(), role };
    check_refused(key.identity().user_create(user(PlatformRole::GlobalAdmin)).await, ErrorCode::Forbidden);
    let eve = key.identity().user_create(user(PlatformRole::GlobalUser)).await.unwrap().user;
    let raise = UserUpdate { role: Some(PlatformRole::GlobalAdmin), disabled: None };
    check_refused(key.identity().user_update(eve.id, raise).await, ErrorCode::Forbidden);
    check_refused(key.identity().user_password_reset(eve.id).await, ErrorCode::Forbidden);
}

#[tokio::test]
async fn the_configured_key_is_an_admin_who_is_no_user() {
    let text = "3kW9-vQ2p-Zt7M-bX4c-Lr8N-Yd5H-Js";
    let hive = Hive::builder().admin_api_key(text.into()).build().await.unwrap();
    let by_header = hive.authenticate_api_key(text, None, VerifyMode::CachedOnly).await.unwrap();
    assert_eq!(hive.authenticate_jwt(text, None).await.unwrap(), by_header);
    assert_eq!((by_header.user(), by_header.actor().kind.as_str()), (None, "configured"));
    let acting = hive.acting_as(by_header);
    acting.identity().team_create(TeamCreate { slug: "ops".into() }).await.unwrap();
    let token = token(&acting, global()).await;
    hive.register_satellite(&token, request("web-server-01"), None, None).await.unwrap();
    check_refused(create(&acting, ApiKeyCreate::default()).await, ErrorCode::Forbidden);
    let refused = Hive::builder().admin_api_key("too short".into()).build().await.err();
    assert!(matches!(refused, Some(Error::InvalidInput { field, .. }) if field == "admin_api_key"));
}

#[tokio::test]
async fn a_viewer_sees_how_a_command_ended_and_not_what_it_was() {
    let hive = hive().await;
    let admin = admin(&hive).await;
    let satellite = register(&hive, "web-server-01").await;
    drop(connect(&hive, &satellite, "journal-1").await);
    let queued = admin
        .commands()
        .submit(satellite.id, ExecCommand::shell("cat /etc/shadow"), ExecOptions::default())
        .await
        .unwrap();
    let viewer = |permissions: &[Permission]| {
        let mut principal = admin.principal().clone();
        principal.scopes = Some(permissions.iter().cloned().collect());
        hive.acting_as(principal)
    };
    let reads = viewer(&[Permission::SatellitesRead]);
    let seen = reads.commands().get(queued, OutputEncoding::Lossy).await.unwrap().unwrap();
    assert_eq!((seen.summary.as_str(), seen.redacted, &seen.status), ("", true, &CommandStatus::Queued));
    let listed = reads.commands().list(satellite.id, PageRequest::default()).await.unwrap();
    assert!(listed.items.iter().all(|command| command.redacted && command.summary.is_empty()));
    let output = reads.commands().output(queued, hive_wire::agent::Channel::Stdout, 0).await;
    check_refused(output, ErrorCode::Forbidden);
    let auditor = viewer(&[Permission::AuditRead]);
    let action = AuditQuery { action: Some("satellite.exec".into()), ..AuditQuery::default() };
    let records = auditor.audit().query(action.clone(), PageRequest::default()).await.unwrap().items;
    let record = auditor.audit().get(records[0].id).await.unwrap().unwrap();
    let details = serde_json::json!({ "command_id": queued, "timeout_seconds": record.details["timeout_seconds"], "redacted": true });
    assert_eq!((records.len(), &record.details, &records[0].details), (1, &details, &details));
    check_refused(auditor.audit().export().await.map(drop), ErrorCode::Forbidden);
    let reader = viewer(&[Permission::AuditRead, Permission::CommandsRead]);
    let records = reader.audit().query(action, PageRequest::default()).await.unwrap().items;
    assert_eq!(records[0].details["command"], "cat /etc/shadow");
    assert!(reader.audit().export().await.is_ok());
    let all = viewer(&[Permission::SatellitesRead, Permission::CommandsRead]);
    let seen = all.commands().get(queued, OutputEncoding::Lossy).await.unwrap().unwrap();
    assert_eq!((seen.summary.as_str(), seen.redacted), ("cat /etc/shadow", false));
}
