//! The WebSocket of viewers.

use std::time::Duration;

use hive_core::hive::Settings;
use hive_core::wire::api::EndReason;
use hive_core::wire::frame::Frame;
use hive_core::wire::session::{AttachRequest, FromViewer, SUBPROTOCOL, ToViewer, ViewMode};
use hive_server::Limits;
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message};

use super::harness::TestServer;
use super::harness::session::FakeSession;
use super::harness::viewer::{TIMEOUT, TestViewer, ViewerMessage, viewer_count};

fn http_status<T>(result: Result<T, tungstenite::Error>) -> u16 {
    match result {
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("not an HTTP response: {other:?}"),
        Ok(_) => panic!("the socket was opened"),
    }
}

fn read_only() -> AttachRequest {
    AttachRequest { mode: ViewMode::ReadOnly, ..AttachRequest::default() }
}

#[tokio::test]
async fn input_and_output_are_forwarded_until_the_session_ends() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut session = FakeSession::open(&server, &key).await;
    let (mut viewer, attached) = TestViewer::attach(&server, &key, &session, AttachRequest::default()).await;
    assert!(attached.control.is_mine && attached.output == 0, "{attached:?}");
    viewer.send_input(0, "ls\n").await;
    assert_eq!(session.read(3).await, "ls\n");
    session.print(b"readme\n").await;
    let mut message = viewer.next().await;
    while matches!(message, ViewerMessage::Control(ToViewer::Applied { .. })) {
        message = viewer.next().await;
    }
    assert_eq!(message, ViewerMessage::Output(0, "readme\n".into()));
    session.exit(3).await;
    let end = loop {
        if let ViewerMessage::Control(ToViewer::Ended(end)) = viewer.next().await {
            break end;
        }
    };
    assert_eq!((end.reason, end.exit_code), (EndReason::Exited, Some(3)));
    assert_eq!(viewer.close_code().await, 1000);
}

#[tokio::test]
async fn a_viewer_receives_changes_of_the_input_lease() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let mut session = FakeSession::open(&server, &key).await;
    let (mut first, _) = TestViewer::attach(&server, &key, &session, AttachRequest::default()).await;
    let (mut second, attached) = TestViewer::attach(&server, &key, &session, AttachRequest::default()).await;
    assert!(!attached.control.is_mine && attached.control.holder.is_some(), "{attached:?}");
    server.post(&key, &session.path("/input"), json!({ "data": "bHMK" })).await.assert_error(409, "CONFLICT");
    second.send_input(0, "not mine").await;
    second.send_control(&FromViewer::TakeControl).await;
    let lost = loop {
        if let ViewerMessage::Control(ToViewer::Control(control)) = first.next().await {
            break control;
        }
    };
    assert!(!lost.is_mine, "{lost:?}");
    second.send_input(0, "mine").await;
    assert_eq!(session.read(4).await, "mine");
}

#[tokio::test]
async fn a_viewer_without_permission_is_refused_before_the_upgrade() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let session = FakeSession::open(&server, &key).await;
    let path = session.path("/attach");
    let check = async |headers: &[(&'static str, &str)], expected: u16| {
        assert_eq!(http_status(TestViewer::connect_with(&server, headers, &path).await), expected, "{headers:?}");
    };
    let (key, protocol) = (("x-api-key", key.as_str()), ("sec-websocket-protocol", SUBPROTOCOL));
    check(&[protocol], 401).await;
    check(&[("x-api-key", "hive_key_wrong"), protocol], 401).await;
    check(&[key], 426).await;
    check(&[key, ("sec-websocket-protocol", "hive.other.v1")], 426).await;
    check(&[key, protocol, ("origin", "https://evil.example.com")], 403).await;
    let origin = format!("http://{}", server.address);
    let page = TestViewer::connect_with(&server, &[key, protocol, ("origin", &origin)], &path).await;
    assert!(page.is_ok(), "the origin of the server itself is allowed");
}

