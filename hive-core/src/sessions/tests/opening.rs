//! Tests of opening sessions, and of their access control.

use hive_wire::agent::ErrorBody;
use hive_wire::api::{AuditResult, EndReason, SatelliteStatus, SatelliteUpdate, SessionFilter, SessionStatus, Size};

use hive_wire::session::AttachRequest;

use super::*;
use crate::hive::tests::register;
use hive_wire::api::SessionEnd;

fn refused(code: ErrorCode) -> SessionEnd {
    let error = Some(ErrorBody { code, message: "not here".into() });
    SessionEnd { reason: EndReason::Error, exit_code: None, error }
}

#[tokio::test]
async fn a_terminal_is_opened_and_its_echo_comes_back() {
    let (hive, mut machine, id, mut looker) = a_terminal().await;
    looker.write(b"ls\r").await;
    machine.until(|machine| machine.terminal(id).input == b"ls\r").await;
    machine.print(id, b"ls\r\nCargo.toml\r\n").await;
    looker.until_shown(b"Cargo.toml\r\n").await;
    let session = hive.as_system().sessions().get(id).await.unwrap().unwrap();
    assert_eq!((session.status, session.online, session.viewers), (SessionStatus::Open, true, 1));
    let results: Vec<_> = audit_log(&hive, "session.create").await.into_iter().map(|entry| entry.result).collect();
    // The newest first: the intent was stored before the satellite was asked.
    assert_eq!(results, [AuditResult::Success, AuditResult::Intent]);
}

#[tokio::test]
async fn what_is_asked_for_reaches_the_satellite_and_secrets_no_record() {
    let (hive, mut machine) = a_machine().await;
    let request = SessionCreate {
        cols: 132,
        rows: 50,
        shell: Some("/bin/zsh".into()),
        env: [("TOKEN".into(), "hunter2".into())].into(),
        ..SessionCreate::on(machine.id)
    };
    let session = machine.during(hive.as_system().sessions().create(request)).await.unwrap();
    assert_eq!(machine.terminal(session.id).size, Size { cols: 132, rows: 50 });
    assert_eq!((session.size, session.shell.as_deref()), (Size { cols: 132, rows: 50 }, Some("/bin/zsh")));
    let records = serde_json::to_string(&audit_log(&hive, "session.create").await).unwrap();
    assert!(records.contains("TOKEN") && !records.contains("hunter2"), "{records}");
}

#[tokio::test]
async fn a_field_that_breaks_a_rule_is_named() {
    let (hive, machine) = a_machine().await;
    let check = async |field: &str, request: SessionCreate| {
        let error = hive.as_system().sessions().create(request).await.unwrap_err().to_string();
        assert!(error.starts_with(field), "{error}");
    };
    let request = || SessionCreate::on(machine.id);
    check("cols", SessionCreate { cols: 0, ..request() }).await;
    check("rows", SessionCreate { rows: 1001, ..request() }).await;
    check("shell", SessionCreate { shell: Some("zsh".into()), ..request() }).await;
    check("env", SessionCreate { env: [("A=B".into(), String::new())].into(), ..request() }).await;
}

#[tokio::test]
async fn no_more_terminals_are_open_than_allowed() {
    let hive = hive_with(Settings { max_sessions_per_satellite: 2, ..Settings::default() }).await;
    let mut machine = online(&hive, NAME).await;
    open(&hive, &mut machine).await;
    let second = open(&hive, &mut machine).await.id;
    let acting = hive.as_system();
    let error = machine.during(acting.sessions().create(SessionCreate::on(machine.id))).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SessionLimit);
    machine.during(acting.sessions().terminate(second)).await.unwrap();
    open(&hive, &mut machine).await;
}

