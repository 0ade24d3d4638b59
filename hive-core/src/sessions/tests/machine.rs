//! A simulated satellite over a `ChannelLink`. Its sessions continue when the link is cut, as those of an agent do.

use std::collections::BTreeMap;

use bytes::Bytes;
use hive_wire::agent::{PtyStarted, ToAgent, ToServer};
use hive_wire::api::{EndReason, SessionEnd, Size};
use hive_wire::frame::{Frame, MAX_PAYLOAD, StreamId};
use hive_wire::satellite_api::RegisteredSatellite;
use hive_wire::{SatelliteId, SessionId, ViewerId};

use crate::hive::Hive;
use crate::hive::tests::{handshake, register};
use crate::identity::authentication::VerifyMode;
use crate::link::{ChannelLink, LinkEnd, Outgoing};
use crate::link_handler::AttachedSatellite;

/// The bytes of output that a satellite keeps.
const RING: u64 = 1024 * 1024;

pub(super) struct Machine {
    pub(super) id: SatelliteId,
    registered: RegisteredSatellite,
    link: Option<(AttachedSatellite, LinkEnd)>,
    pub(super) terminals: BTreeMap<SessionId, Pty>,
    last_stream: u32,
    /// The answer to a request for a session, if it refuses it.
    pub(super) refusal: Option<SessionEnd>,
    /// Whether it confirms input.
    pub(super) is_reading: bool,
}

/// A session on the satellite.
#[derive(Default)]
pub(super) struct Pty {
    pub(super) output: Vec<u8>,
    sent: u64,
    pub(super) limit: u64,
    pub(super) keep: Option<u64>,
    pub(super) input: Vec<u8>,
    pub(super) frames: usize,
    stream: Option<StreamId>,
    pub(super) writer: Option<ViewerId>,
    pub(super) size: Size,
    pub(super) resizes: usize,
    pub(super) redraws: usize,
    pub(super) end: Option<SessionEnd>,
}

impl Pty {
    fn start(&self) -> u64 {
        (self.output.len() as u64).saturating_sub(RING)
    }
}

pub(super) fn exited(code: i32) -> SessionEnd {
    SessionEnd { reason: EndReason::Exited, exit_code: Some(code), error: None }
}

impl Machine {
    /// Registers a satellite and opens a link.
    pub(super) async fn online(hive: &Hive, name: &str) -> Self {
        let registered = register(hive, name).await;
        Self::registered(hive, registered).await
    }

    pub(super) async fn registered(hive: &Hive, registered: RegisteredSatellite) -> Self {
        let mut machine = Self {
            id: registered.id,
            registered,
            link: None,
            terminals: BTreeMap::new(),
            last_stream: 1,
            refusal: None,
            is_reading: true,
        };
        machine.connect(hive).await;
        machine
    }

    /// Opens a link. An earlier one may still be open.
    pub(super) async fn connect(&mut self, hive: &Hive) {
        let identity = hive.authenticate_satellite(&self.registered.api_key, VerifyMode::Full).await.unwrap();
        let (link, end) = ChannelLink::pair();
        let mut hello = handshake(self.id, "journal-1");
        hello.sessions = self.terminals.keys().copied().collect();
        // Streams and credit start anew on each link.
        for pty in self.terminals.values_mut() {
            (pty.stream, pty.limit) = (None, 0);
        }
        let attached = hive.attach(identity, hello, link).await.unwrap();
        self.link = Some((attached, end));
        // An end is reported on each link until it is acknowledged.
        for (id, pty) in &self.terminals {
            if let Some(end) = pty.end.clone() {
                let ended = ToServer::PtyEnded { session_id: *id, end };
                self.link.as_mut().unwrap().0.on_control(ended).await.unwrap();
            }
        }
    }

    /// Cuts the link. The messages on it are lost.
    pub(super) fn cut(&mut self) {
        self.link = None;
    }

