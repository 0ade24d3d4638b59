//! Shutdown and health of a server.

use std::sync::Arc;
use std::time::Duration;

use hive_core::Hive;
use hive_core::hive::Settings;
use hive_core::store::sqlite;
use hive_core::wire::agent::ToAgent;
use hive_core::wire::api::CommandStatus;
use hive_server::{Config, Limits};
use serde_json::{Value, json};

use super::harness::TestServer;

/// The response of a path over a new connection.
async fn answer(server: &TestServer, path: &str) -> String {
    let mut call = server.open_connection().await;
    call.write(&format!("GET {path} HTTP/1.1\r\nhost: hive\r\nconnection: close\r\n\r\n")).await;
    call.read_to_end().await
}

#[tokio::test]
async fn a_stopping_server_answers_open_requests_and_refuses_changes() {
    let patient = Limits::default().request_grace(Duration::from_secs(20)).shutdown_grace(Duration::from_secs(30));
    let server = TestServer::with(patient, Settings::default()).await;
    let key = server.admin().await;
    let satellite = server.register("web-server-01", None).await;
    let mut link = server.online(&satellite).await;
    let path = format!("/api/v1/satellites/{}/exec", satellite.id);
    let waiting = server.send_request("POST", &path, &key, json!({ "command": "true" })).await;
    let ToAgent::Command(command) = link.next_control().await else { panic!("no command") };
    assert!(answer(&server, "/health/ready").await.starts_with("HTTP/1.1 200"));

    server.stop.cancel();
    let ready = loop {
        let ready = answer(&server, "/health/ready").await;
        if !ready.starts_with("HTTP/1.1 200") {
            break ready;
        }
    };
    assert!(
        ready.starts_with("HTTP/1.1 503")
            && ready.ends_with(r#"{"reason":"the server is stopping","status":"unavailable"}"#),
        "{ready}"
    );
    assert!(answer(&server, "/health/live").await.starts_with("HTTP/1.1 200"));
    for path in [path.clone(), format!("{path}?wait=false")] {
        let refused = server.send_request("POST", &path, &key, json!({ "command": "true" })).await.read_to_end().await;
        assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 5"), "{refused}");
    }
    let read = server.send_request("GET", "/api/v1/teams", &key, Value::Null).await.read_to_end().await;
    assert!(read.starts_with("HTTP/1.1 200"), "a read is answered: {read}");
    assert!(server.connect(&satellite).await.is_err(), "no link is opened");

    link.finish(command.id, CommandStatus::Succeeded, 0, 0).await;
    let finished = waiting.read_to_end().await;
    assert!(finished.starts_with("HTTP/1.1 200") && finished.contains("succeeded"), "{finished}");
    while !matches!(link.next_control().await, ToAgent::Disconnect { .. }) {}
    drop(link);
    tokio::time::timeout(Duration::from_secs(15), server.running.wait())
        .await
        .expect("the server stops when all requests are answered");
}

#[tokio::test]
async fn a_server_without_its_storage_is_alive_and_not_ready() {
    let store = Arc::new(sqlite::in_memory().await.unwrap());
    let hive = Hive::builder().store(store.clone()).build().await.unwrap();
    let server = TestServer::of(hive, Config::default()).await;
    assert!(answer(&server, "/health/ready").await.starts_with("HTTP/1.1 200"));
    store.close().await.unwrap();
    let not_ready = async { while answer(&server, "/health/ready").await.starts_with("HTTP/1.1 200") {} };
    tokio::time::timeout(Duration::from_secs(10), not_ready).await.expect("a result is cached for a second");
    let ready = answer(&server, "/health/ready").await;
    let reason = r#"{"reason":"the hive or its storage is not reachable","status":"unavailable"}"#;
    assert!(ready.ends_with(reason), "the reason holds no causes: {ready}");
    for path in ["/health/live", "/health"] {
        assert!(answer(&server, path).await.starts_with("HTTP/1.1 200"), "{path}");
    }
}