#[tokio::test]
async fn what_the_satellite_refuses_is_said_and_leaves_nothing_open() {
    let (hive, mut machine) = a_machine().await;
    let acting = hive.as_system();
    for (code, expected) in [
        (ErrorCode::CommandBlocked, ErrorCode::CommandBlocked),
        (ErrorCode::InvalidInput, ErrorCode::InvalidInput),
        (ErrorCode::Internal, ErrorCode::Unavailable),
    ] {
        machine.terminals.refusal = Some(refused(code));
        let error = machine.during(acting.sessions().create(SessionCreate::on(machine.id))).await.unwrap_err();
        assert_eq!(error.code(), expected);
    }
    // They would else count against the limit of sessions.
    assert_eq!(acting.sessions().list(SessionFilter::default()).await.unwrap(), []);
    let all = acting.sessions().list(SessionFilter { ended: true, ..SessionFilter::default() }).await.unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(audit_log(&hive, "session.create").await[0].result, AuditResult::Failure);
}

#[tokio::test]
async fn a_satellite_that_is_not_there_opens_nothing() {
    let (hive, mut machine) = a_machine().await;
    let acting = hive.as_system();
    let maintenance = SatelliteUpdate { status: Some(SatelliteStatus::Maintenance), ..SatelliteUpdate::default() };
    acting.satellites().update(machine.id, maintenance).await.unwrap();
    let error = acting.sessions().create(SessionCreate::on(machine.id)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SatelliteInactive);
    let active = SatelliteUpdate { status: Some(SatelliteStatus::Active), ..SatelliteUpdate::default() };
    acting.satellites().update(machine.id, active).await.unwrap();
    machine.cut();
    let error = acting.sessions().create(SessionCreate::on(machine.id)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SatelliteOffline);
    // One that was registered and never came.
    let unknown = register(&hive, "web-server-02").await.id;
    let error = acting.sessions().create(SessionCreate::on(unknown)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SatelliteInactive);
}

#[tokio::test]
async fn a_terminal_of_another_team_looks_as_if_it_did_not_exist() {
    let hive = hive_with(Settings::default()).await;
    let (anna, bert, mut machine) = two_teams(&hive).await;
    let id = machine.during(anna.sessions().create(SessionCreate::on(machine.id))).await.unwrap().id;
    assert_eq!(bert.sessions().get(id).await.unwrap(), None);
    assert_eq!(bert.sessions().list(SessionFilter::default()).await.unwrap(), []);
    let not_found = ErrorCode::SessionNotFound;
    assert_eq!(bert.sessions().attach(id, AttachRequest::default()).await.unwrap_err().code(), not_found);
    assert_eq!(bert.sessions().send_input(id, "x".into()).await.unwrap_err().code(), not_found);
    assert_eq!(bert.sessions().resize(id, Size::default()).await.unwrap_err().code(), not_found);
    assert_eq!(bert.sessions().terminate(id).await.unwrap_err().code(), not_found);
    let error = bert.sessions().create(SessionCreate::on(machine.id)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SatelliteNotFound);
    let theirs = SessionFilter { satellite_id: Some(machine.id), ..SessionFilter::default() };
    assert_eq!(bert.sessions().list(theirs.clone()).await.unwrap_err().code(), ErrorCode::SatelliteNotFound);
    assert_eq!(anna.sessions().list(theirs).await.unwrap().len(), 1);
}

#[tokio::test]
async fn who_may_only_see_satellites_opens_no_terminal() {
    let hive = hive_with(Settings::default()).await;
    let (anna, _, mut machine) = two_teams(&hive).await;
    let id = machine.during(anna.sessions().create(SessionCreate::on(machine.id))).await.unwrap().id;
    let mut principal = anna.principal().clone();
    // In its own team, so that the sessions are no secret: the refusal is 403 and not 404.
    principal.scopes = Some([crate::access::Permission::SatellitesRead].into());
    let guest = hive.acting_as(principal);
    assert_eq!(guest.sessions().get(id).await.unwrap_err().code(), ErrorCode::Forbidden);
    assert_eq!(guest.sessions().list(SessionFilter::default()).await.unwrap_err().code(), ErrorCode::Forbidden);
    assert_eq!(guest.sessions().attach(id, AttachRequest::default()).await.unwrap_err().code(), ErrorCode::Forbidden);
}
