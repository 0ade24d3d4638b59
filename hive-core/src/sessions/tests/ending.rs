//! Tests of the ends of sessions, and of satellites that violate the protocol.

use bytes::Bytes;
use hive_test_peers::satellite::exited;
use hive_wire::agent::{PtyStarted, ToServer};
use hive_wire::api::{AuditResult, EndReason, SatelliteUpdate, SessionFilter, SessionStatus, Size};
use hive_wire::frame::{Frame, StreamId};
use hive_wire::session::{AttachRequest, ViewMode};

use super::looker::request as wish;
use super::*;

#[tokio::test]
async fn an_end_is_told_behind_all_output_stored_and_acknowledged() {
    let (hive, mut machine, id, mut looker) = a_terminal().await;
    machine.print(id, b"logout\r\n").await;
    machine.exit(id, exited(3)).await;
    looker.until(|looker| looker.ended.is_some()).await;
    assert_eq!((&looker.shown[..], &looker.ended), (&b"logout\r\n"[..], &Some(exited(3))));
    assert!(!looker.step().await);
    assert_eq!(looker.send_input(0, b"x").await.unwrap_err().code(), ErrorCode::Conflict);
    machine.until(|machine| machine.terminals.is_empty()).await;
    let session = hive.as_system().sessions().get(id).await.unwrap().unwrap();
    assert_eq!((session.status, session.end), (SessionStatus::Ended, Some(exited(3))));
    let record = &audit_log(&hive, "session.end").await[0];
    assert_eq!(record.details["exit_code"], 3);
    assert_eq!(record.details["output_bytes"], 8);
    let text = serde_json::to_string(record).unwrap();
    assert!(!text.contains("logout"), "{text}");
}

#[tokio::test]
async fn one_that_was_cut_off_at_the_end_gets_the_rest() {
    let (hive, mut machine, id, looker) = a_terminal().await;
    let comeback = looker.comeback();
    drop(looker);
    machine.print(id, b"the last words").await;
    machine.exit(id, exited(0)).await;
    let mut looker = Looker::attach(&hive.as_system(), id, comeback).await;
    looker.until(|looker| looker.ended.is_some()).await;
    assert_eq!(looker.shown, b"the last words");
}

#[tokio::test]
async fn who_comes_long_after_the_end_is_told_of_it() {
    let (hive, mut machine, id, _) = a_terminal().await;
    machine.exit(id, exited(0)).await;
    hive.services().sessions.remove(id);
    let mut looker = Looker::attach(&hive.as_system(), id, AttachRequest::default()).await;
    looker.until(|looker| looker.ended.is_some()).await;
    assert!(!looker.step().await && looker.shown.is_empty());
    assert!(!looker.control.is_mine);
}

#[tokio::test]
async fn to_terminate_ends_it_on_the_satellite() {
    let (hive, mut machine, id, mut looker) = a_terminal().await;
    machine.during(hive.as_system().sessions().terminate(id)).await.unwrap();
    looker.until(|looker| looker.ended.is_some()).await;
    assert_eq!(looker.ended.as_ref().unwrap().reason, EndReason::Killed);
    machine.until(|machine| machine.terminals.is_empty()).await;
    hive.as_system().sessions().terminate(id).await.expect("to end what has ended is fine");
    let audit_log = audit_log(&hive, "session.terminate").await;
    assert_eq!((audit_log.len(), audit_log[0].result.clone()), (1, AuditResult::Intent));
}

#[tokio::test]
async fn one_whose_satellite_is_away_counts_as_ended_and_is_ended_there_later() {
    let (hive, mut machine, id, mut looker) = a_terminal().await;
    machine.cut();
    hive.as_system().sessions().terminate(id).await.unwrap();
    looker.until(|looker| looker.ended.is_some()).await;
    assert_eq!(hive.as_system().sessions().list(SessionFilter::default()).await.unwrap(), []);
    connect(&hive, &mut machine).await;
    machine.until(|machine| machine.terminals.is_empty()).await;
    let session = hive.as_system().sessions().get(id).await.unwrap().unwrap();
    assert_eq!(session.end.unwrap().exit_code, None, "the first end stays");
}

#[tokio::test]
async fn an_end_that_was_not_acknowledged_is_said_again() {
    let (hive, mut machine, id, _looker) = a_terminal().await;
    machine.cut();
    machine.exit(id, exited(7)).await;
    connect(&hive, &mut machine).await;
    machine.until(|machine| machine.terminals.is_empty()).await;
    let session = hive.as_system().sessions().get(id).await.unwrap().unwrap();
    assert_eq!(session.end, Some(exited(7)));
}

#[tokio::test]
async fn a_terminal_its_satellite_does_not_know_any_more_is_lost() {
    let (hive, mut machine, _, mut looker) = a_terminal().await;
    machine.cut();
    machine.terminals.clear();
    connect(&hive, &mut machine).await;
    machine.during(looker.until(|looker| looker.ended.is_some())).await;
    assert_eq!(looker.ended.as_ref().unwrap().reason, EndReason::Lost);
}

