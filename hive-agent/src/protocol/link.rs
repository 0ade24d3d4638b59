//! The protocol of one open link, without its socket: what each message of the server leads to, and what is sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use hive_wire::agent::{Command, Metrics, PtySpec, ToAgent, ToServer};
use hive_wire::api::{EndReason, SessionEnd};
use hive_wire::frame::{Frame, FrameKind};
use hive_wire::{CommandId, SessionId};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::link_clock::LinkClock;
use super::outbox::Outbox;
use super::{AgentMessage, LinkEnd};
use crate::clock;
use crate::dirty_set::Board;
use crate::dispatch::{Delivery, Dispatch};
use crate::machine::Gauge;
use crate::metrics::Counters;
use crate::pty::{Terminal, Terminals};

/// One open link. The transport hands in what it reads and sends what it takes from here.
pub(crate) struct LinkProtocol<'a> {
    dispatch: &'a Arc<Dispatch>,
    terminals: &'a Terminals,
    counters: &'a Counters,
    outbox: Outbox,
    gauge: Gauge,
    clock: LinkClock,
    /// When the ping was queued whose pong is awaited.
    pinged: Option<Instant>,
}

impl<'a> LinkProtocol<'a> {
    pub(crate) fn new(
        dispatch: &'a Arc<Dispatch>,
        terminals: &'a Terminals,
        counters: &'a Counters,
        clock: LinkClock,
    ) -> Self {
        let mut link =
            Self { dispatch, terminals, counters, outbox: Outbox::new(), gauge: Gauge::new(), clock, pinged: None };
        if !dispatch.problems().is_empty() {
            // The server learns of a full disk at once and not with the next heartbeat.
            link.answer_heartbeat();
        }
        link
    }

