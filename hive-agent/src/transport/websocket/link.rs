//! The loop of one open link: messages in, messages out, progress of commands, silence of the server.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use hive_wire::SessionId;
use hive_wire::agent::{Command, Metrics, PtySpec, ToAgent, ToServer, close};
use hive_wire::api::{EndReason, SessionEnd};
use hive_wire::frame::{Frame, FrameKind};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{Error as SocketError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{Socket, closed, text, told_to_leave};
use crate::clock;
use crate::dispatch::{Delivery, Dispatch};
use crate::machine::Gauge;
use crate::metrics::Counters;
use crate::protocol::LinkEnd;
use crate::protocol::link_clock::LinkClock;
use crate::protocol::outbox::Outbox;
use crate::pty::{Terminal, Terminals};

/// How many heartbeat intervals the server may be silent.
const MISSED_HEARTBEATS: u32 = 3;
/// How long a stopping agent tries to say its last words.
const GOODBYE: Duration = Duration::from_secs(1);
/// The longest reason of a close frame: a control frame holds 125 bytes, two of them the code.
const MAX_REASON: usize = 123;

/// One open link.
pub(crate) struct Link<'a> {
    dispatch: &'a Arc<Dispatch>,
    terminals: &'a Terminals,
    counters: &'a Counters,
    outbox: Outbox,
    gauge: Gauge,
    clock: LinkClock,
    /// When the ping went out whose pong is awaited.
    pinged: Option<Instant>,
}

impl<'a> Link<'a> {
    pub(crate) fn new(
        dispatch: &'a Arc<Dispatch>,
        terminals: &'a Terminals,
        counters: &'a Counters,
        clock: LinkClock,
    ) -> Self {
        Self { dispatch, terminals, counters, outbox: Outbox::new(), gauge: Gauge::new(), clock, pinged: None }
    }

    /// Serves the link until it ends.
    pub(crate) async fn run(
        mut self,
        socket: Socket,
        heartbeat_interval: Duration,
        stop: &CancellationToken,
    ) -> LinkEnd {
        let (mut sink, stream) = socket.split();
        let end = self.serve(&mut sink, stream, heartbeat_interval, stop).await;
        if let LinkEnd::Broken(reason) = &end {
            complain(&mut sink, reason).await;
        }
        end
    }

    async fn serve(
        &mut self,
        sink: &mut (impl Sink<Message, Error = SocketError> + Unpin),
        mut stream: impl Stream<Item = Result<Message, SocketError>> + Unpin,
        heartbeat_interval: Duration,
        stop: &CancellationToken,
    ) -> LinkEnd {
        let patience = heartbeat_interval * MISSED_HEARTBEATS;
        let mut silence = pin!(tokio::time::sleep(patience));
        let mut is_flushed = true;
        if !self.dispatch.problems().is_empty()
            && let Err(end) = self.answer_heartbeat()
        {
            return end;
        }
        loop {
            self.outbox.fill();
            tokio::select! {
                () = stop.cancelled() => return self.say_goodbye(sink).await,
                sent = std::future::poll_fn(|context| send_next(sink, &mut self.outbox, &mut is_flushed, context)) => {
                    if let Err(error) = sent {
                        return LinkEnd::lost(error.to_string());
                    }
                }
                message = stream.next(), if self.outbox.has_room() => {
                    silence.as_mut().reset(Instant::now() + patience);
                    if let Some(end) = self.on_message(message) {
                        return end;
                    }
                }
                marked = self.terminals.board().take() => marked.into_iter().for_each(|id| self.outbox.advance_terminal(id)),
                marked = self.dispatch.board().take() => marked.into_iter().for_each(|id| self.on_progress(id)),
                () = &mut silence => return LinkEnd::lost(format!("no word from the server for {} s", patience.as_secs())),
            }
        }
    }

    fn on_message(&mut self, message: Option<Result<Message, SocketError>>) -> Option<LinkEnd> {
        match message {
            Some(Ok(Message::Text(json))) => match serde_json::from_str(&json) {
                Ok(message) => return self.on_control(message),
                // What it said may have been a command: only a new link brings it again.
                Err(error) => return Some(LinkEnd::Broken(format!("the server sent what cannot be read: {error}"))),
            },
            Some(Ok(Message::Binary(bytes))) => return self.on_data(bytes).err(),
            Some(Ok(Message::Pong(_))) => {
                if let Some(pinged) = self.pinged.take() {
                    self.counters.heartbeat_took(pinged.elapsed());
                }
            }
            Some(Ok(Message::Close(frame))) => return Some(closed(frame)),
            // Pings are answered by the socket.
            Some(Ok(_)) => {}
            Some(Err(error)) => return Some(broken_or_lost(error)),
            None => return Some(LinkEnd::lost("the server hung up")),
        }
        None
    }