#[tokio::test]
async fn a_terminal_that_is_being_opened_on_a_new_link_is_not_lost() {
    let (hive, mut machine) = a_machine().await;
    // The race has several outcomes. Each round may hit another one.
    for _ in 0..20 {
        let acting = hive.as_system();
        let (id, request) = (machine.id, SessionCreate::on(machine.id));
        let creating =
            tokio_util::task::TaskTracker::new().spawn(async move { acting.sessions().create(request).await });
        machine.cut();
        connect(&hive, &mut machine).await;
        match machine.during(creating).await.unwrap() {
            Ok(session) => {
                assert_eq!(session.status, SessionStatus::Open);
                machine.during(hive.as_system().sessions().terminate(session.id)).await.unwrap();
            }
            // There was no link, or it was cut after the request. The session must not stay open.
            Err(error) => {
                assert!(matches!(error.code(), ErrorCode::SatelliteOffline | ErrorCode::Unavailable), "{error}");
            }
        }
        let filter = SessionFilter { satellite_id: Some(id), ..SessionFilter::default() };
        assert_eq!(hive.as_system().sessions().list(filter).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_satellite_that_changes_its_team_leaves_its_terminals_behind() {
    let hive = hive_with(Settings::default()).await;
    let (anna, _, mut machine) = two_teams(&hive).await;
    let id = machine.during(anna.sessions().create(SessionCreate::on(machine.id))).await.unwrap().id;
    let mut looker = Looker::typing(&anna, id).await;
    let to_all = SatelliteUpdate { team_id: Some(None), ..SatelliteUpdate::default() };
    hive.as_system().satellites().update(machine.id, to_all).await.unwrap();
    looker.until(|looker| looker.ended.is_some()).await;
    assert_eq!(looker.ended.as_ref().unwrap().reason, EndReason::Killed);
    assert_eq!(looker.send_input(0, b"x").await.unwrap_err().code(), ErrorCode::Conflict);
    machine.until(|machine| machine.terminal(id).end.is_some()).await;
}

#[tokio::test]
async fn a_satellite_that_is_removed_takes_its_terminals_along() {
    let (hive, machine, id, mut looker) = a_terminal().await;
    hive.as_system().satellites().remove(machine.id).await.unwrap();
    looker.until(|looker| looker.ended.is_some()).await;
    let session = hive.as_system().sessions().get(id).await.unwrap().unwrap();
    assert_eq!(session.end.unwrap().reason, EndReason::Killed);
}

#[tokio::test]
async fn a_hive_that_stops_ends_its_attachments_and_not_its_terminals() {
    let (hive, machine, id, mut looker) = a_terminal().await;
    drop(machine);
    hive.shutdown().await;
    assert!(!looker.step().await);
    assert_eq!(looker.ended, None);
    assert_eq!(hive.services().store.session_get(id).await.unwrap().unwrap().status, SessionStatus::Open);
}

#[tokio::test]
async fn another_satellite_has_no_say_in_a_terminal() {
    let (hive, _machine, id, mut looker) = a_terminal().await;
    let mut rogue = online(&hive, "web-server-02").await;
    let stream = StreamId(1);
    let started =
        PtyStarted { session_id: id, stream, output: 0, input: 0, keep: None, writer: None, size: Size::default() };
    rogue.send(ToServer::PtyStarted(started)).await;
    rogue.send(Frame::data(stream, 0, Bytes::from_static(b"evil"), false)).await;
    rogue.send(ToServer::PtyGap { session_id: id, from: 0, to: 1000 }).await;
    rogue.send(ToServer::PtyApplied { session_id: id, offset: 0 }).await;
    rogue.send(ToServer::PtyEnded { session_id: id, end: exited(0) }).await;
    let session = hive.as_system().sessions().get(id).await.unwrap().unwrap();
    assert_eq!(session.status, SessionStatus::Open);
    let second = Looker::attach(&hive.as_system(), id, wish(ViewMode::ReadOnly)).await;
    assert_eq!((second.end, &looker.shown[..]), (0, &b""[..]));
    looker.write(b"x").await;
}

#[tokio::test]
async fn a_satellite_that_breaks_the_protocol_is_told_apart() {
    let (_hive, mut machine, id, _looker) = a_terminal().await;
    let stream = machine.terminal(id).stream();
    let frame = |offset, len| Frame::data(stream, offset, vec![0; len].into(), false);
    assert!(machine.try_send(frame(1, 1)).await.is_err(), "a gap");
    assert!(machine.try_send(frame(u64::MAX - 1, 1)).await.is_err(), "an offset out of reach");
    machine.wait_until_idle().await;
    for n in 0..4 {
        machine.send(frame(n * 65536, 65536)).await;
    }
    assert!(machine.try_send(frame(4 * 65536, 1)).await.is_err(), "beyond the credit");
    assert!(machine.try_send(ToServer::PtyApplied { session_id: id, offset: 1 }).await.is_err(), "never typed");
    assert!(machine.try_send(ToServer::PtyGap { session_id: id, from: 0, to: u64::MAX }).await.is_err());
    let stray = Frame::data(StreamId(99), 0, Bytes::from_static(b"x"), false);
    assert!(machine.try_send(stray).await.is_err());
}
