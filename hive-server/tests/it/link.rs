//! The links of satellites: how they are opened and closed.

use std::time::Duration;

use hive_core::hive::Settings;
use hive_core::wire::Timestamp;
use hive_core::wire::agent::{ToAgent, ToServer, close};
use hive_server::Limits;
use hive_test_peers::satellite::WebSocketLink;
use tokio_tungstenite::tungstenite::{self, Message};

use super::harness::{TestServer, handshake_of};

/// The HTTP response to a refused link.
fn refused<T>(result: Result<T, tungstenite::Error>) -> (u16, serde_json::Value) {
    match result {
        Err(tungstenite::Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            (response.status().as_u16(), serde_json::from_slice(&body).unwrap())
        }
        Err(other) => panic!("not an HTTP response: {other:?}"),
        Ok(_) => panic!("the link was opened"),
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_before_the_upgrade() {
    let server = TestServer::start().await;
    let satellite = server.register("web-server-01", None).await;
    let mut wrong = satellite.api_key.clone();
    // Everything but the end is right, so that the id in it is found and the secret is compared.
    wrong.replace_range(wrong.len() - 4.., "AAAA");
    for key in ["nonsense", &wrong] {
        let (status, body) = refused(server.dial(key).await);
        assert_eq!((status, body["error"].as_str()), (401, Some("auth_invalid")), "{body}");
    }
}

#[tokio::test]
async fn a_link_needs_the_sub_protocol() {
    let server = TestServer::start().await;
    let satellite = server.register("web-server-01", None).await;
    for protocol in [None, Some("hive.other.v1")] {
        let (status, body) =
            refused(WebSocketLink::dial_as(&server.address.to_string(), &satellite.api_key, protocol).await);
        assert_eq!(status, 426);
        assert!(body["message"].as_str().unwrap().contains("hive.agent.v2"), "{body}");
    }
}

#[tokio::test]
async fn a_satellite_is_online_while_its_link_is_open() {
    let server = TestServer::start().await;
    let satellite = server.register("web-server-01", None).await;
    let link = server.online(&satellite).await;
    assert!(server.is_online(&satellite).await);
    drop(link);
    while server.is_online(&satellite).await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_link_without_a_handshake_is_closed() {
    let limits = Limits::default().handshake_timeout(Duration::from_millis(50));
    let server = TestServer::with(limits, Settings::default()).await;
    let satellite = server.register("web-server-01", None).await;
    let mut link = server.connect(&satellite).await.unwrap();
    assert_eq!(link.closed().await, Some(close::TIMEOUT));
}

#[tokio::test]
async fn a_protocol_violation_closes_the_link() {
    let server = TestServer::start().await;
    let satellite = server.register("web-server-01", None).await;
    let again = ToServer::Handshake(Box::new(handshake_of(&satellite)));
    for garbage in [
        Message::text("garbage"),
        Message::text(r#"{"type":"command_ack"}"#),
        Message::binary(vec![1, 2, 3]),
        // A second handshake on the same link.
        Message::text(serde_json::to_string(&again).unwrap()),
    ] {
        let mut link = server.online(&satellite).await;
        link.link().send_raw(garbage.clone()).await;
        assert_eq!(link.closed().await, Some(close::PROTOCOL_ERROR), "{garbage:?}");
    }
    for garbage in [Message::text("garbage"), Message::text(r#"{"type":"error","error":{"code":"X","message":""}}"#)] {
        let mut link = server.connect(&satellite).await.unwrap();
        link.link().send_raw(garbage.clone()).await;
        assert_eq!(link.closed().await, Some(close::PROTOCOL_ERROR), "{garbage:?} instead of a handshake");
    }
}

#[tokio::test]
async fn an_unknown_message_is_ignored() {
    let server = TestServer::start().await;
    let satellite = server.register("web-server-01", None).await;
    let mut link = server.online(&satellite).await;
    // A satellite of a later version may say more than this server knows.
    link.link().send_raw(Message::text(r#"{"type":"from_the_future"}"#)).await;
    link.send(ToServer::Disconnect { reason: "shutdown".into() }).await;
    assert_eq!(link.closed().await, Some(1000));
}

#[tokio::test]
async fn a_satellite_cannot_handshake_as_another_one() {
    let server = TestServer::start().await;
    let (one, other) = (server.register("web-server-01", None).await, server.register("web-server-02", None).await);
    let mut link = server.connect(&one).await.unwrap();
    link.send(ToServer::Handshake(Box::new(handshake_of(&other)))).await;
    match link.next_control().await {
        ToAgent::HandshakeAck(ack) => assert!(!ack.success && ack.error.is_some(), "{ack:?}"),
        message => panic!("not an acknowledgement: {message:?}"),
    }
    assert_eq!(link.closed().await, Some(close::AUTH_FAILED));
    assert!(!server.is_online(&other).await);
}

#[tokio::test]
async fn a_newer_link_replaces_the_older_one() {
    let server = TestServer::start().await;
    let satellite = server.register("web-server-01", None).await;
    let mut first = server.online(&satellite).await;
    let _second = server.online(&satellite).await;
    assert_eq!(first.closed().await, Some(close::REPLACED));
    // Nothing comes behind the close frame.
    assert!(first.link().next_raw().await.is_none());
    drop(first);
    assert!(server.is_online(&satellite).await);
}

#[tokio::test]
async fn a_link_without_heartbeats_is_closed() {
    let settings =
        Settings::default().heartbeat_interval(Duration::from_millis(50)).heartbeat_timeout(Duration::from_millis(400));
    let server = TestServer::with(Limits::default(), settings).await;
    let satellite = server.register("web-server-01", None).await;
    let mut link = server.online(&satellite).await;
    // Twelve answers in 50 ms each are longer than the timeout: they kept the link open.
    for _ in 0..12 {
        assert!(matches!(link.next_control().await, ToAgent::HeartbeatPing { .. }));
        link.send(ToServer::HeartbeatPong { timestamp: Timestamp::from_micros(0), metrics: None, capacity: None })
            .await;
    }
    assert_eq!(link.closed().await, Some(close::TIMEOUT));
}

#[tokio::test]
async fn a_new_key_closes_the_link_of_the_old_one() {
    let server = TestServer::start().await;
    let satellite = server.register("web-server-01", None).await;
    let mut link = server.online(&satellite).await;
    server.register_again(&satellite).await;
    assert_eq!(link.closed().await, Some(close::AUTH_FAILED));
    assert_eq!(refused(server.connect(&satellite).await).0, 401);
}

#[tokio::test]
async fn a_stopping_server_asks_its_satellites_to_reconnect() {
    let server = TestServer::start().await;
    let satellite = server.register("web-server-01", None).await;
    let mut link = server.online(&satellite).await;
    // A link that never said who it is must not hold up the stop.
    let mut before_handshake = server.connect(&satellite).await.unwrap();
    server.stop.cancel();
    match link.next_control().await {
        ToAgent::Disconnect { reason, retry_after_ms } => assert!(reason == "restart" && retry_after_ms.is_some()),
        message => panic!("not a disconnect message: {message:?}"),
    }
    assert_eq!(link.closed().await, Some(close::GOING_AWAY));
    assert_eq!(before_handshake.closed().await, Some(close::GOING_AWAY));
    drop((link, before_handshake));
    tokio::time::timeout(Duration::from_secs(5), server.running.wait()).await.expect("the server stops within 5 s");
}
