//! Who sends next over a link.

use std::collections::BTreeSet;

use super::*;
use crate::dirty_set::DirtySet;
use crate::pty::tests::{opened_as, session_id};
use crate::spool::Spool;
use bytes::Bytes;
use hive_wire::agent::CommandResult;
use hive_wire::api::CommandStatus;
use hive_wire::id::Seed;

fn id(n: u8) -> CommandId {
    CommandId::new(Seed { unix_millis: 1, random: [n; 10] })
}

struct SpoolRig {
    _dir: tempfile::TempDir,
    spool: Spool,
    /// Commands of which a chunk was read.
    ready: Arc<DirtySet<CommandId>>,
}

fn rig() -> SpoolRig {
    let dir = tempfile::tempdir().unwrap();
    SpoolRig { spool: Spool::of_dir(dir.path().to_owned()), ready: Arc::default(), _dir: dir }
}

/// Fills the lanes as a link does, which waits for what the spool reads.
async fn fill(scheduler: &mut SendScheduler, rig: &SpoolRig) {
    scheduler.fill();
    while !scheduler.lanes.is_full(Lane::Bulk) {
        let reading = scheduler.commands.values().filter(|command| command.is_reading()).count();
        if reading == 0 {
            return;
        }
        // All of them, so that the order of the turns does not depend on the speed of the disk.
        let mut read = BTreeSet::new();
        while read.len() < reading {
            read.extend(rig.ready.take().await);
        }
        for id in read {
            scheduler.make_ready(id);
        }
        scheduler.fill();
    }
}

async fn attached(scheduler: &mut SendScheduler, rig: &SpoolRig, n: u8, output: &[u8]) {
    rig.spool.writer(id(n), Channel::Stdout).append(Bytes::copy_from_slice(output)).await;
    let slots = scheduler.read_slots.clone();
    let reader = |channel| rig.spool.reader(id(n), channel, slots.clone(), rig.ready.clone());
    scheduler.begin(id(n), Received::default(), [Channel::Stdout, Channel::Stderr].map(reader));
    let produced = rig.spool.stored_len(id(n)).await;
    let result = CommandResult {
        id: id(n),
        status: CommandStatus::Succeeded,
        exit_code: Some(0),
        duration_ms: 1,
        sent: produced,
        truncated: false,
        error: None,
    };
    scheduler
        .advance(id(n), ExecutionProgress { is_started: true, journal_position: None, produced, result: Some(result) });
}

fn kind(message: &AgentMessage) -> String {
    match message {
        AgentMessage::Control(message) => serde_json::to_value(message).unwrap()["type"].as_str().unwrap().into(),
        AgentMessage::Data(frame) => format!("stream {}", frame.stream),
        AgentMessage::Ping => panic!("a ping"),
    }
}

#[tokio::test]
async fn control_overtakes_output_and_outputs_take_turns() {
    let rig = rig();
    let mut scheduler = SendScheduler::new();
    attached(&mut scheduler, &rig, 1, &vec![b'x'; 200_000]).await;
    attached(&mut scheduler, &rig, 2, &vec![b'y'; 200_000]).await;
    fill(&mut scheduler, &rig).await;
    assert_eq!(scheduler.ready.len(), 2);
    attached(&mut scheduler, &rig, 3, b"").await;
    let mut order = Vec::new();
    loop {
        fill(&mut scheduler, &rig).await;
        let Some(message) = scheduler.pop() else { break };
        order.push(kind(&message));
    }
    let control = ["command_ack", "command_ack", "command_ack", "command_result"];
    assert_eq!(order[..4], control, "the silent command does not wait for the loud ones");
    let data: Vec<_> = order.iter().filter(|kind| kind.starts_with("stream ")).collect();
    assert_eq!(
        data.iter().take(6).copied().collect::<Vec<_>>(),
        ["stream 1", "stream 3", "stream 1", "stream 3", "stream 1", "stream 3"]
    );
    assert_eq!(order.iter().filter(|kind| *kind == "command_result").count(), 3);
    assert_eq!(order.last().unwrap(), "command_result");
    assert!(scheduler.ready.is_empty());
}

#[tokio::test]
async fn a_slow_link_holds_only_a_few_messages() {
    let rig = rig();
    let mut scheduler = SendScheduler::new();
    for n in 0..50 {
        attached(&mut scheduler, &rig, n, &vec![b'x'; 100_000]).await;
    }
    fill(&mut scheduler, &rig).await;
    fill(&mut scheduler, &rig).await;
    let mut count = 0;
    while scheduler.pop().is_some() {
        count += 1;
    }
    assert!(count <= 2 * LANE);
    assert_eq!(scheduler.ready.len(), 50);
}

const MIB: usize = 1024 * 1024;

/// An attached session with credit for its output.
fn with_session(scheduler: &mut SendScheduler, n: u8) -> Arc<AgentSession> {
    let session = opened_as(session_id(n));
    scheduler.attach_session(session.clone(), Some(0));
    scheduler.set_flow(session.id, MIB as u64, Some(0));
    session
}

fn produce(scheduler: &mut SendScheduler, session: &AgentSession, len: usize) {
    session.append_output(&vec![b'x'; len]);
    scheduler.advance_session(session.id);
}

fn next(scheduler: &mut SendScheduler) -> String {
    scheduler.fill();
    scheduler.pop().as_ref().map(kind).unwrap_or_default()
}

#[tokio::test]
async fn sessions_go_before_commands_and_behind_control() {
    let rig = rig();
    let mut scheduler = SendScheduler::new();
    attached(&mut scheduler, &rig, 1, &vec![b'x'; 200_000]).await;
    scheduler.fill();
    let session = with_session(&mut scheduler, 2);
    produce(&mut scheduler, &session, 100_000);
    scheduler.push(ToServer::Disconnect { reason: "test".into() });
    let order: Vec<_> = std::iter::from_fn(|| Some(next(&mut scheduler))).take(6).collect();
    // Stream 1 is the first command's, stream 3 the session's.
    assert_eq!(order, ["command_ack", "disconnect", "pty_started", "stream 3", "stream 3", "stream_open"]);
}

#[test]
fn no_more_than_one_message_of_sessions_waits_for_the_link() {
    let mut scheduler = SendScheduler::new();
    let sessions: Vec<_> = (1..=5).map(|n| with_session(&mut scheduler, n)).collect();
    for session in &sessions {
        produce(&mut scheduler, session, MIB / 2);
    }
    scheduler.fill();
    scheduler.fill();
    assert!(scheduler.pop().is_some());
    assert!(scheduler.pop().is_none());
}

#[test]
fn the_session_that_was_typed_into_answers_first() {
    let mut scheduler = SendScheduler::new();
    let sessions: Vec<_> = (1..=3).map(|n| with_session(&mut scheduler, n)).collect();
    while !next(&mut scheduler).is_empty() {}
    produce(&mut scheduler, &sessions[0], MIB / 2);
    produce(&mut scheduler, &sessions[1], MIB / 2);
    assert_eq!([next(&mut scheduler), next(&mut scheduler)], ["stream 1", "stream 3"]);
    scheduler.accept_input(&Frame::data(StreamId(5), 0, "x".into(), false)).unwrap();
    produce(&mut scheduler, &sessions[2], 1);
    assert_eq!([next(&mut scheduler), next(&mut scheduler)], ["stream 5", "stream 1"]);
    scheduler.accept_input(&Frame::data(StreamId(3), 0, "x".into(), false)).unwrap();
    scheduler.advance_session(sessions[1].id);
    assert_eq!([next(&mut scheduler), next(&mut scheduler)], ["stream 3", "stream 1"]);
}
