//! Tests of the whole agent against a hive that follows the protocol, and one that does not.

pub(crate) mod scripted_hive;
mod sessions;

use std::time::Duration;

use hive_wire::ErrorCode;
use hive_wire::agent::{
    Channel, ErrorBody, HandshakeAck, PROTOCOL_VERSION, Payload, Received, SUBPROTOCOL, ToAgent, ToServer, close,
};
use hive_wire::api::CommandStatus;
use hive_wire::credential::Secret;
use hive_wire::frame::StreamId;
use hive_wire::satellite_api::RejectionClass;
use hive_wire::stream::INITIAL_WINDOW;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Agent, AgentConfig, Error, KeyRejectionPolicy, clock};
use scripted_hive::{FromAgent, HiveLink, KEY, ScriptedHive, command_id, hive_id, shell};

struct AgentRig {
    hive: ScriptedHive,
    dir: TempDir,
    config: AgentConfig,
}

async fn rig() -> AgentRig {
    let hive = ScriptedHive::start().await;
    let dir = tempfile::tempdir().unwrap();
    let config = hive.config(dir.path());
    AgentRig { hive, dir, config }
}

/// A running agent.
struct AgentRun {
    stop: CancellationToken,
    tasks: TaskTracker,
    ended: tokio::task::JoinHandle<Result<(), Error>>,
}

impl AgentRig {
    fn start(&self) -> AgentRun {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (config, shutdown) = (self.config.clone(), stop.clone());
        let ended = tasks.spawn(async move { Agent::connect(config).await?.run(shutdown).await });
        AgentRun { stop, tasks, ended }
    }

