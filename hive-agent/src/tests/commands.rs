//! Commands over links that break and return.

use super::*;

#[tokio::test]
async fn a_command_is_acknowledged_streamed_and_ended() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    link.send_control(shell(1, "echo hello; exit 3", 0)).await;
    let acknowledged = ToServer::CommandAck { id: command_id(1), journal_position: Some(1) };
    assert_eq!(link.next().await, FromSatellite::Control(acknowledged));
    let open =
        ToServer::StreamOpen { stream: StreamId(1), command_id: command_id(1), channel: Channel::Stdout, offset: 0 };
    assert_eq!(link.next().await, FromSatellite::Control(open));
    let (result, transcript) = link.result().await;
    assert_eq!((result.status, result.exit_code), (CommandStatus::Failed, Some(3)));
    assert_eq!(result.sent, Received { stdout: 6, stderr: 0 });
    assert_eq!(transcript.bytes, b"hello\n");
    link.send_control(ToAgent::ResultAck { id: command_id(1) }).await;
    link.send_control(shell(2, "true", 0)).await;
    let (result, transcript) = link.result().await;
    assert_eq!((result.status, transcript.offsets.len()), (CommandStatus::Succeeded, 0));
    assert_eq!(std::fs::read_dir(rig.dir.path().join("data/spool")).unwrap().count(), 0);
    agent.stop().await;
}

#[tokio::test]
async fn a_command_of_a_later_kind_is_refused_and_the_link_stays() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let ToAgent::Command(mut later) = shell(1, "true", 0) else { unreachable!() };
    later.payload = Payload::Unknown { command_type: "firmware".into(), payload: serde_json::json!({ "image": [1] }) };
    link.send_control(ToAgent::Command(later)).await;
    let (result, _) = link.result().await;
    let error = result.error.unwrap();
    assert_eq!((result.status, error.code), (CommandStatus::Failed, ErrorCode::Unsupported));
    assert!(error.message.contains("firmware"), "{}", error.message);
    link.send_control(ToAgent::ResultAck { id: command_id(1) }).await;
    link.send_control(shell(2, "echo next", 0)).await;
    let (result, transcript) = link.result().await;
    assert_eq!((result.status, &*transcript.bytes), (CommandStatus::Succeeded, &b"next\n"[..]));
    agent.stop().await;
}

#[tokio::test]
async fn a_command_delivered_twice_runs_once() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    for _ in 0..2 {
        link.send_control(shell(1, "echo run >> runs; sleep 0.1", 0)).await;
    }
    let (first, transcript) = link.result().await;
    assert_eq!(transcript.acks, 1 + usize::from(transcript.acks > 1), "acknowledged once or twice");
    link.send_control(shell(1, "echo run >> runs; sleep 0.1", 0)).await;
    let (again, _) = link.result().await;
    assert_eq!(first, again);
    link.send_control(ToAgent::ResultAck { id: command_id(1) }).await;
    link.send_control(shell(1, "echo run >> runs", 0)).await;
    assert_eq!(link.result().await.0.status, CommandStatus::OutcomeUnknown);
    assert_eq!(rig.file("runs"), "run\n");
    agent.stop().await;
}

#[tokio::test]
async fn a_cut_link_resumes_where_the_hive_stands() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let line = "printf 0123456789; until [ -e go ]; do sleep 0.01; done; printf abcdef";
    link.send_control(shell(1, line, 0)).await;
    let received = loop {
        if let FromSatellite::Frame(frame) = link.next().await {
            break frame;
        }
    };
    assert_eq!(received.payload, "0123456789");
    drop(link);
    let mut link = rig.hive.link().await;
    // Four of the ten bytes were stored before the disconnect.
    link.send_control(shell(1, line, 4)).await;
    std::fs::write(rig.dir.path().join("go"), "").unwrap();
    let (result, transcript) = link.result().await;
    assert_eq!(transcript.offsets, [4]);
    assert_eq!(transcript.bytes, b"456789abcdef", "{result:?}");
    assert_eq!((result.status.clone(), result.sent.stdout), (CommandStatus::Succeeded, 16));
    drop(link);
    // The result was lost as well.
    let mut link = rig.hive.link().await;
    link.send_control(shell(1, line, 16)).await;
    let (again, transcript) = link.result().await;
    assert_eq!(again, result);
    assert!(transcript.offsets.is_empty(), "the hive has it all");
    agent.stop().await;
}

#[tokio::test]
async fn no_more_is_sent_than_there_is_credit() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let total = INITIAL_WINDOW * 3;
    link.send_control(shell(1, &format!("head -c {total} /dev/zero"), 0)).await;
    let mut sent = 0;
    while sent < INITIAL_WINDOW {
        if let FromSatellite::Frame(frame) = link.next().await {
            sent = frame.end();
        }
    }
    assert_eq!(sent, INITIAL_WINDOW);
    // A command without output overtakes output that waits; with more output queued, that would come first.
    link.send_control(shell(2, "true", 0)).await;
    let (result, transcript) = link.result().await;
    assert_eq!((result.id, transcript.bytes.len()), (command_id(2), 0));
    link.send_control(ToAgent::StreamCredit { stream: StreamId(1), limit: total }).await;
    let (result, transcript) = link.result().await;
    assert_eq!(result.sent.stdout, total);
    assert_eq!(transcript.bytes.len() as u64, total - INITIAL_WINDOW);
    agent.stop().await;
}

#[tokio::test]
async fn a_cancel_ends_a_command() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    link.send_control(shell(1, "sleep 60", 0)).await;
    link.send_control(ToAgent::CommandCancel { id: command_id(1) }).await;
    assert_eq!(link.result().await.0.status, CommandStatus::Cancelled);
    agent.stop().await;
}

#[tokio::test]
async fn a_stopping_agent_tells_what_became_of_its_commands() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    link.send_control(shell(1, "echo hello; sleep 60", 0)).await;
    while !matches!(link.next().await, FromSatellite::Frame(_)) {}
    let (result, ()) = tokio::join!(link.result(), agent.stop());
    assert_eq!(result.0.status, CommandStatus::Cancelled);
    assert_eq!(result.0.sent.stdout, 6);
    assert_eq!(link.next().await, FromSatellite::Control(ToServer::Disconnect { reason: "shutdown".into() }));
}
