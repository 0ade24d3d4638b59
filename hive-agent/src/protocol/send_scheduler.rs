//! Selects what is sent next over one link: control messages, then sessions, then the output of commands.
//!
//! Sessions take turns, and so do commands. Only a few messages are queued ahead. All other output stays in its spool
//! or session, so that a slow link needs no memory and the echo of a keystroke waits behind little.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hive_wire::agent::{Channel, Received, ToServer};
use hive_wire::frame::{Frame, StreamId};
use hive_wire::stream::{Lane, Lanes, StreamError};
use hive_wire::{CommandId, SessionId};
use tokio::sync::Semaphore;
use tracing::error;

use super::AgentMessage;
use super::command_sender::CommandSender;
use super::session_link::SessionLink;
use crate::dispatcher::{Dispatcher, ExecutionProgress};
use crate::pty::AgentSession;
use crate::spool::SpoolReader;

/// Messages per lane. While the control lane is full, nothing is read from the server. While the bulk lane is full,
/// no read of the spool begins.
const LANE: usize = 4;
/// Chunks that are read from the spool and not in a lane yet.
const READS: usize = 4;

/// Output of sessions. At most one message waits in this lane, so that the echo of a keystroke waits behind one frame
/// of other sessions at most.
const SESSIONS: Lane = Lane::Interactive;

/// The outgoing messages of one link.
#[derive(Debug)]
pub(super) struct SendScheduler {
    lanes: Lanes<(Lane, AgentMessage)>,
    sessions: HashMap<SessionId, SessionLink>,
    /// The session behind each stream of input.
    input_streams: HashMap<StreamId, SessionId>,
    /// Sessions that may have something to send, each at most once.
    ready_sessions: VecDeque<SessionId>,
    /// The session that received the last keystroke. Its next output is sent first, because it is probably the echo.
    last_typed: Option<SessionId>,
    is_session_queued: bool,
    commands: HashMap<CommandId, CommandSender>,
    owners: HashMap<StreamId, CommandId>,
    /// Commands that may have something to send, each at most once.
    ready: VecDeque<CommandId>,
    next_stream: u32,
    /// Bounds the chunks that wait for a lane, however many commands have output.
    read_slots: Arc<Semaphore>,
}

impl SendScheduler {
    pub(super) fn new() -> Self {
        Self {
            lanes: Lanes::new(LANE),
            sessions: HashMap::new(),
            input_streams: HashMap::new(),
            ready_sessions: VecDeque::new(),
            last_typed: None,
            is_session_queued: false,
            commands: HashMap::new(),
            owners: HashMap::new(),
            ready: VecDeque::new(),
            next_stream: 1,
            read_slots: Arc::new(Semaphore::new(READS)),
        }
    }

    /// Whether there is room for the answer to one more message of the server.
    pub(super) fn has_room(&self) -> bool {
        !self.lanes.is_full(Lane::Control)
    }

    /// Adds an answer. The caller has checked [`has_room`](Self::has_room); a message without room is dropped.
    pub(super) fn push(&mut self, message: ToServer) {
        if self.lanes.push(Lane::Control, (Lane::Control, AgentMessage::Control(message))).is_err() {
            error!("no room for a control message; it is dropped");
        }
    }

    /// Adds a ping. Returns false where there is no room, because answers are more important.
    pub(super) fn push_ping(&mut self) -> bool {
        self.lanes.push(Lane::Control, (Lane::Control, AgentMessage::Ping)).is_ok()
    }

    /// Attaches a session. The server has `received` so much of its output.
    pub(super) fn attach_session(&mut self, session: Arc<AgentSession>, received: Option<u64>) {
        let id = session.id;
        // An earlier attachment on this link has another stream, whose late input must be ignored.
        self.detach_session(id);
        let stream = self.new_stream();
        self.input_streams.insert(stream, id);
        self.sessions.insert(id, SessionLink::new(session, received, stream));
        self.advance_session(id);
    }

    /// Attaches a session that was just started. If it is attached to this link already, `pty_started` is sent again.
    pub(super) fn attach_again(&mut self, session: Arc<AgentSession>) {
        match self.sessions.get_mut(&session.id) {
            Some(known) if known.stream().is_some() => {
                known.resend_started();
                self.advance_session(session.id);
            }
            _ => self.attach_session(session, None),
        }
    }

    /// Sends the end of a session once it has ended, even if it was sent before.
    pub(super) fn await_end(&mut self, session: Arc<AgentSession>) {
        let id = session.id;
        self.sessions.entry(id).or_insert_with(|| SessionLink::end_only(session)).resend_end();
        self.advance_session(id);
    }

    /// Detaches a session: the server knows of its end.
    pub(super) fn detach_session(&mut self, id: SessionId) {
        if let Some(stream) = self.sessions.remove(&id).and_then(|session| session.stream()) {
            self.input_streams.remove(&stream);
        }
    }

    /// Notes that a session has progress. Sessions that are not attached are ignored.
    pub(super) fn advance_session(&mut self, id: SessionId) {
        if !self.sessions.contains_key(&id) {
            return;
        }
        if self.last_typed.take_if(|last_typed| *last_typed == id).is_some() {
            // The session may already wait in the queue; it must not be in it twice.
            self.ready_sessions.retain(|ready| *ready != id);
            self.ready_sessions.push_front(id);
        } else if !self.ready_sessions.contains(&id) {
            self.ready_sessions.push_back(id);
        }
    }

