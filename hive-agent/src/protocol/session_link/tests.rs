//! The order of what one session sends.

use super::*;
use crate::pty::tests::{opened, write_input};
use hive_wire::ViewerId;
use hive_wire::agent::PtyStarted;
use hive_wire::api::{EndReason, SessionEnd, Size};
use hive_wire::id::Seed;

const MIB: usize = 1024 * 1024;

fn link(session: &Arc<AgentSession>, received: Option<u64>) -> SessionLink {
    SessionLink::new(session.clone(), received, StreamId(5))
}

fn end() -> SessionEnd {
    SessionEnd { reason: EndReason::Exited, exit_code: Some(3), error: None }
}

/// Everything that is sent now, one word per message.
fn sent(link: &mut SessionLink) -> Vec<String> {
    std::iter::from_fn(|| link.next()).map(|piece| describe(&piece)).collect()
}

fn describe(piece: &AgentMessage) -> String {
    match piece {
        AgentMessage::Control(ToServer::PtyStarted(started)) => {
            let PtyStarted { stream, output, input, keep, .. } = started;
            format!("started {stream} {output}/{input} {keep:?}")
        }
        AgentMessage::Control(ToServer::PtyGap { from, to, .. }) => format!("gap {from}-{to}"),
        AgentMessage::Control(ToServer::PtyApplied { offset, .. }) => format!("applied {offset}"),
        AgentMessage::Control(ToServer::PtyEnded { end, .. }) => format!("ended {:?}", end.exit_code),
        AgentMessage::Ping => panic!("a ping"),
        AgentMessage::Control(other) => panic!("{other:?}"),
        AgentMessage::Data(frame) => format!("data {} {}+{}", frame.stream, frame.offset, frame.payload.len()),
    }
}

#[test]
fn nothing_is_said_before_the_server_knows_how_much_it_wants() {
    let session = opened();
    session.append_output(b"$ ");
    let mut link = link(&session, Some(0));
    assert_eq!(sent(&mut link), ["started 5 0/0 Some(0)"]);
    link.set_flow(100, Some(0));
    assert_eq!(sent(&mut link), ["data 5 0+2"]);
}

#[test]
fn the_end_comes_behind_all_output() {
    let session = opened();
    let mut link = link(&session, Some(0));
    link.set_flow(4, Some(0));
    session.append_output(b"logout");
    session.set_end(end());
    assert_eq!(sent(&mut link), ["started 5 0/0 Some(0)", "data 5 0+4"]);
    link.set_flow(10, Some(0));
    assert_eq!(sent(&mut link), ["data 5 4+2", "ended Some(3)"]);
    assert_eq!(sent(&mut link), [""; 0]);
    link.resend_started();
    assert_eq!(sent(&mut link), ["started 5 6/0 Some(0)", "ended Some(3)"]);
}

#[test]
fn a_server_that_has_everything_only_hears_of_the_end() {
    let session = opened();
    session.append_output(b"logout");
    session.set_end(end());
    assert_eq!(sent(&mut link(&session, Some(6))), ["started 5 6/0 Some(0)", "ended Some(3)"]);
    assert_eq!(sent(&mut SessionLink::end_only(session.clone())), ["ended Some(3)"]);
    assert_eq!(sent(&mut SessionLink::end_only(opened())), [""; 0]);
}

#[test]
fn an_echo_goes_before_the_word_that_it_was_typed() {
    let session = opened();
    let mut link = link(&session, Some(0));
    link.set_flow(MIB as u64, Some(0));
    sent(&mut link);
    write_input(&session, b"ls");
    session.append_output(b"ls");
    assert_eq!(sent(&mut link), ["data 5 0+2", "applied 2"]);
    write_input(&session, b"\r");
    assert_eq!(sent(&mut link), ["applied 3"], "without an echo it goes alone");
}

#[test]
fn a_flood_does_not_hold_up_the_word_of_what_was_typed() {
    let session = opened();
    let mut link = link(&session, Some(0));
    link.set_flow(MIB as u64, None);
    sent(&mut link);
    write_input(&session, b"^C");
    session.append_output(&vec![b'y'; 150_000]);
    assert_eq!(sent(&mut link), ["data 5 0+65536", "applied 2", "data 5 65536+65536", "data 5 131072+18928"]);
}

#[test]
fn a_server_that_fell_behind_is_told_what_it_missed() {
    let session = opened();
    link(&session, None).set_flow(0, None);
    session.append_output(&vec![b'y'; 3 * MIB]);
    let mut link = link(&session, Some(9));
    assert_eq!(sent(&mut link), ["started 5 9/0 None"]);
    link.set_flow(2 * MIB as u64 + 10, None);
    assert_eq!(sent(&mut link), [format!("gap 9-{}", 2 * MIB), format!("data 5 {}+10", 2 * MIB)]);
}

#[test]
fn a_server_that_knows_nothing_is_told_everything() {
    let session = opened();
    let viewer = ViewerId::new(Seed { unix_millis: 1, random: [7; 10] });
    link(&session, Some(0)).set_flow(MIB as u64, Some(3));
    session.append_output(b"hello");
    write_input(&session, b"ls");
    session.set_writer(Some(viewer));
    session.resize(Size { cols: 132, rows: 43 }, false);
    let Some(AgentMessage::Control(ToServer::PtyStarted(started))) = link(&session, None).next() else { panic!() };
    let size = Size { cols: 132, rows: 43 };
    let expected = PtyStarted {
        session_id: session.id,
        stream: StreamId(5),
        output: 3,
        input: 2,
        keep: Some(3),
        writer: Some(viewer),
        size,
    };
    assert_eq!(started, expected);
}