    /// The commands with progress that this link has not seen.
    pub(crate) fn dirty_commands(&self) -> &'a Board<CommandId> {
        self.dispatch.board()
    }

    /// The terminals with progress that this link has not seen.
    pub(crate) fn dirty_terminals(&self) -> &'a Board<SessionId> {
        self.terminals.board()
    }

    /// Whether one more message of the server may be read: there is room for the answer.
    pub(crate) fn has_room(&self) -> bool {
        self.outbox.has_room()
    }

    /// Moves what is ready to be sent into the lanes of [`pop`](Self::pop).
    pub(crate) fn fill(&mut self) {
        self.outbox.fill();
    }

    /// Takes the most urgent message.
    pub(crate) fn pop(&mut self) -> Option<AgentMessage> {
        self.outbox.pop()
    }

    /// Handles a frame of input. Where it does not continue the input so far, the link ends, and the next one resumes
    /// at the offset that is known here.
    pub(crate) fn on_data(&mut self, frame: &Frame) -> Result<(), LinkEnd> {
        // Frames of other kinds belong to newer versions of the protocol.
        if frame.kind != FrameKind::Data {
            return Ok(());
        }
        self.outbox.type_in(frame).map_err(|error| LinkEnd::Broken(error.to_string()))
    }

    /// Handles a control message.
    pub(crate) fn on_control(&mut self, message: ToAgent) -> Result<(), LinkEnd> {
        match message {
            ToAgent::Command(command) => self.on_command(*command),
            ToAgent::CommandCancel { id } => self.dispatch.cancel(id),
            ToAgent::ResultAck { id } => {
                if self.dispatch.acknowledge(id) {
                    self.outbox.detach(id);
                }
            }
            ToAgent::StreamCredit { stream, limit } => self.outbox.credit(stream, limit),
            ToAgent::PtyStart(spec) => self.start_terminal(&spec),
            ToAgent::PtyAttach { session_id, received } => self.attach_terminal(session_id, received),
            ToAgent::PtyFlow { session_id, limit, keep } => self.outbox.set_flow(session_id, limit, keep),
            ToAgent::PtyWriter { session_id, writer } => self.with_terminal(session_id, |it| it.set_writer(writer)),
            ToAgent::PtyResize { session_id, size, redraw } => {
                self.with_terminal(session_id, |it| it.resize(size, redraw));
            }
            ToAgent::PtyEnd { session_id } => self.end_terminal(session_id),
            ToAgent::PtyEndAck { session_id } => {
                if self.terminals.forget(session_id) {
                    self.outbox.detach_terminal(session_id);
                }
            }
            ToAgent::HeartbeatPing { timestamp: _, sent_at } => {
                self.clock.compare(clock::steady(), sent_at);
                self.answer_heartbeat();
            }
            ToAgent::Disconnect { reason, retry_after_ms } => {
                return Err(LinkEnd::disconnected(&reason, retry_after_ms));
            }
            ToAgent::RotateKey { api_key } => return Err(LinkEnd::NewKey(api_key.0.into())),
            ToAgent::Error { error } => {
                warn!(code = error.code.as_str(), message = ?error.message, "the server reports an error");
            }
            other => debug!(?other, "a message that means nothing here is ignored"),
        }
        Ok(())
    }

    /// Handles the pong of the last ping.
    pub(crate) fn on_pong(&mut self) {
        if let Some(pinged) = self.pinged.take() {
            self.counters.heartbeat_took(pinged.elapsed());
        }
    }

    /// Handles the progress of commands.
    pub(crate) fn on_command_progress(&mut self, ids: BTreeSet<CommandId>) {
        for id in ids {
            if let Some(job) = self.dispatch.job(id) {
                self.outbox.advance(id, job.progress());
            }
        }
    }

    /// Handles the progress of terminals.
    pub(crate) fn on_terminal_progress(&mut self, ids: BTreeSet<SessionId>) {
        for id in ids {
            self.outbox.advance_terminal(id);
        }
    }

    /// Prepares the end of the agent: everything that has progress is sent once more. [`Self::disconnect`] is the last
    /// message.
    pub(crate) fn advance_all(&mut self) {
        for job in self.dispatch.jobs() {
            self.outbox.advance(job.id, job.progress());
        }
        for terminal in self.terminals.all() {
            self.outbox.advance_terminal(terminal.id);
        }
    }

    /// The last message of a satellite that stops.
    pub(crate) fn disconnect() -> AgentMessage {
        AgentMessage::Control(ToServer::Disconnect { reason: "shutdown".into() })
    }

    /// Starts a command, or sends it back: it cannot run now, or only the server knows whether it still may.
    fn on_command(&mut self, command: Command) {
        let (id, received, now) = (command.id, command.received, clock::steady());
        let time_left = self.clock.time_left(now, &command);
        match self.dispatch.deliver(command, time_left) {
            Delivery::Taken => self.outbox.attach(id, received, self.dispatch),
            Delivery::Busy => {
                self.clock.send_back(now, id);
                self.outbox.push(ToServer::Busy { id });
            }
        }
    }

    fn start_terminal(&mut self, spec: &PtySpec) {
        match self.terminals.start(spec) {
            Ok(terminal) => self.outbox.attach_again(terminal),
            Err(error) => {
                let end = SessionEnd { reason: EndReason::Error, exit_code: None, error: Some(error) };
                self.outbox.push(ToServer::PtyEnded { session_id: spec.session_id, end });
            }
        }
    }

    fn attach_terminal(&mut self, id: SessionId, received: Option<u64>) {
        match self.terminals.get(id) {
            Some(terminal) => self.outbox.attach_terminal(terminal, received),
            None => self.report_absent(id),
        }
    }

    fn end_terminal(&mut self, id: SessionId) {
        match self.terminals.get(id) {
            Some(terminal) => {
                terminal.stop();
                self.outbox.await_end(terminal);
            }
            None => self.report_absent(id),
        }
    }

    fn with_terminal(&self, id: SessionId, act: impl FnOnce(&Terminal)) {
        if let Some(terminal) = self.terminals.get(id) {
            act(&terminal);
        }
    }

    fn report_absent(&mut self, session_id: SessionId) {
        let end = self.terminals.end_of_absent(session_id);
        self.outbox.push(ToServer::PtyEnded { session_id, end });
    }

    /// Answers a heartbeat and adds a ping of our own, whose round trip is the latency of this link.
    fn answer_heartbeat(&mut self) {
        let (active_sessions, problems) = (self.terminals.active() as u32, self.dispatch.problems());
        let metrics = Metrics { active_sessions, problems, ..self.gauge.read() };
        let capacity = Some(self.dispatch.capacity());
        self.outbox.push(ToServer::HeartbeatPong { timestamp: clock::now(), metrics: Some(metrics), capacity });
        if self.outbox.push_ping() {
            self.pinged = Some(Instant::now());
        }
    }
}

/// However a link ends, its terminals learn of it at once.
impl Drop for LinkProtocol<'_> {
    fn drop(&mut self) {
        self.terminals.leave();
    }
}