    async fn start_and_link(&mut self) -> (AgentRun, HiveLink) {
        let agent = self.start();
        (agent, self.hive.link().await)
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    fn stored_key(&self) -> bool {
        self.file("data/backend.key.json").contains(KEY)
    }
}

impl AgentRun {
    async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.ended.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_handshake_tells_who_comes() {
    let mut rig = rig().await;
    let agent = rig.start();
    let (mut link, handshake) = rig.hive.raw_link().await;
    assert_eq!(handshake.protocol_version, PROTOCOL_VERSION);
    assert_eq!(handshake.capabilities, ["shell", "pty", "power", "metrics"]);
    assert_eq!(handshake.journal_id.len(), 32);
    assert_eq!((handshake.start_id.unwrap().len(), handshake.journal_position), (32, Some(0)));
    assert!(handshake.earlier_start_ids.is_empty());
    assert!(rig.hive.requests().contains(&format!("GET /ws/agent {KEY}")));
    link.accept(1).await;
    let timestamp = clock::now();
    link.send_control(ToAgent::HeartbeatPing { timestamp, sent_at: None }).await;
    let FromAgent::Control(ToServer::HeartbeatPong { metrics: Some(metrics), .. }) = link.next().await else {
        panic!("no answer to a heartbeat");
    };
    assert!(metrics.memory_percent > 0.0);
    agent.stop().await;
    assert_eq!(link.next().await, FromAgent::Control(ToServer::Disconnect { reason: "shutdown".into() }));
    assert_eq!(link.next().await, FromAgent::Closed);
}

#[tokio::test]
async fn a_command_is_acknowledged_streamed_and_ended() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    link.send_control(shell(1, "echo hello; exit 3", 0)).await;
    let acknowledged = ToServer::CommandAck { id: command_id(1), journal_position: Some(1) };
    assert_eq!(link.next().await, FromAgent::Control(acknowledged));
    let open =
        ToServer::StreamOpen { stream: StreamId(1), command_id: command_id(1), channel: Channel::Stdout, offset: 0 };
    assert_eq!(link.next().await, FromAgent::Control(open));
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
        if let FromAgent::Data(frame) = link.next().await {
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
    assert_eq!(transcript.bytes, b"456789abcdef");
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
        if let FromAgent::Data(frame) = link.next().await {
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
    while !matches!(link.next().await, FromAgent::Data(_)) {}
    let (result, ()) = tokio::join!(link.result(), agent.stop());
    assert_eq!(result.0.status, CommandStatus::Cancelled);
    assert_eq!(result.0.sent.stdout, 6);
    assert_eq!(link.next().await, FromAgent::Control(ToServer::Disconnect { reason: "shutdown".into() }));
}

#[tokio::test]
async fn messages_of_another_version_are_ignored() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    link.send_text(r#"{"type":"from_the_future"}"#).await;
    link.send_text(r#"{"type":"result_ack","id":"cmd_0000000001e1e1e1e1e1e1e1e1","from_the_future":1}"#).await;
    link.send_control(ToAgent::ResultAck { id: command_id(7) }).await;
    link.send_control(ToAgent::StreamCredit { stream: StreamId(7), limit: 7 }).await;
    link.send_control(shell(1, "true", 0)).await;
    assert_eq!(link.result().await.0.status, CommandStatus::Succeeded);
    agent.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_ends_the_link_and_may_come_again_on_the_next() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    for damaged in ["not json", r#"{"type":"command","id":"nonsense"}"#] {
        link.send_text(damaged).await;
        assert_eq!(link.next().await, FromAgent::Closed);
        link = rig.hive.link().await;
    }
    link.send_control(shell(1, "true", 0)).await;
    assert_eq!(link.result().await.0.status, CommandStatus::Succeeded);
    agent.stop().await;
}

#[tokio::test]
async fn a_silent_hive_is_left_and_tried_again() {
    let mut rig = rig().await;
    let agent = rig.start();
    let (mut link, _) = rig.hive.raw_link().await;
    link.accept(0).await;
    let begun = tokio::time::Instant::now();
    let _next = rig.hive.link().await;
    assert!(begun.elapsed() >= Duration::from_secs(3));
    assert_eq!(link.next().await, FromAgent::Closed);
    agent.stop().await;
}

#[tokio::test]
async fn a_busy_hive_is_left_alone_for_as_long_as_it_asks() {
    let mut rig = rig().await;
    rig.hive.answer_once("/ws/agent", 503, "");
    let agent = rig.start();
    let begun = tokio::time::Instant::now();
    let mut link = rig.hive.link().await;
    assert!(begun.elapsed() >= Duration::from_secs(1), "Retry-After of the upgrade");
    let begun = tokio::time::Instant::now();
    link.send_control(ToAgent::Disconnect { reason: "restart".into(), retry_after_ms: Some(700) }).await;
    let _link = rig.hive.link().await;
    assert!(begun.elapsed() >= Duration::from_millis(700), "retry_after_ms of the goodbye");
    agent.stop().await;
}

#[tokio::test]
async fn only_a_401_costs_the_key() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    for code in [close::REPLACED, close::IDENTITY_CONFLICT, close::OVERLOADED, close::GOING_AWAY, close::PROTOCOL_ERROR]
    {
        link.close(code).await;
        link = rig.hive.link().await;
    }
    drop(link);
    rig.hive.answer_once("/ws/agent", 403, "");
    rig.hive.answer_once("/ws/agent", 500, "");
    let link = rig.hive.link().await;
    assert!(rig.stored_key());
    assert_eq!(rig.hive.count("/register"), 1);
    // The link is refused with 401, and so is the heartbeat that verifies the key: the token is used.
    rig.hive.reject_once("/heartbeat", RejectionClass::UnknownKey);
    link.close(close::AUTH_FAILED).await;
    let _link = rig.hive.link().await;
    assert_eq!(rig.hive.count("/register"), 2);
    assert!(rig.stored_key());
    agent.stop().await;
}

#[tokio::test]
async fn a_new_key_replaces_the_old_one_when_it_was_accepted() {
    let mut rig = rig().await;
    let (agent, mut link) = rig.start_and_link().await;
    let file = |rig: &AgentRig| serde_json::from_str::<serde_json::Value>(&rig.file("data/backend.key.json")).unwrap();
    link.send_control(ToAgent::RotateKey { api_key: Secret("hive_satellite_api_global_hunter3".into()) }).await;
    let (mut link, _) = rig.hive.raw_link().await;
    assert_eq!(rig.hive.requests().last().unwrap(), "GET /ws/agent hive_satellite_api_global_hunter3");
    assert_eq!(rig.hive.hive_id_headers().last().unwrap(), &hive_id().to_string());
    let before = file(&rig);
    assert_eq!((&before["api_key"], &before["keys"][0]["api_key"]), (&KEY.into(), &KEY.into()), "it may still be lost");
    assert_eq!(before["candidate"]["api_key"], "hive_satellite_api_global_hunter3");
    link.accept(3600).await;
    link.send_control(shell(1, "true", 0)).await;
    link.result().await;
    let after = file(&rig);
    assert_eq!(after["api_key"], "hive_satellite_api_global_hunter3");
    assert_eq!(after["keys"][1]["api_key"], KEY);
    assert!(after.get("candidate").is_none());
    agent.stop().await;
}

#[tokio::test]
async fn a_key_the_hive_does_not_know_and_no_token_end_an_agent_that_is_to_give_up() {
    let mut rig = rig().await;
    let (agent, _link) = rig.start_and_link().await;
    agent.stop().await;
    rig.config.registration_token = None;
    rig.hive.answer_once("/ws/agent", 401, "");
    rig.hive.answer_once("/heartbeat", 200, "{}");
    rig.hive.reject_once("/heartbeat", RejectionClass::UnknownKey);
    rig.config.key_rejection = KeyRejectionPolicy::Exit;
    let agent = rig.start();
    let error = agent.ended.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::KeyRejected), "{error}");
    assert_eq!(error.exit_code(), 3);
    assert!(!rig.stored_key());
}

#[tokio::test]
async fn a_refused_handshake_is_tried_again() {
    let mut rig = rig().await;
    let agent = rig.start();
    let (mut link, _) = rig.hive.raw_link().await;
    let refusal = HandshakeAck {
        success: false,
        protocol_version: PROTOCOL_VERSION.into(),
        server_time: clock::now(),
        sent_at: None,
        heartbeat_interval: 0,
        hive_id: None,
        error: Some(ErrorBody { code: ErrorCode::Unavailable, message: "not now".into() }),
    };
    link.send_control(ToAgent::HandshakeAck(Box::new(refusal))).await;
    let _link = rig.hive.link().await;
    assert!(rig.stored_key());
    assert!(SUBPROTOCOL.ends_with("v2"));
    agent.stop().await;
}