    /// What was typed. Where it does not fit to what came before, the next link begins anew with what is here.
    fn on_data(&mut self, bytes: Bytes) -> Result<(), LinkEnd> {
        let frame = Frame::decode(bytes).map_err(|error| LinkEnd::Broken(error.to_string()))?;
        if frame.kind != FrameKind::Data {
            return Ok(());
        }
        self.outbox.type_in(&frame).map_err(|error| LinkEnd::Broken(error.to_string()))
    }

    fn on_control(&mut self, message: ToAgent) -> Option<LinkEnd> {
        match message {
            ToAgent::Command(command) => return self.on_command(*command).err(),
            ToAgent::CommandCancel { id } => self.dispatch.cancel(id),
            ToAgent::ResultAck { id } => {
                if self.dispatch.acknowledge(id) {
                    self.outbox.detach(id);
                }
            }
            ToAgent::StreamCredit { stream, limit } => self.outbox.credit(stream, limit),
            ToAgent::PtyStart(spec) => return self.start_terminal(&spec).err(),
            ToAgent::PtyAttach { session_id, received } => return self.attach_terminal(session_id, received).err(),
            ToAgent::PtyFlow { session_id, limit, keep } => self.outbox.set_flow(session_id, limit, keep),
            ToAgent::PtyWriter { session_id, writer } => self.with_terminal(session_id, |it| it.set_writer(writer)),
            ToAgent::PtyResize { session_id, size, redraw } => {
                self.with_terminal(session_id, |it| it.resize(size, redraw));
            }
            ToAgent::PtyEnd { session_id } => return self.end_terminal(session_id).err(),
            ToAgent::PtyEndAck { session_id } => {
                if self.terminals.forget(session_id) {
                    self.outbox.detach_terminal(session_id);
                }
            }
            ToAgent::HeartbeatPing { timestamp: _, sent_at } => {
                self.clock.compare(clock::steady(), sent_at);
                return self.answer_heartbeat().err();
            }
            ToAgent::Disconnect { reason, retry_after_ms } => return Some(told_to_leave(&reason, retry_after_ms)),
            ToAgent::RotateKey { api_key } => return Some(LinkEnd::NewKey(api_key.0.into())),
            ToAgent::Error { error } => {
                warn!(code = error.code.as_str(), message = ?error.message, "the server reports an error");
            }
            other => debug!(?other, "a message that means nothing here is ignored"),
        }
        None
    }

    /// Takes a command, or sends it back: where it cannot run now, and where only the server knows whether it still may.
    fn on_command(&mut self, command: Command) -> Result<(), LinkEnd> {
        let (id, received, now) = (command.id, command.received, clock::steady());
        let time_left = self.clock.time_left(now, &command);
        match self.dispatch.deliver(command, time_left) {
            Delivery::Taken => self.outbox.attach(id, received, self.dispatch),
            Delivery::Busy => {
                self.clock.send_back(now, id);
                self.outbox.push(text(&ToServer::Busy { id })?);
            }
        }
        Ok(())
    }

    fn start_terminal(&mut self, spec: &PtySpec) -> Result<(), LinkEnd> {
        match self.terminals.start(spec) {
            Ok(terminal) => self.outbox.attach_again(terminal),
            Err(error) => {
                let end = SessionEnd { reason: EndReason::Error, exit_code: None, error: Some(error) };
                self.tell_ended(spec.session_id, end)?;
            }
        }
        Ok(())
    }

    fn attach_terminal(&mut self, id: SessionId, received: Option<u64>) -> Result<(), LinkEnd> {
        match self.terminals.get(id) {
            Some(terminal) => self.outbox.attach_terminal(terminal, received),
            None => self.tell_lost(id)?,
        }
        Ok(())
    }

