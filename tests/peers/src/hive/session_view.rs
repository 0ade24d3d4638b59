//! The hive's side of one session, over any number of links.

use bytes::Bytes;
use hive_wire::SessionId;
use hive_wire::agent::{PtySpec, PtyStarted, ToAgent, ToServer};
use hive_wire::api::SessionEnd;
use hive_wire::frame::{Frame, StreamId};

use super::HiveLink;
use crate::message::FromSatellite;

/// How much more output is let through than has arrived.
const WINDOW: u64 = 256 * 1024;

/// The state of a session as a hive sees it.
#[derive(Debug)]
pub struct SessionView {
    pub id: SessionId,
    pub stream: StreamId,
    pub output: Vec<u8>,
    /// The offset behind the last byte of output.
    pub received: u64,
    pub typed: u64,
    pub applied: u64,
    pub gaps: Vec<(u64, u64)>,
    pub end: Option<SessionEnd>,
    /// Whether a claim on the output is held.
    pub has_claim: bool,
}

impl SessionView {
    pub fn new(id: SessionId) -> Self {
        Self {
            id,
            stream: StreamId(0),
            output: Vec::new(),
            received: 0,
            typed: 0,
            applied: 0,
            gaps: Vec::new(),
            end: None,
            has_claim: true,
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// Opens a session and waits until it has started.
    pub async fn open(link: &mut HiveLink, spec: PtySpec) -> Self {
        let mut view = Self::new(spec.session_id);
        link.send_control(ToAgent::PtyStart(Box::new(spec))).await;
        view.begin(link).await;
        view.let_flow(link).await;
        view
    }

    /// Attaches it to another link, and lets its output flow.
    pub async fn attach(&mut self, link: &mut HiveLink) -> PtyStarted {
        link.send_control(ToAgent::PtyAttach { session_id: self.id, received: Some(self.received) }).await;
        let started = self.begin(link).await;
        self.let_flow(link).await;
        started
    }

    /// Waits for `pty_started`.
    pub async fn begin(&mut self, link: &mut HiveLink) -> PtyStarted {
        match link.next().await {
            FromSatellite::Control(ToServer::PtyStarted(started)) if started.session_id == self.id => {
                self.stream = started.stream;
                self.received = started.output;
                started
            }
            other => panic!("{other:?} instead of a session"),
        }
    }

    pub async fn let_flow(&self, link: &mut HiveLink) {
        let keep = self.has_claim.then_some(self.received);
        link.send_control(ToAgent::PtyFlow { session_id: self.id, limit: self.received + WINDOW, keep }).await;
    }

    /// Types a line.
    pub async fn type_line(&mut self, link: &mut HiveLink, line: &str) {
        self.type_in(link, format!("{line}\n")).await;
    }

    pub async fn type_in(&mut self, link: &mut HiveLink, bytes: impl Into<Bytes>) {
        let frame = Frame::data(self.stream, self.typed, bytes.into(), false);
        self.typed = frame.end();
        link.send_frame(&frame).await;
    }

    /// Reads until the output contains `part`.
    pub async fn until(&mut self, link: &mut HiveLink, part: &str) {
        while !self.text().contains(part) {
            self.next(link).await;
        }
    }

    /// Reads until it has ended. Returns its end.
    pub async fn until_end(&mut self, link: &mut HiveLink) -> SessionEnd {
        loop {
            match self.end.clone() {
                Some(end) => return end,
                None => self.next(link).await,
            }
        }
    }

    /// Reads the next message, and lets more output flow.
    pub async fn next(&mut self, link: &mut HiveLink) {
        match link.next().await {
            FromSatellite::Frame(frame) if frame.stream == self.stream => {
                assert_eq!(frame.offset, self.received, "output is in order and without a gap");
                self.received = frame.end();
                self.output.extend_from_slice(&frame.payload);
                self.let_flow(link).await;
            }
            FromSatellite::Control(ToServer::PtyGap { session_id, from, to }) if session_id == self.id => {
                assert_eq!(from, self.received);
                self.received = to;
                self.gaps.push((from, to));
                self.let_flow(link).await;
            }
            FromSatellite::Control(ToServer::PtyApplied { session_id, offset }) if session_id == self.id => {
                assert!(offset >= self.applied && offset <= self.typed);
                self.applied = offset;
            }
            FromSatellite::Control(ToServer::PtyEnded { session_id, end }) if session_id == self.id => {
                self.end = Some(end);
            }
            other => panic!("{other:?} means nothing for {}", self.id),
        }
    }
}
