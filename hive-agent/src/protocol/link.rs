//! The protocol of one open link without its socket: handles each message of the server and selects what is sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use hive_wire::agent::{Command, Metrics, PtySpec, ToAgent, ToServer};
use hive_wire::api::{EndReason, SessionEnd};
use hive_wire::frame::{Frame, FrameKind};
use hive_wire::{CommandId, SessionId};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::link_clock::LinkClock;
use super::send_scheduler::SendScheduler;
use super::{AgentMessage, DisconnectReason};
use crate::clock;
use crate::dirty_set::DirtySet;
use crate::dispatcher::{DeliveryOutcome, Dispatcher};
use crate::machine::MetricsSampler;
use crate::metrics::Counters;
use crate::pty::{AgentSession, AgentSessions};

/// One open link. The transport passes in every message it reads, and sends what it takes from [`pop`](Self::pop).
pub(crate) struct LinkProtocol<'a> {
    dispatcher: &'a Arc<Dispatcher>,
    sessions: &'a AgentSessions,
    counters: &'a Counters,
    scheduler: SendScheduler,
    sampler: MetricsSampler,
    clock: LinkClock,
    /// When the ping was queued whose pong is awaited.
    pinged: Option<Instant>,
    checks: mpsc::Sender<ProblemCheck>,
}

/// What a check of this agent has found.
pub(crate) struct ProblemCheck {
    problems: Vec<String>,
    /// The server awaits the answer of a heartbeat.
    is_asked: bool,
}

impl<'a> LinkProtocol<'a> {
    /// Returns the protocol, and the checks that [`on_check`](Self::on_check) handles.
    pub(crate) fn new(
        dispatcher: &'a Arc<Dispatcher>,
        sessions: &'a AgentSessions,
        counters: &'a Counters,
        clock: LinkClock,
    ) -> (Self, mpsc::Receiver<ProblemCheck>) {
        let (checks, checked) = mpsc::channel(1);
        let link = Self {
            dispatcher,
            sessions,
            counters,
            scheduler: SendScheduler::new(),
            sampler: MetricsSampler::new(),
            clock,
            pinged: None,
            checks,
        };
        // A full disk is reported at once and not with the next heartbeat.
        link.check_problems(false);
        (link, checked)
    }

