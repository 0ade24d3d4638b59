//! The handshake, and how a link ends.

use super::*;

#[tokio::test]
async fn the_handshake_tells_who_comes() {
    let rig = rig().await;
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
    let FromSatellite::Control(ToServer::HeartbeatPong { metrics: Some(metrics), .. }) = link.next().await else {
        panic!("no answer to a heartbeat");
    };
    assert!(metrics.memory_percent > 0.0);
    agent.stop().await;
    assert_eq!(link.next().await, FromSatellite::Control(ToServer::Disconnect { reason: "shutdown".into() }));
    assert_eq!(link.try_next().await, None);
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
        assert_eq!(link.try_next().await, None);
        link = rig.hive.link().await;
    }
    link.send_control(shell(1, "true", 0)).await;
    assert_eq!(link.result().await.0.status, CommandStatus::Succeeded);
    agent.stop().await;
}

#[tokio::test]
async fn a_silent_hive_is_left_and_tried_again() {
    let rig = rig().await;
    let agent = rig.start();
    let (mut link, _) = rig.hive.raw_link().await;
    link.accept(0).await;
    let begun = tokio::time::Instant::now();
    let _next = rig.hive.link().await;
    assert!(begun.elapsed() >= Duration::from_secs(3));
    assert_eq!(link.try_next().await, None);
    agent.stop().await;
}

#[tokio::test]
async fn a_busy_hive_is_left_alone_for_as_long_as_it_asks() {
    let rig = rig().await;
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
async fn a_refused_handshake_is_tried_again() {
    let rig = rig().await;
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
