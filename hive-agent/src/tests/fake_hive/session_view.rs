//! The hive's side of one terminal: what came of it, over however many links.

use bytes::Bytes;
use hive_wire::SessionId;
use hive_wire::agent::{PtySpec, PtyStarted, ToAgent, ToServer};
use hive_wire::api::{SessionEnd, Size};
use hive_wire::frame::{Frame, StreamId};
use hive_wire::id::Seed;

use super::{HiveLink, Said};

/// How much more is let come than has come.
const WINDOW: u64 = 256 * 1024;

/// A shell without a prompt. Nobody else's has its id, or tests that run beside would end each other's processes.
pub(crate) fn terminal() -> PtySpec {
    let mut random = [0; 10];
    getrandom::fill(&mut random).unwrap();
    PtySpec {
        session_id: SessionId::new(Seed { unix_millis: 1, random }),
        shell: Some("/bin/sh".into()),
        size: Size::default(),
        env: [("PS1".to_owned(), String::new())].into(),
        idle_timeout_seconds: None,
        linger_seconds: 600,
    }
}

/// What a hive has of a terminal.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) id: SessionId,
    pub(crate) stream: StreamId,
    pub(crate) output: Vec<u8>,
    /// The offset behind the last byte of output.
    pub(crate) received: u64,
    pub(crate) typed: u64,
    pub(crate) applied: u64,
    pub(crate) gaps: Vec<(u64, u64)>,
    pub(crate) end: Option<SessionEnd>,
    /// Somebody needs every byte.
    pub(crate) has_claim: bool,
}

impl View {
    pub(crate) fn new(id: SessionId) -> Self {
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

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// Opens a terminal and waits until it is there.
    pub(crate) async fn open(link: &mut HiveLink, spec: PtySpec) -> Self {
        let mut view = Self::new(spec.session_id);
        link.say(ToAgent::PtyStart(Box::new(spec))).await;
        view.begin(link).await;
        view.let_flow(link).await;
        view
    }

    /// Goes on with it on another link, and lets it flow.
    pub(crate) async fn attach(&mut self, link: &mut HiveLink) -> PtyStarted {
        link.say(ToAgent::PtyAttach { session_id: self.id, received: Some(self.received) }).await;
        let started = self.begin(link).await;
        self.let_flow(link).await;
        started
    }

    /// Waits until the satellite says that it is there.
    pub(crate) async fn begin(&mut self, link: &mut HiveLink) -> PtyStarted {
        match link.next().await {
            Said::Control(ToServer::PtyStarted(started)) if started.session_id == self.id => {
                self.stream = started.stream;
                self.received = started.output;
                started
            }
            other => panic!("{other:?} instead of a terminal"),
        }
    }

    pub(crate) async fn let_flow(&self, link: &mut HiveLink) {
        let keep = self.has_claim.then_some(self.received);
        link.say(ToAgent::PtyFlow { session_id: self.id, limit: self.received + WINDOW, keep }).await;
    }

    /// Types a line.
    pub(crate) async fn say(&mut self, link: &mut HiveLink, line: &str) {
        self.type_in(link, format!("{line}\n")).await;
    }

    pub(crate) async fn type_in(&mut self, link: &mut HiveLink, bytes: impl Into<Bytes>) {
        let frame = Frame::data(self.stream, self.typed, bytes.into(), false);
        self.typed = frame.end();
        link.send(&frame).await;
    }

    /// Reads until its text says this.
    pub(crate) async fn until(&mut self, link: &mut HiveLink, part: &str) {
        while !self.text().contains(part) {
            self.next(link).await;
        }
    }

    /// Reads until it has ended; gives how.
    pub(crate) async fn until_end(&mut self, link: &mut HiveLink) -> SessionEnd {
        loop {
            match self.end.clone() {
                Some(end) => return end,
                None => self.next(link).await,
            }
        }
    }

    /// Takes the next message, and lets more flow where it has brought output.
    pub(crate) async fn next(&mut self, link: &mut HiveLink) {
        match link.next().await {
            Said::Data(frame) if frame.stream == self.stream => {
                assert_eq!(frame.offset, self.received, "output is in order and without a gap");
                self.received = frame.end();
                self.output.extend_from_slice(&frame.payload);
                self.let_flow(link).await;
            }
            Said::Control(ToServer::PtyGap { session_id, from, to }) if session_id == self.id => {
                assert_eq!(from, self.received);
                self.received = to;
                self.gaps.push((from, to));
                self.let_flow(link).await;
            }
            Said::Control(ToServer::PtyApplied { session_id, offset }) if session_id == self.id => {
                assert!(offset >= self.applied && offset <= self.typed);
                self.applied = offset;
            }
            Said::Control(ToServer::PtyEnded { session_id, end }) if session_id == self.id => self.end = Some(end),
            other => panic!("{other:?} means nothing for {}", self.id),
        }
    }
}
