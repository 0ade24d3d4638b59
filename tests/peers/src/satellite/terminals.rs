//! The sessions of a fake satellite, which continue when the link is cut, as those of an agent do. Decides without I/O.

use std::collections::BTreeMap;

use bytes::Bytes;
use hive_wire::agent::{PtyStarted, ToAgent, ToServer};
use hive_wire::api::{EndReason, SessionEnd, Size};
use hive_wire::frame::{Frame, MAX_PAYLOAD, StreamId};
use hive_wire::{SessionId, ViewerId};

use crate::message::{FromHive, FromSatellite};

/// The bytes of output that a satellite keeps.
const RING: u64 = 1024 * 1024;

/// The bytes of output that are sent to a hive that has none and needs none.
const TAIL: u64 = 64 * 1024;

/// All sessions of one satellite. Methods return what the satellite says.
#[derive(Debug)]
pub struct FakeTerminals {
    /// The answer to a request for a session, if it refuses it.
    pub refusal: Option<SessionEnd>,
    /// Whether it confirms input.
    pub is_reading: bool,
    open: BTreeMap<SessionId, FakeTerminal>,
    last_stream: u32,
}

/// A session on the satellite.
#[derive(Debug, Default)]
pub struct FakeTerminal {
    /// What the program has written.
    pub output: Vec<u8>,
    /// The offset up to which the hive takes output.
    pub limit: u64,
    /// The offset from which on somebody needs the output.
    pub keep: Option<u64>,
    /// What was typed.
    pub input: Vec<u8>,
    /// The frames in which it came.
    pub frames: usize,
    /// Who may type.
    pub writer: Option<ViewerId>,
    /// Its size.
    pub size: Size,
    /// How often it was resized.
    pub resizes: usize,
    /// How often it was to draw its screen again.
    pub redraws: usize,
    /// How it ended.
    pub end: Option<SessionEnd>,
    /// Its stream on this link.
    stream: Option<StreamId>,
    sent: u64,
}

impl FakeTerminal {
    /// Where the output begins that is still kept.
    fn start(&self) -> u64 {
        (self.output.len() as u64).saturating_sub(RING)
    }

    /// Its stream on this link.
    pub fn stream(&self) -> StreamId {
        self.stream.expect("the session is attached to the link")
    }

    /// Sends the output that may be sent.
    fn flush(&mut self, session_id: SessionId) -> Vec<FromSatellite> {
        let mut messages = Vec::new();
        let Some(stream) = self.stream else { return messages };
        loop {
            // The ring has passed what the hive has not read yet.
            if self.sent < self.start() {
                let (from, to) = (self.sent, self.start());
                self.sent = to;
                messages.push(ToServer::PtyGap { session_id, from, to }.into());
            }
            let end = self.limit.min(self.output.len() as u64).min(self.sent + MAX_PAYLOAD as u64);
            if end <= self.sent {
                return messages;
            }
            let bytes = Bytes::copy_from_slice(&self.output[self.sent as usize..end as usize]);
            messages.push(Frame::data(stream, self.sent, bytes, false).into());
            self.sent = end;
        }
    }

    /// Takes input, and says how much there is now.
    fn take_input(&mut self, session_id: SessionId, frame: &Frame) -> ToServer {
        // Frames come again after a reconnect, also half of one.
        let known = (self.input.len() as u64).checked_sub(frame.offset).expect("no gap in the input");
        self.input.extend_from_slice(frame.payload.get(known as usize..).unwrap_or_default());
        self.frames += 1;
        self.applied(session_id)
    }

    fn applied(&self, session_id: SessionId) -> ToServer {
        ToServer::PtyApplied { session_id, offset: self.input.len() as u64 }
    }

    /// Begins its stream on a link, behind what the hive has received.
    fn attach(&mut self, session_id: SessionId, stream: StreamId, received: Option<u64>) -> Vec<FromSatellite> {
        // A hive without a position reads the end of the output, as after its restart.
        let tail = (self.output.len() as u64).saturating_sub(TAIL).max(self.start());
        self.sent = received.or(self.keep).unwrap_or(tail);
        self.stream = Some(stream);
        let started = PtyStarted {
            session_id,
            stream,
            output: self.sent,
            input: self.input.len() as u64,
            keep: self.keep,
            writer: self.writer,
            size: self.size,
        };
        let applied = (!self.input.is_empty()).then(|| self.applied(session_id));
        std::iter::once(ToServer::PtyStarted(started)).chain(applied).map(Into::into).collect()
    }
}

impl Default for FakeTerminals {
    fn default() -> Self {
        Self { refusal: None, is_reading: true, open: BTreeMap::new(), last_stream: 1 }
    }
}

impl FakeTerminals {
    /// Which it has.
    pub fn ids(&self) -> Vec<SessionId> {
        self.open.keys().copied().collect()
    }

