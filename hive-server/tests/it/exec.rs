//! Commands over REST to a satellite and back.

use std::time::Duration;

use hive_core::hive::Settings;
use hive_core::wire::CommandId;
use hive_core::wire::agent::{Command, ToAgent, ToServer};
use hive_core::wire::api::{CommandInfo, CommandStatus, Envelope};
use hive_server::Limits;
use serde_json::{Value, json};

use super::harness::{Satellite, TestServer};

// One byte is no UTF-8, so that both encodings of output show.
const OUTPUT: &[u8] = b"hello \xff\n";

async fn next_command(link: &mut Satellite) -> Command {
    loop {
        if let ToAgent::Command(command) = link.next_control().await {
            return *command;
        }
    }
}

/// Runs the next command as a satellite does.
async fn run_command(link: &mut Satellite) -> CommandId {
    let id = next_command(link).await.id;
    link.send(ToServer::CommandAck { id, journal_position: None }).await;
    link.send_output(id, 0, OUTPUT).await;
    link.finish(id, CommandStatus::Succeeded, 0, OUTPUT.len() as u64).await;
    loop {
        if link.next_control().await == (ToAgent::ResultAck { id }) {
            return id;
        }
    }
}

#[tokio::test]
async fn a_command_is_answered_with_its_result() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let satellite = server.register("web-server-01", None).await;
    let mut link = server.online(&satellite).await;
    let path = format!("/api/v1/satellites/{}/exec?encoding=base64", satellite.id);
    let (answer, id) = tokio::join!(server.post(&key, &path, json!({ "command": "echo" })), run_command(&mut link));
    let result = answer.json()["data"].clone();
    assert_eq!((&result["status"], &result["exit_code"]), (&json!("succeeded"), &json!(0)), "{answer:?}");
    assert_eq!(result["stdout"], "aGVsbG8g/wo=");
    let stored = server.get(&key, &format!("/api/v1/commands/{id}")).await;
    assert_eq!(stored.json()["data"]["stdout"], "hello \u{fffd}\n");
    let parsed: Envelope<CommandInfo> = serde_json::from_str(&stored.text()).unwrap();
    assert_eq!(stored.text(), serde_json::to_string(&parsed).unwrap(), "a streamed object is what serde writes");
    let listed = server.get(&key, &format!("/api/v1/satellites/{}/commands", satellite.id)).await.json();
    assert_eq!(listed["pagination"]["total"], 1);
}

#[tokio::test]
async fn a_command_is_watched_as_a_stream_of_events() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let satellite = server.register("web-server-01", None).await;
    let mut link = server.online(&satellite).await;
    let stream = server.rest(&key).with("accept", "text/event-stream");
    let body = json!({ "targets": ["all"], "command": "echo" });
    let (answer, _) = tokio::join!(stream.post("/api/v1/exec", &body), run_command(&mut link));
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let text = answer.text();
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names, ["accepted", "output", "exit"], "{answer:?}");
    let data: Vec<Value> =
        text.lines().filter_map(|line| line.strip_prefix("data: ")).map(|json| json.parse().unwrap()).collect();
    assert_eq!((&data[1]["event"], &data[1]["data"]), (&json!("output"), &json!("aGVsbG8g/wo=")));
}

#[tokio::test]
async fn a_command_for_an_offline_satellite_is_queued_on_request() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let satellite = server.register("web-server-01", None).await;
    drop(server.online(&satellite).await);
    while server.is_online(&satellite).await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let path = format!("/api/v1/satellites/{}/exec", satellite.id);
    server.post(&key, &path, json!({ "command": "true" })).await.assert_error(503, "SATELLITE_OFFLINE");
    let queued = server.post(&key, &format!("{path}?wait=false"), json!({ "command": "true" })).await;
    assert_eq!(queued.status, 202);
    let id = queued.json()["data"]["command_id"].as_str().unwrap().to_owned();
    let command = format!("/api/v1/commands/{id}");
    assert_eq!(server.get(&key, &command).await.json()["data"]["status"], "queued");
    let mut link = server.online(&satellite).await;
    assert_eq!(run_command(&mut link).await.to_string(), id);
    assert_eq!(server.get(&key, &command).await.json()["data"]["status"], "succeeded");
}