    /// Sets how far a session's output may be sent, and from which byte on it is still needed.
    pub(super) fn set_flow(&mut self, id: SessionId, limit: u64, keep: Option<u64>) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.set_flow(limit, keep);
            self.advance_session(id);
        }
    }

    /// Passes input to its session. Frames of a stream without an attached session are ignored.
    pub(super) fn accept_input(&mut self, frame: &Frame) -> Result<(), StreamError> {
        let Some(id) = self.input_streams.get(&frame.stream) else { return Ok(()) };
        // Set before the input is accepted: the echo may be produced at once.
        self.last_typed = Some(*id);
        self.sessions.get(id).map_or(Ok(()), |session| session.accept_input(frame))
    }

    fn new_stream(&mut self) -> StreamId {
        let stream = StreamId(self.next_stream);
        // Satellites use odd stream numbers and servers even ones, so that neither has to ask.
        self.next_stream += 2;
        stream
    }

    /// Attaches a command of which the server has `received` so much output. If it is attached to this link already,
    /// the acknowledgement is sent again. Everything is sent again if its result was already sent, because then nothing
    /// is under way any more.
    pub(super) fn attach(&mut self, id: CommandId, received: Received, dispatcher: &Dispatcher) {
        match self.commands.get_mut(&id) {
            Some(known) if !known.has_sent_result => known.resend_ack(),
            _ => {
                self.detach(id);
                let reader = |channel| dispatcher.reader(id, channel, self.read_slots.clone());
                let readers = [Channel::Stdout, Channel::Stderr].map(reader);
                self.begin(id, received, readers);
            }
        }
        self.make_ready(id);
    }

    fn begin(&mut self, id: CommandId, received: Received, readers: [SpoolReader; 2]) {
        self.commands.insert(id, CommandSender::new(id, received, readers));
    }

    /// Detaches a command: the server has its result.
    pub(super) fn detach(&mut self, id: CommandId) {
        if let Some(command) = self.commands.remove(&id) {
            for stream in command.streams() {
                self.owners.remove(&stream);
            }
        }
    }

    /// Updates the progress of a command. Commands that are not attached are ignored.
    pub(super) fn advance(&mut self, id: CommandId, progress: ExecutionProgress) {
        if let Some(command) = self.commands.get_mut(&id) {
            command.advance(progress);
            self.make_ready(id);
        }
    }

    /// Raises the limit of a stream. Streams that have ended are ignored.
    pub(super) fn credit(&mut self, stream: StreamId, limit: u64) {
        if let Some(&id) = self.owners.get(&stream)
            && let Some(command) = self.commands.get_mut(&id)
        {
            command.credit(stream, limit);
            self.make_ready(id);
        }
    }

    fn make_ready(&mut self, id: CommandId) {
        if !self.ready.contains(&id) {
            self.ready.push_back(id);
        }
    }

    /// Fills the lanes from the sessions and commands that have something to send, one message per turn.
    pub(super) fn fill(&mut self) {
        self.fill_from_sessions();
        self.fill_from_commands();
    }

    fn fill_from_sessions(&mut self) {
        while !self.is_session_queued
            && let Some(id) = self.ready_sessions.pop_front()
        {
            let piece = self.sessions.get_mut(&id).and_then(SessionLink::next);
            if let Some(piece) = piece {
                self.is_session_queued = true;
                push(&mut self.lanes, SESSIONS, piece);
                // It goes to the end of the queue even if this was its last message: the next turn finds out.
                self.ready_sessions.push_back(id);
            }
        }
    }

    fn fill_from_commands(&mut self) {
        // Ends when every command had a turn without sending anything.
        let mut idle_turns = 0;
        while idle_turns < self.ready.len() {
            let Some(id) = self.ready.pop_front() else { return };
            let (has_sent, has_more) = self.give_turn(id);
            if has_more {
                self.ready.push_back(id);
            }
            idle_turns = if has_sent || !has_more { 0 } else { idle_turns + 1 };
        }
    }

    /// Lets one command queue messages. Returns whether it queued any, and whether it needs another turn.
    fn give_turn(&mut self, id: CommandId) -> (bool, bool) {
        let Some(command) = self.commands.get_mut(&id) else { return (false, false) };
        let mut has_sent = false;
        while !self.lanes.is_full(Lane::Control)
            && let Some(message) = command.next_control()
        {
            has_sent = true;
            push(&mut self.lanes, Lane::Control, AgentMessage::Control(message));
        }
        if self.lanes.is_full(Lane::Control) || self.lanes.is_full(Lane::Bulk) {
            // It keeps its turn, because the lane has room again after the next message.
            return (has_sent, true);
        }
        let (next_stream, owners) = (&mut self.next_stream, &mut self.owners);
        let new_stream = || {
            let stream = StreamId(*next_stream);
            *next_stream += 2;
            owners.insert(stream, id);
            stream
        };
        match command.next_output(new_stream) {
            Some(piece) => {
                push(&mut self.lanes, Lane::Bulk, piece);
                (true, true)
            }
            None => (has_sent, false),
        }
    }

    /// Takes the most urgent message.
    pub(super) fn pop(&mut self) -> Option<AgentMessage> {
        let (lane, message) = self.lanes.pop()?;
        // The next session may queue a message only after this one has been handed to the socket.
        if lane == SESSIONS {
            self.is_session_queued = false;
        }
        Some(message)
    }
}

fn push(lanes: &mut Lanes<(Lane, AgentMessage)>, lane: Lane, message: AgentMessage) {
    lanes.push(lane, (lane, message)).expect("the caller looked for room");
}

#[cfg(test)]
mod tests;