    /// Whether it has none, and the hive has acknowledged all their ends.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        self.open.clear();
    }

    /// One that it has.
    pub fn get(&self, id: SessionId) -> &FakeTerminal {
        &self.open[&id]
    }

    fn get_mut(&mut self, id: SessionId) -> &mut FakeTerminal {
        self.open.get_mut(&id).expect("the satellite has the session")
    }

    /// Answers a message.
    pub fn on_message(&mut self, message: &FromHive) -> Vec<FromSatellite> {
        match message {
            FromHive::Frame(frame) => self.on_frame(frame),
            FromHive::Control(message) => self.on_control(message),
        }
    }

    /// Lets a program write as much as the flow control allows. Also returns the number of bytes.
    pub fn print(&mut self, id: SessionId, bytes: &[u8]) -> (usize, Vec<FromSatellite>) {
        let terminal = self.get_mut(id);
        let room = match terminal.keep {
            // With `keep` the program waits for room, instead of losing its oldest output.
            Some(_) => terminal.limit.saturating_sub(terminal.output.len() as u64) as usize,
            None => bytes.len(),
        };
        let count = bytes.len().min(room);
        terminal.output.extend_from_slice(&bytes[..count]);
        (count, terminal.flush(id))
    }

    /// Ends a program, after all its output.
    pub fn exit(&mut self, id: SessionId, end: SessionEnd) -> Vec<FromSatellite> {
        let terminal = self.get_mut(id);
        let mut messages = terminal.flush(id);
        terminal.end = Some(end.clone());
        messages.push(ToServer::PtyEnded { session_id: id, end }.into());
        messages
    }

    /// Loses the link.
    pub(super) fn unlink(&mut self) {
        for terminal in self.open.values_mut() {
            terminal.stream = None;
        }
    }

    /// Begins on a new link: streams and credit start anew, and an end is reported on each link until it is acknowledged.
    pub(super) fn relink(&mut self) -> Vec<FromSatellite> {
        for terminal in self.open.values_mut() {
            // Streams and credit belong to a link. The hive attaches again and grants anew.
            (terminal.stream, terminal.limit) = (None, 0);
        }
        let ends = self.open.iter().filter_map(|(id, terminal)| Some((*id, terminal.end.clone()?)));
        ends.map(|(session_id, end)| ToServer::PtyEnded { session_id, end }.into()).collect()
    }

    fn on_control(&mut self, message: &ToAgent) -> Vec<FromSatellite> {
        match message {
            ToAgent::PtyStart(spec) => {
                let session_id = spec.session_id;
                if let Some(end) = self.refusal.clone() {
                    return vec![ToServer::PtyEnded { session_id, end }.into()];
                }
                self.open.insert(session_id, FakeTerminal { size: spec.size, ..FakeTerminal::default() });
                return self.attach(session_id, Some(0));
            }
            ToAgent::PtyAttach { session_id, received } => return self.attach(*session_id, *received),
            ToAgent::PtyFlow { session_id, limit, keep } => {
                let Some(terminal) = self.open.get_mut(session_id) else { return Vec::new() };
                // A grant is never taken back.
                (terminal.limit, terminal.keep) = (terminal.limit.max(*limit), *keep);
                return terminal.flush(*session_id);
            }
            ToAgent::PtyWriter { session_id, writer } => self.get_mut(*session_id).writer = *writer,
            ToAgent::PtyResize { session_id, size, redraw } => {
                let terminal = self.get_mut(*session_id);
                terminal.size = *size;
                terminal.resizes += 1;
                terminal.redraws += usize::from(*redraw);
            }
            ToAgent::PtyEnd { session_id } if self.open.contains_key(session_id) => {
                let killed = SessionEnd { reason: EndReason::Killed, exit_code: Some(129), error: None };
                return self.exit(*session_id, killed);
            }
            ToAgent::PtyEndAck { session_id } => drop(self.open.remove(session_id)),
            _ => {}
        }
        Vec::new()
    }

    fn attach(&mut self, id: SessionId, received: Option<u64>) -> Vec<FromSatellite> {
        // The satellite's streams are odd ones.
        self.last_stream += 2;
        let stream = StreamId(self.last_stream);
        self.get_mut(id).attach(id, stream, received)
    }

    fn on_frame(&mut self, frame: &Frame) -> Vec<FromSatellite> {
        let of_stream = |(_, terminal): &(&SessionId, &mut FakeTerminal)| terminal.stream == Some(frame.stream);
        let Some((id, terminal)) = self.open.iter_mut().find(of_stream) else { return Vec::new() };
        let applied = terminal.take_input(*id, frame);
        // One that does not read takes the input into its queue and reports none of it as written.
        if self.is_reading { vec![applied.into()] } else { Vec::new() }
    }
}
