//! A terminal whose program is the test.

use bytes::Bytes;
use hive_core::wire::SessionId;
use hive_core::wire::agent::{PtySpec, PtyStarted, ToAgent, ToServer};
use hive_core::wire::api::{EndReason, Session, SessionEnd};
use hive_core::wire::frame::{Frame, StreamId};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::harness::{Satellite, TestServer};

const STREAM: StreamId = StreamId(1);

/// A satellite with one terminal.
pub(crate) struct Shell {
    pub(crate) satellite: Satellite,
    pub(crate) id: SessionId,
    /// How many bytes of output there were.
    printed: u64,
    /// How many bytes of input there were.
    typed: u64,
    /// How far the server lets output go.
    limit: u64,
}

/// What a satellite gets.
#[derive(Debug)]
pub(crate) enum Got {
    Told(ToAgent),
    Typed(Bytes),
}

impl Shell {
    /// Registers a satellite and opens a terminal there, as the owner of this key.
    pub(crate) async fn open(server: &TestServer, key: &str) -> Self {
        let satellite = server.register("web-server-01", None).await;
        let link = server.online(&satellite).await;
        Self::open_on(server, key, json!({ "satellite_id": satellite.id }), link).await
    }

    pub(crate) async fn open_on(
        server: &TestServer,
        key: &str,
        wanted: serde_json::Value,
        mut link: Satellite,
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
        let (created, spec) = tokio::join!(server.post(key, "/api/v1/sessions", wanted), answer);
        assert_eq!(created.status, 201, "{created:?}");
        let session: Session = serde_json::from_value(created.json()["data"].clone()).unwrap();
        assert_eq!(session.id, spec.session_id);
        Self { satellite: link, id: session.id, printed: 0, typed: 0, limit: 0 }
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/v1/sessions/{}{rest}", self.id)
    }

    /// The next message that is about more than credit.
    pub(crate) async fn next(&mut self) -> Got {
        loop {
            match self.satellite.next_raw().await.expect("the link is there") {
                Message::Text(text) => match serde_json::from_str(&text).unwrap() {
                    ToAgent::PtyFlow { limit, .. } => self.limit = self.limit.max(limit),
                    ToAgent::PtyWriter { .. } | ToAgent::HeartbeatPing { .. } => {}
                    told => return Got::Told(told),
                },
                Message::Binary(bytes) => return Got::Typed(self.take_input(bytes)),
                _ => {}
            }
        }
    }

    fn take_input(&mut self, bytes: Bytes) -> Bytes {
        let frame = Frame::decode(bytes).unwrap();
        assert_eq!((frame.stream, frame.offset), (STREAM, self.typed));
        self.typed = frame.end();
        frame.payload
    }

    /// Reads what is typed until this much has come, and says that it was given to the program.
    pub(crate) async fn read(&mut self, count: usize) -> String {
        let read = self.take(count).await;
        self.apply().await;
        read
    }

    /// Reads what is typed until this much has come.
    pub(crate) async fn take(&mut self, count: usize) -> String {
        let mut read = Vec::new();
        while read.len() < count {
            if let Got::Typed(data) = self.next().await {
                read.extend_from_slice(&data);
            }
        }
        String::from_utf8(read).unwrap()
    }

    /// Says that everything so far was given to the program.
    pub(crate) async fn apply(&mut self) {
        self.satellite.send(&ToServer::PtyApplied { session_id: self.id, offset: self.typed }).await;
    }

    /// Prints, as far as the server lets it.
    pub(crate) async fn print(&mut self, data: &[u8]) {
        while self.limit < self.printed + data.len() as u64 {
            assert!(!matches!(self.next_credit().await, Got::Typed(_)), "nobody types");
        }
        let frame = Frame::data(STREAM, self.printed, data.to_vec().into(), false);
        self.printed = frame.end();
        self.satellite.send_raw(Message::Binary(frame.encode())).await;
    }

    async fn next_credit(&mut self) -> Got {
        let told = match self.satellite.next_raw().await.expect("the link is there") {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            Message::Binary(bytes) => return Got::Typed(self.take_input(bytes)),
            _ => ToAgent::Unknown,
        };
        if let ToAgent::PtyFlow { limit, .. } = told {
            self.limit = self.limit.max(limit);
        }
        Got::Told(told)
    }

    /// The program exits.
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