#[tokio::test]
async fn a_protocol_violation_closes_the_socket() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let session = FakeSession::open(&server, &key).await;
    let attach = || Message::text(r#"{"type":"attach"}"#);
    let other_stream = Frame::data(hive_core::wire::frame::StreamId(2), 0, "x".into(), false).encode();
    for first in [Message::text("garbage"), Message::text(r#"{"type":"take_control"}"#), Message::binary(vec![1, 2, 3])]
    {
        let mut viewer = TestViewer::connect(&server, &key, &session.path("/attach")).await.unwrap();
        viewer.send(first.clone()).await;
        let reply = viewer.next().await;
        assert!(matches!(reply, ViewerMessage::Control(ToViewer::Error { .. })), "{first:?}: {reply:?}");
        assert_eq!(viewer.close_code().await, 4400, "{first:?}");
    }
    for garbage in [Message::text("garbage"), Message::binary(vec![1, 2, 3]), Message::Binary(other_stream), attach()] {
        let (mut viewer, _) = TestViewer::attach(&server, &key, &session, read_only()).await;
        viewer.send(garbage.clone()).await;
        assert_eq!(viewer.close_code().await, 4400, "{garbage:?}");
    }
    let (mut viewer, _) = TestViewer::attach(&server, &key, &session, read_only()).await;
    viewer.send(Message::text(r#"{"type":"from_the_future"}"#)).await;
    viewer.send_control(&FromViewer::Ack { offset: 0 }).await;
    viewer.send(Message::binary(vec![0; 200_000])).await;
    assert_eq!(viewer.close_code().await, 4400, "a message larger than allowed");
}

#[tokio::test]
async fn a_socket_without_a_first_message_is_closed() {
    let limits = Limits::default().handshake_timeout(Duration::from_millis(50));
    let server = TestServer::with(limits, Settings::default()).await;
    let key = server.admin().await;
    let session = FakeSession::open(&server, &key).await;
    let mut viewer = TestViewer::connect(&server, &key, &session.path("/attach")).await.unwrap();
    assert_eq!(viewer.close_code().await, 4408);
}

#[tokio::test]
async fn a_viewer_that_answers_no_pings_is_detached() {
    let limits = Limits::default().viewer_ping(Duration::from_millis(50));
    let server = TestServer::with(limits, Settings::default()).await;
    let key = server.admin().await;
    let session = FakeSession::open(&server, &key).await;
    let (_unresponsive, _) = TestViewer::attach(&server, &key, &session, read_only()).await;
    let (mut responsive, _) = TestViewer::attach(&server, &key, &session, read_only()).await;
    let one_is_left = async { while viewer_count(&server, &key, &session).await != 1 {} };
    tokio::select! {
        () = one_is_left => {}
        message = responsive.next() => panic!("the responsive viewer is closed: {message:?}"),
        () = tokio::time::sleep(TIMEOUT) => panic!("the unresponsive viewer stays"),
    }
}

#[tokio::test]
async fn input_of_a_viewer_that_does_not_read_is_received() {
    let settings = Settings::default().claim_stall(Duration::from_millis(200));
    let server = TestServer::with(Limits::default(), settings).await;
    let key = server.admin().await;
    let mut session = FakeSession::open(&server, &key).await;
    let (mut viewer, _) = TestViewer::attach(&server, &key, &session, AttachRequest::default()).await;
    // More than the buffers of two sockets hold, so that the server cannot write any more.
    let screen = vec![b'x'; 32 * 1024];
    for _ in 0..512 {
        session.print(&screen).await;
    }
    viewer.send_input(0, "\x03").await;
    let input = timeout(Duration::from_secs(2), session.read(1)).await;
    assert_eq!(input.expect("input is received at once"), "\x03");
    // It catches up with the output when it reads again.
    session.print(b"prompt").await;
    let end = 512 * 32 * 1024 + 6;
    let mut position = 0;
    while position < end {
        match viewer.next().await {
            ViewerMessage::Output(offset, data) => {
                assert_eq!(offset, position, "bytes are missing without a gap");
                position += data.len() as u64;
            }
            ViewerMessage::Control(ToViewer::Gap { from, to }) => {
                assert_eq!(from, position);
                position = to;
            }
            ViewerMessage::Control(ToViewer::Reset { output, .. }) => position = output,
            ViewerMessage::Control(_) => {}
            ViewerMessage::Closed(code) => panic!("closed with {code}"),
        }
    }
    assert_eq!(position, end);
}

#[tokio::test]
async fn a_stopping_server_closes_its_viewers_with_going_away() {
    let server = TestServer::start().await;
    let key = server.admin().await;
    let session = FakeSession::open(&server, &key).await;
    let (mut viewer, _) = TestViewer::attach(&server, &key, &session, AttachRequest::default()).await;
    let mut unattached = TestViewer::connect(&server, &key, &session.path("/attach")).await.unwrap();
    server.stop.cancel();
    assert_eq!(viewer.close_code().await, 1001);
    assert_eq!(unattached.close_code().await, 1001);
    drop((viewer, unattached, session));
    timeout(Duration::from_secs(5), server.running.wait()).await.expect("the server stops within 5 s");
}