    /// The commands with progress that this link has not handled yet.
    pub(crate) fn dirty_commands(&self) -> &'a DirtySet<CommandId> {
        self.dispatcher.dirty()
    }

    /// The sessions with progress that this link has not handled yet.
    pub(crate) fn dirty_sessions(&self) -> &'a DirtySet<SessionId> {
        self.sessions.dirty()
    }

    /// Whether one more message of the server may be read, because there is room for its answer.
    pub(crate) fn has_room(&self) -> bool {
        self.scheduler.has_room()
    }

    /// Moves messages that are ready into the lanes that [`pop`](Self::pop) takes from.
    pub(crate) fn fill(&mut self) {
        self.scheduler.fill();
    }

    /// Takes the most urgent message.
    pub(crate) fn pop(&mut self) -> Option<AgentMessage> {
        self.scheduler.pop()
    }

    /// Handles a frame of input. A frame that does not continue the input received so far is a protocol violation; the
    /// next link resumes at the offset that is known here.
    pub(crate) fn on_data(&mut self, frame: &Frame) -> Result<(), DisconnectReason> {
        // Other kinds of frames belong to later versions of the protocol.
        if frame.kind != FrameKind::Data {
            return Ok(());
        }
        self.scheduler.accept_input(frame).map_err(|error| DisconnectReason::ProtocolViolation(error.to_string()))
    }

    /// Handles a control message.
    pub(crate) fn on_control(&mut self, message: ToAgent) -> Result<(), DisconnectReason> {
        match message {
            ToAgent::Command(command) => self.on_command(*command),
            ToAgent::CommandCancel { id } => self.dispatcher.cancel(id),
            ToAgent::ResultAck { id } => {
                if self.dispatcher.acknowledge(id) {
                    self.scheduler.detach(id);
                }
            }
            ToAgent::StreamCredit { stream, limit } => self.scheduler.credit(stream, limit),
            ToAgent::PtyStart(spec) => self.start_session(&spec),
            ToAgent::PtyAttach { session_id, received } => self.attach_session(session_id, received),
            ToAgent::PtyFlow { session_id, limit, keep } => self.scheduler.set_flow(session_id, limit, keep),
            ToAgent::PtyWriter { session_id, writer } => self.with_session(session_id, |it| it.set_writer(writer)),
            ToAgent::PtyResize { session_id, size, redraw } => {
                self.with_session(session_id, |it| it.resize(size, redraw));
            }
            ToAgent::PtyEnd { session_id } => self.end_session(session_id),
            // A server that acknowledges a running session made a mistake; the session stays attached.
            ToAgent::PtyEndAck { session_id } => {
                if self.sessions.forget(session_id) {
                    self.scheduler.detach_session(session_id);
                }
            }
            ToAgent::HeartbeatPing { timestamp: _, sent_at } => {
                // Heartbeats are the messages that are least likely to have waited in a queue.
                self.clock.compare(clock::steady(), sent_at);
                self.check_problems(true);
            }
            ToAgent::Disconnect { reason, retry_after_ms } => {
                return Err(DisconnectReason::disconnected(&reason, retry_after_ms));
            }
            ToAgent::RotateKey { api_key } => return Err(DisconnectReason::NewKey(api_key.0.into())),
            ToAgent::Error { error } => {
                warn!(code = error.code.as_str(), message = ?error.message, "the server reports an error");
            }
            // A later server may send messages that this version does not know.
            other => debug!(?other, "ignored a message of an unknown type"),
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
            if let Some(command) = self.dispatcher.command(id) {
                self.scheduler.advance(id, command.progress());
            }
        }
    }

    /// Handles the progress of sessions.
    pub(crate) fn on_session_progress(&mut self, ids: BTreeSet<SessionId>) {
        for id in ids {
            self.scheduler.advance_session(id);
        }
    }

    /// Queues the latest progress of everything, before the agent stops. The message of
    /// [`disconnect`](Self::disconnect) follows.
    pub(crate) fn advance_all(&mut self) {
        for command in self.dispatcher.commands() {
            self.scheduler.advance(command.id, command.progress());
        }
        for session in self.sessions.all() {
            self.scheduler.advance_session(session.id);
        }
    }

    /// The last message of a satellite that stops.
    pub(crate) fn disconnect() -> AgentMessage {
        AgentMessage::Control(ToServer::Disconnect { reason: "shutdown".into() })
    }

    /// Starts a command, or returns it to the server as busy: there is no free slot, or it may have expired and only
    /// the server knows.
    fn on_command(&mut self, command: Command) {
        // The time is taken before anything else, because the age of the command counts from here.
        let (id, received, now) = (command.id, command.received, clock::steady());
        let time_left = self.clock.time_left(now, &command);
        match self.dispatcher.deliver(command, time_left) {
            DeliveryOutcome::Accepted => self.scheduler.attach(id, received, self.dispatcher),
            DeliveryOutcome::Busy => {
                // When it is sent again, its age is bounded by the time since this moment.
                self.clock.record_busy(now, id);
                self.scheduler.push(ToServer::Busy { id });
            }
        }
    }

    fn start_session(&mut self, spec: &PtySpec) {
        match self.sessions.start(spec) {
            Ok(session) => self.scheduler.attach_again(session),
            Err(error) => {
                let end = SessionEnd { reason: EndReason::Error, exit_code: None, error: Some(error) };
                self.scheduler.push(ToServer::PtyEnded { session_id: spec.session_id, end });
            }
        }
    }

    fn attach_session(&mut self, id: SessionId, received: Option<u64>) {
        match self.sessions.get(id) {
            Some(session) => self.scheduler.attach_session(session, received),
            None => self.report_absent(id),
        }
    }

    fn end_session(&mut self, id: SessionId) {
        match self.sessions.get(id) {
            // The end is reported when the processes are gone, which may take as long as the kill grace period.
            Some(session) => {
                session.stop();
                self.scheduler.await_end(session);
            }
            None => self.report_absent(id),
        }
    }

    fn with_session(&self, id: SessionId, act: impl FnOnce(&AgentSession)) {
        if let Some(session) = self.sessions.get(id) {
            act(&session);
        }
    }

    fn report_absent(&mut self, session_id: SessionId) {
        let end = self.sessions.end_of_absent(session_id);
        self.scheduler.push(ToServer::PtyEnded { session_id, end });
    }

    /// Checks this agent. A disk that hangs delays the answer of the heartbeat, and nothing else of this link.
    fn check_problems(&self, is_asked: bool) {
        let (dispatcher, checks) = (Arc::clone(self.dispatcher), self.checks.clone());
        self.dispatcher.spawn(async move {
            let problems = dispatcher.problems().await;
            // A link that is gone needs no answer.
            drop(checks.send(ProblemCheck { problems, is_asked }).await);
        });
    }

    /// Answers a heartbeat, and sends a ping whose round trip is the latency of this link. Without a heartbeat it does
    /// so only if there is a problem.
    pub(crate) fn on_check(&mut self, check: ProblemCheck) {
        let problems = [check.problems, self.sessions.problems()].concat();
        if problems.is_empty() && !check.is_asked {
            return;
        }
        let active_sessions = self.sessions.active() as u32;
        let metrics = Metrics { active_sessions, problems, ..self.sampler.metrics() };
        let capacity = Some(self.dispatcher.capacity());
        self.scheduler.push(ToServer::HeartbeatPong { timestamp: clock::now(), metrics: Some(metrics), capacity });
        // The answer above goes first: it may take the last place in the lane.
        if self.scheduler.push_ping() {
            self.pinged = Some(Instant::now());
        }
    }
}

/// However a link ends, its sessions are notified at once: their timeouts without a link begin.
impl Drop for LinkProtocol<'_> {
    fn drop(&mut self) {
        self.sessions.on_link_lost();
    }
}
