//! A session whose program is the test.

use bytes::Bytes;
use hive_core::wire::SessionId;
use hive_core::wire::agent::{PtySpec, PtyStarted, ToAgent, ToServer};
use hive_core::wire::api::{EndReason, Session, SessionEnd};
use hive_core::wire::frame::{Frame, StreamId};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{FakeSatellite, TestServer};

const STREAM: StreamId = StreamId(1);

/// A satellite with one session.
pub(crate) struct FakeSession {
    pub(crate) satellite: FakeSatellite,
    pub(crate) id: SessionId,
    /// Bytes of output so far.
    printed: u64,
    /// Bytes of input so far.
    received: u64,
    /// The offset up to which the server has granted credit for output.
    limit: u64,
}

/// A message for the satellite.
#[derive(Debug)]
pub(crate) enum Inbound {
    Control(ToAgent),
    Input(Bytes),
}

impl FakeSession {
    /// Registers a satellite and creates a session on it, as the owner of this key.
    pub(crate) async fn open(server: &TestServer, key: &str) -> Self {
        let satellite = server.register("web-server-01", None).await;
        let link = server.online(&satellite).await;
        Self::open_on(server, key, json!({ "satellite_id": satellite.id }), link).await
    }

    pub(crate) async fn open_on(
        server: &TestServer,
        key: &str,
        create: serde_json::Value,
        mut link: FakeSatellite,
    ) -> Self {
        let answer = async {
            let spec = loop {
                if let ToAgent::PtyStart(spec) = link.next().await {
                    break spec;
                }
            };
            link.send(&ToServer::PtyStarted(started(&spec))).await;
            spec
        };
        let (created, spec) = tokio::join!(server.post(key, "/api/v1/sessions", create), answer);
        assert_eq!(created.status, 201, "{created:?}");
        let session: Session = serde_json::from_value(created.json()["data"].clone()).unwrap();
        assert_eq!(session.id, spec.session_id);
        Self { satellite: link, id: session.id, printed: 0, received: 0, limit: 0 }
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/v1/sessions/{}{rest}", self.id)
    }

    /// Receives the next message that is not about credit, the writer or heartbeats.
    pub(crate) async fn next(&mut self) -> Inbound {
        loop {
            match self.satellite.next_raw().await.expect("the link is open") {
                Message::Text(text) => match serde_json::from_str(&text).unwrap() {
                    ToAgent::PtyFlow { limit, .. } => self.limit = self.limit.max(limit),
                    ToAgent::PtyWriter { .. } | ToAgent::HeartbeatPing { .. } => {}
                    message => return Inbound::Control(message),
                },
                Message::Binary(bytes) => return Inbound::Input(self.take_input(bytes)),
                _ => {}
            }
        }
    }

    fn take_input(&mut self, bytes: Bytes) -> Bytes {
        let frame = Frame::decode(bytes).unwrap();
        assert_eq!((frame.stream, frame.offset), (STREAM, self.received));
        self.received = frame.end();
        frame.payload
    }

    /// Receives this many bytes of input, and acknowledges that the program has them.
    pub(crate) async fn read(&mut self, count: usize) -> String {
        let read = self.take(count).await;
        self.apply().await;
        read
    }

    /// Receives this many bytes of input.
    pub(crate) async fn take(&mut self, count: usize) -> String {
        let mut read = Vec::new();
        while read.len() < count {
            if let Inbound::Input(data) = self.next().await {
                read.extend_from_slice(&data);
            }
        }
        String::from_utf8(read).unwrap()
    }

    /// Acknowledges that the program has all input so far.
    pub(crate) async fn apply(&mut self) {
        self.satellite.send(&ToServer::PtyApplied { session_id: self.id, offset: self.received }).await;
    }

    /// Prints when there is credit for it.
    pub(crate) async fn print(&mut self, data: &[u8]) {
        while self.limit < self.printed + data.len() as u64 {
            assert!(!matches!(self.next_credit().await, Inbound::Input(_)), "no input is expected");
        }
        let frame = Frame::data(STREAM, self.printed, data.to_vec().into(), false);
        self.printed = frame.end();
        self.satellite.send_raw(Message::Binary(frame.encode())).await;
    }

    async fn next_credit(&mut self) -> Inbound {
        let message = match self.satellite.next_raw().await.expect("the link is open") {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            Message::Binary(bytes) => return Inbound::Input(self.take_input(bytes)),
            _ => ToAgent::Unknown,
        };
        if let ToAgent::PtyFlow { limit, .. } = message {
            self.limit = self.limit.max(limit);
        }
        Inbound::Control(message)
    }

    /// Ends the program.
    pub(crate) async fn exit(&mut self, exit_code: i32) {
        let end = SessionEnd { reason: EndReason::Exited, exit_code: Some(exit_code), error: None };
        self.satellite.send(&ToServer::PtyEnded { session_id: self.id, end }).await;
    }
}

fn started(spec: &PtySpec) -> PtyStarted {
    PtyStarted {
        session_id: spec.session_id,
        stream: STREAM,
        output: 0,
        input: 0,
        keep: None,
        writer: None,
        size: spec.size,
    }
}
