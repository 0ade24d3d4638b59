//! What cannot be done is refused in the same words from both sides: kind, fields, code, message and details.

use bytes::Bytes;
use hive_core::access::Role;
use hive_core::job::JobOptions;
use hive_core::router::ExecOptions;
use hive_core::wire::agent::Channel;
use hive_core::wire::api::{
    ApiKeyCreate, AuditQuery, AuditTarget, ExecCommand, OutputEncoding, PageRequest, PasswordChange, PlatformRole,
    PowerAction, PowerRequest, RegistrationTokenCreate, SatelliteFilter, SatelliteStatus, SatelliteUpdate,
    SessionCreate, SessionFilter, Size, Target, TeamCreate, TeamMemberPut, TokenScope, UserCreate, UserUpdate,
};
use hive_core::wire::credential::Secret;
use hive_core::wire::session::AttachRequest;
use hive_core::wire::{
    ApiKeyId, AuditId, CommandId, ErrorCode, JobId, RegistrationTokenId, SatelliteId, SessionId, TeamId, UserId,
};
use hive_core::{Error, HiveApi, Result};
use hive_testkit::{SatelliteOptions, until};
use serde_json::json;

use super::World;
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

fn page(page: u32, per_page: u32) -> PageRequest {
    PageRequest { page, per_page }
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
    ($both:expr, $code:ident, $($method:ident($($argument:expr),*)),+ $(,)?) => {$(
        let call = concat!(stringify!($method), "(", stringify!($($argument),*), ")");
        check($both, call, ErrorCode::$code, async |hive| hive.$method($($argument),*).await).await;
    )+};
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there() {
    let world = World::remote().await;
    let both = &world.both().await;
    let (satellite, session): (SatelliteId, SessionId) = (of("sat"), of("sess"));
    let reboot = PowerRequest { action: PowerAction::Reboot, delay_seconds: 0, message: None, priority: None };
    refused!(
        both,
        SatelliteNotFound,
        exec(satellite, sh("true"), plain()),
        submit(satellite, sh("true"), plain()),
        power(satellite, reboot.clone(), plain()),
        exec_multi(vec![Target::Id(satellite)], sh("true"), plain()),
        exec_multi(vec![Target::Name("no-such-satellite".try_into().unwrap())], sh("true"), plain()),
        exec_stream(vec![Target::Id(satellite)], sh("true"), plain()),
        job_submit(vec![Target::Id(satellite)], sh("true"), JobOptions::default()),
        command_list(satellite, PageRequest::default()),
        mark_offline(satellite),
        update(satellite, SatelliteUpdate::default()),
        remove(satellite),
        session_create(SessionCreate::on(satellite)),
        session_list(SessionFilter { satellite_id: Some(satellite), ended: true }),
    );
    refused!(
        both,
        SessionNotFound,
        session_input(session, "x".into()),
        session_input(session, Bytes::new()),
        session_resize(session, Size::default()),
        session_terminate(session),
        session_attach(session, AttachRequest::default()),
    );
    let (command, job): (CommandId, JobId) = (of("cmd"), of("job"));
    let (team, user): (TeamId, UserId) = (of("team"), of("usr"));
    refused!(
        both,
        NotFound,
        command_output(command, Channel::Stdout, 0),
        command_cancel(command),
        job_target_list(job, PageRequest::default()),
        job_cancel(job),
        job_watch(job),
        user_update(user, UserUpdate::default()),
        user_password_reset(user),
        team_member_list(team),
        team_member_put(team, TeamMemberPut { username: "admin".into(), role: Role::Viewer }),
        team_member_remove(team, user),
        api_key_rotate(of::<ApiKeyId>("key")),
        api_key_revoke(of::<ApiKeyId>("key")),
        registration_token_revoke(of::<RegistrationTokenId>("reg")),
        registration_token_create(RegistrationTokenCreate {
            scope: TokenScope::Team,
            team_id: Some(team),
            expires_in_hours: None,
            description: None,
            ..RegistrationTokenCreate::global()
        }),
    );
    for hive in both {
        assert!(hive.get(satellite).await.unwrap().is_none() && hive.job_get(job).await.unwrap().is_none());
        assert!(hive.command_get(command, OutputEncoding::Lossy).await.unwrap().is_none());
        assert!(hive.session_get(session).await.unwrap().is_none() && hive.user_get(user).await.unwrap().is_none());
        assert!(hive.entry(of::<AuditId>("aud")).await.unwrap().is_none());
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_a_rule() {
    let world = World::remote().await;
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
        exec(id, sh(" "), plain()),
        exec(id, sh("a\0b"), plain()),
        exec(id, with(|command| command.timeout_seconds = Some(0)), plain()),
        exec(id, with(|command| command.expires_in_seconds = Some(u32::MAX)), plain()),
        exec(id, with(|command| command.stdin = Some("not base64!".into())), plain()),
        exec(id, with(|command| drop(command.env.insert("A=B".into(), "x".into()))), plain()),
        exec(id, sh("true"), key("")),
        exec(id, sh("true"), key(&"k".repeat(256))),
        exec(id, sh("true"), key("with space")),
        exec(id, sh("true"), key("größe")),
        exec(id, sh("true"), key("line\nbreak")),
        submit(id, sh("true"), key("\u{7f}")),
        exec_multi(vec![], sh("true"), plain()),
        exec_multi(vec![named("no-such-tag")], sh("true"), plain()),
        exec_multi(vec![named("")], sh("true"), plain()),
        exec_multi(vec![Target::All; 10_001], sh("true"), plain()),
        job_submit(vec![named("web"); 10_001], sh("true"), JobOptions::default()),
        exec_multi(vec![Target::All], sh("true"), ExecOptions { concurrency: Some(0), ..plain() }),
        exec_multi(vec![Target::All], sh("true"), ExecOptions { concurrency: Some(5000), ..plain() }),
        exec_stream(vec![], sh("true"), plain()),
        exec_by_tag("no such tag", sh("true"), plain()),
        job_submit(vec![], sh("true"), JobOptions::default()),
        job_submit(vec![Target::All], sh("true"), JobOptions { deadline_seconds: Some(0), ..JobOptions::default() }),
        list(SatelliteFilter::default(), page(0, 20)),
        list(SatelliteFilter::default(), page(1, 0)),
        list(SatelliteFilter::default(), page(1, 1001)),
        command_list(id, page(0, 1)),
        job_list(page(1, 5000)),
        user_list(page(0, 0)),
        query(AuditQuery::default(), page(0, 20)),
        update(id, SatelliteUpdate { tags: Some(vec!["a,b".into()]), ..SatelliteUpdate::default() }),
        update(id, SatelliteUpdate { region: Some(String::new()), ..SatelliteUpdate::default() }),
        power(
            id,
            PowerRequest { action: PowerAction::Reboot, delay_seconds: u32::MAX, message: None, priority: None },
            plain()
        ),
        session_create(create(0, 24, None)),
        session_create(create(80, 1001, None)),
        session_create(create(80, 24, Some("/no/such/shell"))),
        team_create(TeamCreate { slug: "Not A Slug".into() }),
        user_create(UserCreate { username: "Not A Name".into(), role: PlatformRole::GlobalUser }),
        password_change(PasswordChange { current: Secret("wrong".into()), new: Secret("a long one, this is".into()) }),
        password_change(PasswordChange { current: Secret("wrong".into()), new: Secret("short".into()) }),
        api_key_create(ApiKeyCreate { name: "x".into(), expires_in_hours: Some(0) }),
        api_key_create(ApiKeyCreate { name: "\u{1b}".into(), expires_in_hours: None }),
        registration_token_create(RegistrationTokenCreate {
            scope: TokenScope::Team,
            team_id: None,
            expires_in_hours: None,
            description: None,
            ..RegistrationTokenCreate::global()
        }),
        log(String::new(), AuditTarget { kind: "x".into(), id: "y".into() }, json!(null)),
    );
    let session = world.api().session_create(small_shell(id)).await.unwrap().id;
    let size = Size { cols: 80, rows: 0 };
    refused!(
        both,
        InvalidInput,
        session_resize(session, size),
        session_attach(session, AttachRequest { size: Some(size), ..AttachRequest::default() }),
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large() {
    let world = World::remote().await;
    let both = &world.both().await;
    let machine = world.satellite().await;
    let large = "x".repeat(200 * 1024);
    let target = AuditTarget { kind: "x".into(), id: "y".into() };
    refused!(
        both,
        PayloadTooLarge,
        exec(machine.id, sh(&large), plain()),
        exec_multi(vec![Target::All], sh(&large), plain()),
        job_submit(vec![Target::All], sh(&large), JobOptions::default()),
        log("a".into(), target.clone(), json!(large)),
    );
    // Beyond what one call carries at all.
    let huge = "x".repeat(3 * 1024 * 1024);
    for hive in both {
        let refused = hive.exec(machine.id, sh(&huge), plain()).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::PayloadTooLarge, "{refused:?}");
        let refused = hive.log("a".into(), target.clone(), json!(huge)).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::PayloadTooLarge, "{refused:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_what_is_there() {
    let world = World::remote().await;
    let both = &world.both().await;
    let machine = world.satellite().await;
    let id = machine.id;
    let (other, team) = (world.absent("absent-server-01", None).await, world.team("ops").await);
    let named = |name: &str| SatelliteUpdate { name: Some(name.try_into().unwrap()), ..SatelliteUpdate::default() };
    let user = |name: &str| UserCreate { username: name.into(), role: PlatformRole::GlobalUser };
    world.api().exec(id, sh("true"), key("taken")).await.unwrap();
    let session = world.api().session_create(small_shell(id)).await.unwrap().id;
    world.api().session_terminate(session).await.unwrap();
    let key_info = world.api().api_key_create(ApiKeyCreate::default()).await.unwrap().info;
    world.api().api_key_revoke(key_info.id).await.unwrap();
    let token = world.api().registration_token_create(RegistrationTokenCreate {
        scope: TokenScope::Global,
        team_id: None,
        expires_in_hours: None,
        description: None,
        ..RegistrationTokenCreate::global()
    });
    let token = token.await.unwrap();
    world.api().registration_token_revoke(token.token_id).await.unwrap();
    let demoted = UserUpdate { role: Some(PlatformRole::GlobalUser), disabled: None };
    refused!(
        both,
        Conflict,
        exec(id, sh("false"), key("taken")),
        submit(id, sh("false"), key("taken")),
        update(other, named(NAME)),
        team_create(TeamCreate { slug: "ops".into() }),
        user_create(user("admin")),
        user_update(world.admin.user, demoted.clone()),
        api_key_rotate(key_info.id),
        registration_token_revoke(token.token_id),
        session_input(session, "x".into()),
        session_resize(session, Size::default()),
    );
    refused!(both, NotFound, api_key_revoke(key_info.id), team_member_remove(team, world.admin.user));
    refused!(both, SatelliteInactive, exec(other, sh("true"), plain()), session_create(SessionCreate::on(other)));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_satellite_refuses_or_is_not_there_for() {
    let world = World::remote().await;
    let both = &world.both().await;
    let mut options = SatelliteOptions::default();
    options.args(["--blocked-command", "rm", "--allow-power", "false"]);
    let mut machine = world.satellite_with(NAME, options).await;
    let id = machine.id;
    let reboot = PowerRequest { action: PowerAction::Reboot, delay_seconds: 0, message: None, priority: None };
    refused!(both, CommandBlocked, exec(id, sh("rm -rf /nothing"), plain()), power(id, reboot.clone(), plain()));
    let seconds = unique_seconds();
    let running = world.api().submit(id, sh(&format!("sleep {seconds}")), plain()).await.unwrap();
    let session = world.api().session_create(small_shell(id)).await.unwrap().id;
    machine.process.process().kill();
    until("it is offline", async || !world.api().get(id).await.unwrap().unwrap().online).await;
    refused!(
        both,
        SatelliteOffline,
        exec(id, sh("true"), plain()),
        power(id, reboot.clone(), plain()),
        command_cancel(running),
        session_create(SessionCreate::on(id)),
        session_input(session, "x".into()),
        session_resize(session, Size::default()),
    );
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_may_not() {
    let world = World::remote().await;
    let (ops, dev) = (world.team("ops").await, world.team("dev").await);
    let both = &world.both_as("olga", &[(ops, Role::Viewer)]).await;
    let (seen, hidden) = (world.away("ops-server-01", Some(ops)).await, world.away("dev-server-01", Some(dev)).await);
    let command = world.api().submit(seen, sh("true"), plain()).await.unwrap();
    let hidden_command = world.api().submit(hidden, sh("true"), plain()).await.unwrap();
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
        exec(seen, sh("true"), plain()),
        submit(seen, sh("true"), plain()),
        power(seen, reboot.clone(), plain()),
        exec_multi(vec![Target::Id(seen)], sh("true"), plain()),
        exec_stream(vec![Target::Id(seen)], sh("true"), plain()),
        command_cancel(command),
        update(seen, status.clone()),
        remove(seen),
        mark_offline(seen),
        session_create(SessionCreate::on(seen)),
        session_list(SessionFilter::default()),
        user_list(PageRequest::default()),
        user_create(UserCreate { username: "more".into(), role: PlatformRole::GlobalAdmin }),
        team_create(TeamCreate { slug: "more".into() }),
        team_member_list(ops),
        team_member_put(ops, put()),
        team_member_remove(ops, world.admin.user),
        registration_token_create(token(Some(ops))),
        registration_token_create(token(None)),
        registration_token_list(),
        query(AuditQuery::default(), PageRequest::default()),
        entry(of::<AuditId>("aud")),
        export(),
        verify(),
        log("a".into(), AuditTarget { kind: "x".into(), id: "y".into() }, json!(null)),
    );
    refused!(
        both,
        SatelliteNotFound,
        exec(hidden, sh("true"), plain()),
        submit(hidden, sh("true"), plain()),
        exec_multi(vec![Target::Name("dev-server-01".try_into().unwrap())], sh("true"), plain()),
        command_list(hidden, PageRequest::default()),
        update(hidden, status.clone()),
        remove(hidden),
        session_create(SessionCreate::on(hidden)),
    );
    refused!(
        both,
        NotFound,
        command_cancel(hidden_command),
        command_output(hidden_command, Channel::Stdout, 0),
        team_member_list(dev),
        team_member_put(dev, put()),
        user_update(world.admin.user, UserUpdate::default()),
        user_password_reset(world.admin.user),
    );
    for hive in both {
        assert!(hive.get(hidden).await.unwrap().is_none() && hive.user_get(world.admin.user).await.unwrap().is_none());
        assert!(hive.command_get(hidden_command, OutputEncoding::Lossy).await.unwrap().is_none());
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_refused() {
    let world = World::remote().await;
    let both = &world.both().await;
    let (ops, used) = (world.team("ops").await, world.token(None).await);
    world.api().register(used.clone().into(), request("web-server-01")).await.unwrap();
    let (good, of_team) = (world.token(None).await, world.token(Some(ops)).await);
    let swapped = good.replace("_global_", "_team_");
    refused!(
        both,
        AuthInvalid,
        register(used.clone().into(), request("web-server-02")),
        register("nonsense".into(), request("web-server-02")),
    );
    refused!(both, AuthRequired, register("".into(), request("web-server-02")));
    refused!(both, Forbidden, register(swapped.clone().into(), request("web-server-02")));
    refused!(both, InvalidInput, register(good.clone().into(), request("Not A Name")));
    refused!(both, Conflict, register(of_team.clone().into(), request("web-server-01")));
    world.end().await;
}