    fn end_terminal(&mut self, id: SessionId) -> Result<(), LinkEnd> {
        match self.terminals.get(id) {
            Some(terminal) => {
                terminal.stop();
                self.outbox.await_end(terminal);
            }
            None => self.tell_lost(id)?,
        }
        Ok(())
    }

    fn with_terminal(&self, id: SessionId, act: impl FnOnce(&Terminal)) {
        if let Some(terminal) = self.terminals.get(id) {
            act(&terminal);
        }
    }

    fn tell_lost(&mut self, id: SessionId) -> Result<(), LinkEnd> {
        self.tell_ended(id, self.terminals.end_of_absent(id))
    }

    fn tell_ended(&mut self, session_id: SessionId, end: SessionEnd) -> Result<(), LinkEnd> {
        self.outbox.push(text(&ToServer::PtyEnded { session_id, end })?);
        Ok(())
    }

    /// The answer, and a ping of our own, whose round trip is the latency of this link.
    fn answer_heartbeat(&mut self) -> Result<(), LinkEnd> {
        let (active_sessions, problems) = (self.terminals.active() as u32, self.dispatch.problems());
        let metrics = Metrics { active_sessions, problems, ..self.gauge.read() };
        let capacity = Some(self.dispatch.capacity());
        let pong = ToServer::HeartbeatPong { timestamp: clock::now(), metrics: Some(metrics), capacity };
        self.outbox.push(text(&pong)?);
        if self.outbox.has_room() {
            self.outbox.push(Message::Ping(Bytes::new()));
            self.pinged = Some(Instant::now());
        }
        Ok(())
    }

    fn on_progress(&mut self, id: hive_wire::CommandId) {
        if let Some(job) = self.dispatch.job(id) {
            self.outbox.advance(id, job.progress());
        }
    }

    /// Sends what is ready, and that the satellite goes.
    async fn say_goodbye(&mut self, sink: &mut (impl Sink<Message, Error = SocketError> + Unpin)) -> LinkEnd {
        let last_words = async {
            for job in self.dispatch.jobs() {
                self.outbox.advance(job.id, job.progress());
            }
            for terminal in self.terminals.all() {
                self.outbox.advance_terminal(terminal.id);
            }
            loop {
                self.outbox.fill();
                let Some(message) = self.outbox.pop() else { break };
                sink.feed(message).await?;
            }
            let goodbye = ToServer::Disconnect { reason: "shutdown".into() };
            if let Ok(goodbye) = text(&goodbye) {
                sink.feed(goodbye).await?;
            }
            sink.close().await
        };
        // The server copes with a satellite that goes without a word.
        drop(tokio::time::timeout(GOODBYE, last_words).await);
        LinkEnd::Stopped
    }
}

/// Whether the server broke the protocol, or the network the connection.
fn broken_or_lost(error: SocketError) -> LinkEnd {
    match error {
        SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => LinkEnd::lost(error.to_string()),
        SocketError::Protocol(_) | SocketError::Utf8(_) | SocketError::Capacity(_) => {
            LinkEnd::Broken(error.to_string())
        }
        error => LinkEnd::lost(error.to_string()),
    }
}

/// Tells the server why the link ends, if it still hears.
async fn complain(sink: &mut (impl Sink<Message, Error = SocketError> + Unpin), reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
    let close = CloseFrame { code: close::PROTOCOL_ERROR.into(), reason: reason.into() };
    drop(tokio::time::timeout(GOODBYE, sink.send(Message::Close(Some(close)))).await);
}

/// Whatever ends a link, the terminals know at once.
impl Drop for Link<'_> {
    fn drop(&mut self) {
        self.terminals.leave();
    }
}

/// Hands one message to the socket, or flushes it if there is none. Every step is complete within one poll, so that
/// nothing is lost when something else happens first.
fn send_next(
    sink: &mut (impl Sink<Message, Error = SocketError> + Unpin),
    outbox: &mut Outbox,
    is_flushed: &mut bool,
    context: &mut Context<'_>,
) -> Poll<Result<(), SocketError>> {
    ready!(sink.poll_ready_unpin(context))?;
    if let Some(message) = outbox.pop() {
        *is_flushed = false;
        return Poll::Ready(sink.start_send_unpin(message));
    }
    if *is_flushed {
        return Poll::Pending;
    }
    ready!(sink.poll_flush_unpin(context))?;
    *is_flushed = true;
    Poll::Ready(Ok(()))
}
