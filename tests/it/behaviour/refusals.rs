//! What cannot be done is refused in the same words from both sides: kind, fields, code, message and details.

use bytes::Bytes;
use hive_core::access::Role;
use hive_core::commands::ExecOptions;
use hive_core::jobs::JobOptions;
use hive_core::wire::agent::Channel;
use hive_core::wire::api::{
    AllowListUpdate, ApiKeyCreate, ApiKeyRotate, AuditQuery, AuditTarget, ExecCommand, OutputEncoding, PageRequest,
    PasswordChange, PlatformRole, PowerAction, PowerRequest, RegistrationTokenCreate, SatelliteFilter, SatelliteStatus,
    SatelliteUpdate, SessionCreate, SessionFilter, Size, Target, TeamCreate, TeamMemberPut, TeamUpdate, TokenScope,
    UserCreate, UserUpdate,
};
use hive_core::wire::credential::Secret;
use hive_core::wire::session::AttachRequest;
use hive_core::wire::{
    ApiKeyId, AuditId, CommandId, ErrorCode, JobId, RegistrationTokenId, SatelliteId, SessionId, TeamId, UserId,
};
use hive_core::{Error, HiveApi, Result};
use hive_testkit::{SatelliteOptions, until};
use serde_json::json;

use super::BehaviourWorld;
use super::world::{NAME, request};
use crate::support::unique_seconds;

/// Both hives, in this process and from elsewhere.
type Both = [Box<dyn HiveApi>; 2];

/// What a caller can tell of an error.
fn seen(error: &Error) -> (String, hive_core::wire::api::ApiError) {
    let kind = match error {
        // The cause is for the log of the one side and for the reader of the other.
        Error::Unavailable(_) => "Unavailable".to_owned(),
        other => format!("{other:?}"),
    };
    (kind, error.to_wire())
}

/// Checks that both refuse it alike, and by this code.
async fn check<T>(both: &Both, what: &str, code: ErrorCode, call: impl AsyncFn(&dyn HiveApi) -> Result<T>) {
    let mut refused = Vec::new();
    for hive in both {
        match call(hive.as_ref()).await {
            Ok(_) => panic!("{what}: not refused"),
            Err(error) => refused.push(seen(&error)),
        }
    }
    assert_eq!(refused[0], refused[1], "{what}");
    assert_eq!(refused[0].1.code, code, "{what}: {refused:?}");
}

fn page<C>(page: u32, per_page: u32) -> PageRequest<C> {
    PageRequest::numbered(page, per_page)
}

fn sh(line: &str) -> ExecCommand {
    ExecCommand::shell(line)
}

fn plain() -> ExecOptions {
    ExecOptions::default()
}

fn key(key: &str) -> ExecOptions {
    ExecOptions { idempotency_key: Some(key.to_owned()), ..ExecOptions::default() }
}

fn of<T: std::str::FromStr<Err: std::fmt::Debug>>(prefix: &str) -> T {
    format!("{prefix}_01kge3h900e41861050r3gg28a").parse().unwrap()
}

/// A terminal without a login shell, whose start may do much that is not to be broken off.
fn small_shell(satellite: SatelliteId) -> SessionCreate {
    SessionCreate { shell: Some("/bin/sh".into()), ..SessionCreate::on(satellite) }
}