    /// Handles the messages of the hive until `work` is done.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            let Some((_, end)) = &mut self.link else { return work.await };
            let message = tokio::select! {
                // The work goes first, so that the state of the satellite is that of the moment when the work was done.
                biased;
                done = &mut work => return done,
                message = end.next() => message,
            };
            match message {
                Ok(message) => self.on_message(message).await,
                Err(_) => self.cut(),
            }
        }
    }

    /// Handles the messages of the hive until a condition holds.
    pub(super) async fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            let (_, end) = self.link.as_mut().expect("a link");
            let message = end.next().await.expect("the link stays");
            self.on_message(message).await;
        }
    }

    /// Handles the messages that the hive has sent so far.
    pub(super) async fn wait_until_idle(&mut self) {
        loop {
            let Some((_, end)) = &mut self.link else { return };
            let message = tokio::select! {
                biased;
                message = end.next() => message,
                () = tokio::task::yield_now() => return,
            };
            match message {
                Ok(message) => self.on_message(message).await,
                Err(_) => self.cut(),
            }
        }
    }

    /// Sends a message that the hive may refuse.
    pub(super) async fn send(&mut self, message: ToServer) -> crate::Result<()> {
        self.link.as_mut().expect("a link").0.on_control(message).await
    }

    pub(super) async fn send_frame(&mut self, frame: Frame) -> crate::Result<()> {
        self.link.as_mut().expect("a link").0.on_frame(frame).await
    }

    pub(super) fn pty(&self, id: SessionId) -> &Pty {
        &self.terminals[&id]
    }

    pub(super) fn stream(&self, id: SessionId) -> StreamId {
        self.pty(id).stream.expect("a stream")
    }

    /// Lets the program write as much as the flow control allows. Returns the number of bytes.
    pub(super) async fn print(&mut self, id: SessionId, bytes: &[u8]) -> usize {
        let pty = self.terminals.get_mut(&id).unwrap();
        let room = match pty.keep {
            Some(_) => pty.limit.saturating_sub(pty.output.len() as u64) as usize,
            None => bytes.len(),
        };
        let count = bytes.len().min(room);
        pty.output.extend_from_slice(&bytes[..count]);
        self.flush(id).await;
        count
    }

    /// Ends the program, after all its output.
    pub(super) async fn exit(&mut self, id: SessionId, end: SessionEnd) {
        self.flush(id).await;
        self.terminals.get_mut(&id).unwrap().end = Some(end.clone());
        self.say_if_linked(ToServer::PtyEnded { session_id: id, end }).await;
    }

    async fn flush(&mut self, id: SessionId) {
        let Some((attached, _)) = &mut self.link else { return };
        let pty = self.terminals.get_mut(&id).unwrap();
        let Some(stream) = pty.stream else { return };
        loop {
            if pty.sent < pty.start() {
                let (from, to) = (pty.sent, pty.start());
                pty.sent = to;
                attached.on_control(ToServer::PtyGap { session_id: id, from, to }).await.unwrap();
            }
            let end = pty.limit.min(pty.output.len() as u64).min(pty.sent + MAX_PAYLOAD as u64);
            if end <= pty.sent {
                return;
            }
            let bytes = Bytes::copy_from_slice(&pty.output[pty.sent as usize..end as usize]);
            attached.on_frame(Frame::data(stream, pty.sent, bytes, false)).await.unwrap();
            pty.sent = end;
        }
    }

    async fn say_if_linked(&mut self, message: ToServer) {
        if let Some((attached, _)) = &mut self.link {
            attached.on_control(message).await.unwrap();
        }
    }

    async fn on_message(&mut self, message: Outgoing) {
        match message {
            Outgoing::Frame(frame) => self.on_frame(&frame).await,
            Outgoing::Control(ToAgent::PtyStart(spec)) => {
                if let Some(end) = self.refusal.clone() {
                    return self.say_if_linked(ToServer::PtyEnded { session_id: spec.session_id, end }).await;
                }
                self.terminals.insert(spec.session_id, Pty { size: spec.size, ..Pty::default() });
                self.start(spec.session_id, Some(0)).await;
            }
            Outgoing::Control(ToAgent::PtyAttach { session_id, received }) => self.start(session_id, received).await,
            Outgoing::Control(ToAgent::PtyFlow { session_id, limit, keep }) => {
                let Some(pty) = self.terminals.get_mut(&session_id) else { return };
                (pty.limit, pty.keep) = (pty.limit.max(limit), keep);
                self.flush(session_id).await;
            }
            Outgoing::Control(ToAgent::PtyWriter { session_id, writer }) => {
                self.terminals.get_mut(&session_id).unwrap().writer = writer;
            }
            Outgoing::Control(ToAgent::PtyResize { session_id, size, redraw }) => {
                let pty = self.terminals.get_mut(&session_id).unwrap();
                (pty.size, pty.resizes, pty.redraws) = (size, pty.resizes + 1, pty.redraws + usize::from(redraw));
            }
            Outgoing::Control(ToAgent::PtyEnd { session_id }) if self.terminals.contains_key(&session_id) => {
                let killed = SessionEnd { reason: EndReason::Killed, exit_code: Some(129), error: None };
                self.exit(session_id, killed).await;
            }
            Outgoing::Control(ToAgent::PtyEndAck { session_id }) => drop(self.terminals.remove(&session_id)),
            Outgoing::Control(_) => {}
        }
    }

    async fn start(&mut self, session_id: SessionId, received: Option<u64>) {
        self.last_stream += 2;
        let stream = StreamId(self.last_stream);
        let pty = self.terminals.get_mut(&session_id).unwrap();
        let tail = (pty.output.len() as u64).saturating_sub(64 * 1024).max(pty.start());
        pty.sent = received.or(pty.keep).unwrap_or(tail);
        pty.stream = Some(stream);
        let started = PtyStarted {
            session_id,
            stream,
            output: pty.sent,
            input: pty.input.len() as u64,
            keep: pty.keep,
            writer: pty.writer,
            size: pty.size,
        };
        let applied = pty.input.len() as u64;
        self.say_if_linked(ToServer::PtyStarted(started)).await;
        if applied > 0 {
            self.say_if_linked(ToServer::PtyApplied { session_id, offset: applied }).await;
        }
    }

    async fn on_frame(&mut self, frame: &Frame) {
        let of_stream = |(_, pty): &(&SessionId, &mut Pty)| pty.stream == Some(frame.stream);
        let Some((id, pty)) = self.terminals.iter_mut().find(of_stream) else { return };
        let known = (pty.input.len() as u64).checked_sub(frame.offset).expect("no gap in the input");
        pty.input.extend_from_slice(frame.payload.get(known as usize..).unwrap_or_default());
        pty.frames += 1;
        let applied = ToServer::PtyApplied { session_id: *id, offset: pty.input.len() as u64 };
        if self.is_reading {
            self.say_if_linked(applied).await;
        }
    }
}