#[tokio::test]
async fn an_idempotency_key_gives_the_same_command() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let satellite = server.register("web-server-01", None).await;
    let path = format!("/api/v1/satellites/{}/exec?wait=false", satellite.id);
    drop(server.online(&satellite).await);
    let post = async |command: &str, idempotency_key: &str| {
        let rest = server.rest(&key).with("idempotency-key", idempotency_key);
        rest.post(&path, &json!({ "command": command })).await
    };
    let first = post("true", "k1").await;
    assert_eq!(first.status, 202, "{first:?}");
    // The same command, although the first one still waits for its satellite.
    assert_eq!(post("true", "k1").await.json(), first.json());
    assert_ne!(post("true", "k2").await.json(), first.json());
    post("false", "k1").await.assert_error(409, "CONFLICT");
    post("true", &"k".repeat(256)).await.assert_error(400, "INVALID_INPUT");
}

#[tokio::test]
async fn a_stopping_server_answers_waiting_requests() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let satellite = server.register("web-server-01", None).await;
    let mut link = server.online(&satellite).await;
    let path = format!("/api/v1/satellites/{}/exec", satellite.id);
    // The satellite gets the command and never answers, so that the caller waits when the server stops.
    let call = server.send_request("POST", &path, &key, json!({ "command": "sleep 60" })).await;
    next_command(&mut link).await;
    server.stop.cancel();
    let answer = call.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("UNAVAILABLE"), "{answer}");
    assert_eq!(link.closed().await, Some(1001));
    drop(link);
    tokio::time::timeout(Duration::from_secs(5), server.running.wait()).await.expect("the server stops within 5 s");
}

#[tokio::test]
async fn an_unknown_priority_is_refused() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let satellite = server.register("web-server-01", None).await;
    let exec = format!("/api/v1/satellites/{}/exec?wait=false", satellite.id);
    let power = format!("/api/v1/satellites/{}/power", satellite.id);
    let many = json!({ "targets": ["all"], "command": "true", "priority": "urgent" });
    for (path, body) in [
        (exec.as_str(), json!({ "command": "true", "priority": "urgent" })),
        (power.as_str(), json!({ "action": "reboot", "priority": "urgent" })),
        ("/api/v1/exec", many.clone()),
        ("/api/v1/jobs", many),
        ("/api/v1/jobs", json!({ "targets": ["all"], "command": { "command": "true", "priority": "urgent" } })),
    ] {
        let refused = server.post(&key, path, body).await;
        refused.assert_error(400, "INVALID_INPUT");
        assert!(refused.text().contains("urgent") && refused.text().contains("priority"), "{refused:?}");
    }
    drop(server.online(&satellite).await);
    for word in ["immediate", "high", "normal", "low"] {
        assert_eq!(server.post(&key, &exec, json!({ "command": "true", "priority": word })).await.status, 202);
    }
}

#[tokio::test]
async fn a_full_queue_gives_a_retry_delay() {
    let settings = Settings::default().max_queue_per_satellite(2);
    let server = TestServer::with(Limits::default(), settings).await;
    let key = server.admin().await;
    let satellite = server.register("web-server-01", None).await;
    drop(server.online(&satellite).await);
    let path = format!("/api/v1/satellites/{}/exec?wait=false", satellite.id);
    for _ in 0..2 {
        assert_eq!(server.post(&key, &path, json!({ "command": "true" })).await.status, 202);
    }
    let refused = server.post(&key, &path, json!({ "command": "true" })).await;
    refused.assert_error(429, "RATE_LIMITED");
    // Nobody knows when a place is free: the smallest value lets the caller decide.
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.json()["error"]["details"], json!({ "satellite": "web-server-01", "open_commands": 2 }));
}