/// Asks both for each of these, and expects this code.
macro_rules! refused {
    ($both:expr, $code:ident, $($area:ident.$method:ident($($argument:expr),*)),+ $(,)?) => {$(
        let call = concat!(stringify!($area), ".", stringify!($method), "(", stringify!($($argument),*), ")");
        check($both, call, ErrorCode::$code, async |hive| hive.$area().$method($($argument),*).await).await;
    )+};
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there() {
    let world = BehaviourWorld::remote().await;
    let both = &world.both().await;
    let (satellite, session): (SatelliteId, SessionId) = (of("sat"), of("sess"));
    let reboot = PowerRequest { action: PowerAction::Reboot, delay_seconds: 0, message: None, priority: None };
    refused!(
        both,
        SatelliteNotFound,
        commands.exec(satellite, sh("true"), plain()),
        commands.submit(satellite, sh("true"), plain()),
        commands.power(satellite, reboot.clone(), plain()),
        commands.exec_multi(vec![Target::Id(satellite)], sh("true"), plain()),
        commands.exec_multi(vec![Target::Name("no-such-satellite".try_into().unwrap())], sh("true"), plain()),
        commands.exec_stream(vec![Target::Id(satellite)], sh("true"), plain()),
        jobs.submit(vec![Target::Id(satellite)], sh("true"), JobOptions::default()),
        commands.list(satellite, PageRequest::default()),
        satellites.mark_offline(satellite),
        satellites.update(satellite, SatelliteUpdate::default()),
        satellites.remove(satellite),
        satellites.allow_list(satellite),
        satellites.allow_list_set(satellite, AllowListUpdate::default()),
        sessions.create(SessionCreate::on(satellite)),
        sessions.list(SessionFilter { satellite_id: Some(satellite), ended: true }),
    );
    refused!(
        both,
        SessionNotFound,
        sessions.send_input(session, "x".into()),
        sessions.send_input(session, Bytes::new()),
        sessions.resize(session, Size::default()),
        sessions.terminate(session),
        sessions.attach(session, AttachRequest::default()),
    );
    let (command, job): (CommandId, JobId) = (of("cmd"), of("job"));
    let (team, user): (TeamId, UserId) = (of("team"), of("usr"));
    refused!(
        both,
        NotFound,
        commands.output(command, Channel::Stdout, 0),
        commands.cancel(command),
        jobs.list_targets(job, PageRequest::default()),
        jobs.cancel(job),
        jobs.subscribe(job),
        identity.user_update(user, UserUpdate::default()),
        identity.user_password_reset(user),
        identity.team_member_list(team),
        identity.team_member_put(team, TeamMemberPut { username: "admin".into(), role: Role::Viewer }),
        identity.team_member_remove(team, user),
        identity.api_key_list_of(user),
        identity.team_update(team, TeamUpdate::default()),
        identity.team_allow_list(team),
        identity.team_allow_list_set(team, AllowListUpdate::default()),
        identity.api_key_rotate(of::<ApiKeyId>("key"), ApiKeyRotate::default()),
        identity.api_key_revoke(of::<ApiKeyId>("key")),
        identity.registration_token_revoke(of::<RegistrationTokenId>("reg")),
        identity.registration_token_create(RegistrationTokenCreate {
            scope: TokenScope::Team,
            team_id: Some(team),
            expires_in_hours: None,
            description: None,
            ..RegistrationTokenCreate::global()
        }),
    );
    for hive in both {
        assert!(
            hive.satellites().get(satellite).await.unwrap().is_none() && hive.jobs().get(job).await.unwrap().is_none()
        );
        assert!(hive.commands().get(command, OutputEncoding::Lossy).await.unwrap().is_none());
        assert!(
            hive.sessions().get(session).await.unwrap().is_none()
                && hive.identity().user_get(user).await.unwrap().is_none()
        );
        assert!(hive.audit().get(of::<AuditId>("aud")).await.unwrap().is_none());
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_a_rule() {
    let world = BehaviourWorld::remote().await;
    let both = &world.both().await;
    let machine = world.satellite().await;
    let id = machine.id;
    let with = |change: fn(&mut ExecCommand)| {
        let mut command = sh("true");
        change(&mut command);
        command
    };
    let create = |cols, rows, shell: Option<&str>| SessionCreate {
        cols,
        rows,
        shell: shell.map(str::to_owned),
        ..SessionCreate::on(id)
    };
    let named = |tag: &str| Target::Tag(tag.into());
    refused!(
        both,
        InvalidInput,
        commands.exec(id, sh(" "), plain()),
        commands.exec(id, sh("a\0b"), plain()),
        commands.exec(id, with(|command| command.timeout_seconds = Some(0)), plain()),
        commands.exec(id, with(|command| command.expires_in_seconds = Some(u32::MAX)), plain()),
        commands.exec(id, with(|command| command.stdin = Some("not base64!".into())), plain()),
        commands.exec(id, with(|command| drop(command.env.insert("A=B".into(), "x".into()))), plain()),
        commands.exec(id, sh("true"), key("")),
        commands.exec(id, sh("true"), key(&"k".repeat(256))),
        commands.exec(id, sh("true"), key("with space")),
        commands.exec(id, sh("true"), key("größe")),
        commands.exec(id, sh("true"), key("line\nbreak")),
        commands.submit(id, sh("true"), key("\u{7f}")),
        commands.exec_multi(vec![], sh("true"), plain()),
        commands.exec_multi(vec![named("no-such-tag")], sh("true"), plain()),
        commands.exec_multi(vec![named("")], sh("true"), plain()),
        commands.exec_multi(vec![Target::All; 10_001], sh("true"), plain()),
        jobs.submit(vec![named("web"); 10_001], sh("true"), JobOptions::default()),
        commands.exec_multi(vec![Target::All], sh("true"), ExecOptions { concurrency: Some(0), ..plain() }),
        commands.exec_multi(vec![Target::All], sh("true"), ExecOptions { concurrency: Some(5000), ..plain() }),
        commands.exec_stream(vec![], sh("true"), plain()),
        commands.exec_by_tag("no such tag", sh("true"), plain()),
        jobs.submit(vec![], sh("true"), JobOptions::default()),
        jobs.submit(vec![Target::All], sh("true"), JobOptions { deadline_seconds: Some(0), ..JobOptions::default() }),
        satellites.list(SatelliteFilter::default(), page(0, 20)),
        satellites.list(SatelliteFilter::default(), page(1, 0)),
        satellites.list(SatelliteFilter::default(), page(1, 1001)),
        commands.list(id, page(0, 1)),
        jobs.list(page(1, 5000)),
        identity.user_list(page(0, 0)),
        audit.query(AuditQuery::default(), page(0, 20)),
        satellites.update(id, SatelliteUpdate { tags: Some(vec!["a,b".into()]), ..SatelliteUpdate::default() }),
        satellites.update(id, SatelliteUpdate { region: Some(String::new()), ..SatelliteUpdate::default() }),
        commands.power(
            id,
            PowerRequest { action: PowerAction::Reboot, delay_seconds: u32::MAX, message: None, priority: None },
            plain()
        ),
        sessions.create(create(0, 24, None)),
        sessions.create(create(80, 1001, None)),
        sessions.create(create(80, 24, Some("/no/such/shell"))),
        identity.team_create(TeamCreate { slug: "Not A Slug".into() }),
        identity.user_create(UserCreate { username: "Not A Name".into(), role: PlatformRole::GlobalUser }),
        identity.password_change(PasswordChange {
            current: Secret("wrong".into()),
            new: Secret("a long one, this is".into())
        }),
        identity.password_change(PasswordChange { current: Secret("wrong".into()), new: Secret("short".into()) }),
        identity.api_key_create(ApiKeyCreate {
            name: "x".into(),
            expires_in_hours: Some(0),
            ..ApiKeyCreate::default()
        }),
        identity.api_key_create(ApiKeyCreate { name: "\u{1b}".into(), ..ApiKeyCreate::default() }),
        identity.registration_token_create(RegistrationTokenCreate {
            scope: TokenScope::Team,
            team_id: None,
            expires_in_hours: None,
            description: None,
            ..RegistrationTokenCreate::global()
        }),
        audit.log(String::new(), AuditTarget { kind: "x".into(), id: "y".into() }, json!(null)),
    );
    let session = world.api().sessions().create(small_shell(id)).await.unwrap().id;
    let size = Size { cols: 80, rows: 0 };
    refused!(
        both,
        InvalidInput,
        sessions.resize(session, size),
        sessions.attach(session, AttachRequest { size: Some(size), ..AttachRequest::default() }),
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large() {
    let world = BehaviourWorld::remote().await;
    let both = &world.both().await;
    let machine = world.satellite().await;
    let large = "x".repeat(200 * 1024);
    let target = AuditTarget { kind: "x".into(), id: "y".into() };
    refused!(
        both,
        PayloadTooLarge,
        commands.exec(machine.id, sh(&large), plain()),
        commands.exec_multi(vec![Target::All], sh(&large), plain()),
        jobs.submit(vec![Target::All], sh(&large), JobOptions::default()),
        audit.log("a".into(), target.clone(), json!(large)),
    );
    // Over the limit of a request body, which the server refuses before it reads the command.
    let huge = "x".repeat(3 * 1024 * 1024);
    for hive in both {
        let refused = hive.commands().exec(machine.id, sh(&huge), plain()).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::PayloadTooLarge, "{refused:?}");
        let refused = hive.audit().log("a".into(), target.clone(), json!(huge)).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::PayloadTooLarge, "{refused:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_what_is_there() {
    let world = BehaviourWorld::remote().await;
    let both = &world.both().await;
    let machine = world.satellite().await;
    let id = machine.id;
    let (other, team) = (world.absent("absent-server-01", None).await, world.team("ops").await);
    let named = |name: &str| SatelliteUpdate { name: Some(name.try_into().unwrap()), ..SatelliteUpdate::default() };
    let user = |name: &str| UserCreate { username: name.into(), role: PlatformRole::GlobalUser };
    world.api().commands().exec(id, sh("true"), key("taken")).await.unwrap();
    let session = world.api().sessions().create(small_shell(id)).await.unwrap().id;
    world.api().sessions().terminate(session).await.unwrap();
    let key_info = world.api().identity().api_key_create(ApiKeyCreate::default()).await.unwrap().info;
    world.api().identity().api_key_revoke(key_info.id).await.unwrap();
    let identity = world.api().identity();
    let token = identity.registration_token_create(RegistrationTokenCreate {
        scope: TokenScope::Global,
        team_id: None,
        expires_in_hours: None,
        description: None,
        ..RegistrationTokenCreate::global()
    });
    let token = token.await.unwrap();
    world.api().identity().registration_token_revoke(token.token_id).await.unwrap();
    // There is one admin only, who must stay one.
    let demoted = UserUpdate { role: Some(PlatformRole::GlobalUser), disabled: None };
    refused!(
        both,
        Conflict,
        commands.exec(id, sh("false"), key("taken")),
        commands.submit(id, sh("false"), key("taken")),
        satellites.update(other, named(NAME)),
        identity.team_create(TeamCreate { slug: "ops".into() }),
        identity.user_create(user("admin")),
        identity.user_update(world.admin.user, demoted.clone()),
        identity.api_key_rotate(key_info.id, ApiKeyRotate::default()),
        identity.registration_token_revoke(token.token_id),
        sessions.send_input(session, "x".into()),
        sessions.resize(session, Size::default()),
    );
    refused!(both, NotFound, identity.api_key_revoke(key_info.id), identity.team_member_remove(team, world.admin.user));
    refused!(
        both,
        SatelliteInactive,
        commands.exec(other, sh("true"), plain()),
        sessions.create(SessionCreate::on(other))
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_satellite_refuses_or_is_not_there_for() {
    let world = BehaviourWorld::remote().await;
    let both = &world.both().await;
    let mut options = SatelliteOptions::default();
    options.args(["--blocked-command", "rm", "--allow-power", "false"]);
    let mut machine = world.satellite_with(NAME, options).await;
    let id = machine.id;
    let reboot = PowerRequest { action: PowerAction::Reboot, delay_seconds: 0, message: None, priority: None };
    refused!(
        both,
        CommandBlocked,
        commands.exec(id, sh("rm -rf /nothing"), plain()),
        commands.power(id, reboot.clone(), plain())
    );
    let seconds = unique_seconds();
    let running = world.api().commands().submit(id, sh(&format!("sleep {seconds}")), plain()).await.unwrap();
    let session = world.api().sessions().create(small_shell(id)).await.unwrap().id;
    // Killed, not stopped: a stop would end the command and the session.
    machine.process.process().kill();
    until("it is offline", async || !world.api().satellites().get(id).await.unwrap().unwrap().online).await;
    refused!(
        both,
        SatelliteOffline,
        commands.exec(id, sh("true"), plain()),
        commands.power(id, reboot.clone(), plain()),
        commands.cancel(running),
        sessions.create(SessionCreate::on(id)),
        sessions.send_input(session, "x".into()),
        sessions.resize(session, Size::default()),
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_may_not() {
    let world = BehaviourWorld::remote().await;
    let (ops, dev) = (world.team("ops").await, world.team("dev").await);
    let both = &world.both_as("olga", &[(ops, Role::Viewer)]).await;
    let (seen, hidden) = (world.away("ops-server-01", Some(ops)).await, world.away("dev-server-01", Some(dev)).await);
    let command = world.api().commands().submit(seen, sh("true"), plain()).await.unwrap();
    let hidden_command = world.api().commands().submit(hidden, sh("true"), plain()).await.unwrap();
    let token = |team_id: Option<TeamId>| RegistrationTokenCreate {
        scope: if team_id.is_some() { TokenScope::Team } else { TokenScope::Global },
        team_id,
        expires_in_hours: None,
        description: None,
        ..RegistrationTokenCreate::global()
    };
    let put = || TeamMemberPut { username: "olga".into(), role: Role::Admin };
    let reboot = PowerRequest { action: PowerAction::Reboot, delay_seconds: 0, message: None, priority: None };
    let status = SatelliteUpdate { status: Some(SatelliteStatus::Active), ..SatelliteUpdate::default() };
    refused!(
        both,
        Forbidden,
        commands.exec(seen, sh("true"), plain()),
        commands.submit(seen, sh("true"), plain()),
        commands.power(seen, reboot.clone(), plain()),
        commands.exec_multi(vec![Target::Id(seen)], sh("true"), plain()),
        commands.exec_stream(vec![Target::Id(seen)], sh("true"), plain()),
        commands.cancel(command),
        satellites.update(seen, status.clone()),
        satellites.remove(seen),
        satellites.mark_offline(seen),
        sessions.create(SessionCreate::on(seen)),
        sessions.list(SessionFilter::default()),
        identity.user_list(PageRequest::default()),
        identity.user_create(UserCreate { username: "more".into(), role: PlatformRole::GlobalAdmin }),
        identity.team_create(TeamCreate { slug: "more".into() }),
        identity.team_member_list(ops),
        identity.team_member_put(ops, put()),
        identity.team_member_remove(ops, world.admin.user),
        identity.registration_token_create(token(Some(ops))),
        identity.registration_token_create(token(None)),
        identity.registration_token_list(),
        audit.query(AuditQuery::default(), PageRequest::default()),
        audit.get(of::<AuditId>("aud")),
        audit.export(),
        audit.verify(),
        audit.log("a".into(), AuditTarget { kind: "x".into(), id: "y".into() }, json!(null)),
    );
    refused!(
        both,
        SatelliteNotFound,
        commands.exec(hidden, sh("true"), plain()),
        commands.submit(hidden, sh("true"), plain()),
        commands.exec_multi(vec![Target::Name("dev-server-01".try_into().unwrap())], sh("true"), plain()),
        commands.list(hidden, PageRequest::default()),
        satellites.update(hidden, status.clone()),
        satellites.remove(hidden),
        sessions.create(SessionCreate::on(hidden)),
    );
    refused!(
        both,
        NotFound,
        commands.cancel(hidden_command),
        commands.output(hidden_command, Channel::Stdout, 0),
        identity.team_member_list(dev),
        identity.team_member_put(dev, put()),
        identity.user_update(world.admin.user, UserUpdate::default()),
        identity.user_password_reset(world.admin.user),
    );
    for hive in both {
        assert!(
            hive.satellites().get(hidden).await.unwrap().is_none()
                && hive.identity().user_get(world.admin.user).await.unwrap().is_none()
        );
        assert!(hive.commands().get(hidden_command, OutputEncoding::Lossy).await.unwrap().is_none());
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_refused() {
    let world = BehaviourWorld::remote().await;
    let both = &world.both().await;
    let (ops, used) = (world.team("ops").await, world.token(None).await);
    world.api().satellites().register(used.clone().into(), request("web-server-01")).await.unwrap();
    let (good, of_team) = (world.token(None).await, world.token(Some(ops)).await);
    // A prefix that does not fit the signed claims.
    let swapped = good.replace("_global_", "_team_");
    refused!(
        both,
        AuthInvalid,
        satellites.register(used.clone().into(), request("web-server-02")),
        satellites.register("nonsense".into(), request("web-server-02")),
    );
    refused!(both, AuthRequired, satellites.register("".into(), request("web-server-02")));
    refused!(both, Forbidden, satellites.register(swapped.clone().into(), request("web-server-02")));
    refused!(both, InvalidInput, satellites.register(good.clone().into(), request("Not A Name")));
    refused!(both, Conflict, satellites.register(of_team.clone().into(), request("web-server-01")));
    world.end().await;
}
