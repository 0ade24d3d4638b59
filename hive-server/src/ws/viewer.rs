//! The socket of one viewer of a session: sends output and receives input, and neither waits for the other.
//!
//! A slow viewer holds at most one piece of output and the buffers of its socket; further output stays in the hive. The hive
//! handles the messages.

use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use hive_core::Error;
use hive_core::sessions::{Attachment, AttachmentInput, AttachmentOutput, SessionEvent, ViewerAction};
use hive_core::wire::frame::{Frame, FrameKind};
use hive_core::wire::session::{FromViewer, STREAM, ToViewer};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::close::{ViewerClose, close_frame};
use crate::state::AppState;

/// How long the viewer may take to receive the close frame and to answer it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Pings that may stay unanswered. When one more is due, the viewer has sent nothing for three intervals, and is closed.
const MAX_MISSED_PINGS: u32 = 2;
/// How long the hive may refuse the input of a writer before the viewer has received the loss of its input lease.
const LEASE_NOTICE_TIMEOUT: Duration = Duration::from_secs(2);

/// An attached viewer.
pub(super) struct ViewerSocket {
    outbox: ViewerOutbox,
    socket: SplitStream<WebSocket>,
    output: Box<dyn AttachmentOutput>,
    input: Box<dyn AttachmentInput>,
    /// How the socket is closed after the last event has been sent.
    pending_close: Option<ViewerClose>,
    /// Whether the viewer knows that it has the input lease.
    is_writer: bool,
    /// When the viewer must have received the loss of its input lease, if its input was refused.
    lease_notice_due: Option<Instant>,
    ping_at: Instant,
    ping_interval: Duration,
    missed_pings: u32,
}

/// Messages to the viewer: at most one with output, and a ping.
struct ViewerOutbox {
    socket: SplitSink<WebSocket, Message>,
    queued: VecDeque<Message>,
    is_flushed: bool,
}

impl ViewerOutbox {
    fn is_empty(&self) -> bool {
        self.queued.is_empty() && self.is_flushed
    }

    /// Sends the queued messages and flushes the socket. Ready when both are done, pending if there is nothing to do.
    /// Cancel-safe: each step completes within one poll.
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ViewerClose>> {
        while !self.queued.is_empty() {
            ready!(self.socket.poll_ready_unpin(context)).map_err(|_| ViewerClose::ConnectionLost)?;
            if let Some(message) = self.queued.pop_front() {
                self.is_flushed = false;
                self.socket.start_send_unpin(message).map_err(|_| ViewerClose::ConnectionLost)?;
            }
        }
        if self.is_flushed {
            return Poll::Pending;
        }
        ready!(self.socket.poll_flush_unpin(context)).map_err(|_| ViewerClose::ConnectionLost)?;
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }
}

impl ViewerSocket {
    pub(super) fn new(state: &AppState, socket: WebSocket, attachment: Attachment) -> Self {
        let Attachment { attached, output, input } = attachment;
        let is_writer = attached.control.is_mine;
        let first = text(&ToViewer::Attached(Box::new(attached)));
        let (sink, socket) = socket.split();
        let ping_interval = state.limits().viewer_ping;
        Self {
            outbox: ViewerOutbox { socket: sink, queued: [first].into(), is_flushed: true },
            socket,
            output,
            input,
            pending_close: None,
            is_writer,
            lease_notice_due: None,
            ping_at: Instant::now() + ping_interval,
            ping_interval,
            missed_pings: 0,
        }
    }

    /// Forwards messages until either side closes the socket.
    pub(super) async fn run(mut self, draining: &CancellationToken) {
        let mut draining = pin!(draining.cancelled());
        let mut timer = pin!(sleep_until(self.next_timer()));
        let close = loop {
            // Only if it has changed: resetting the timer for each message would cost more than the message.
            if timer.deadline() != self.next_timer() {
                timer.as_mut().reset(self.next_timer());
            }
            let has_room = self.outbox.queued.is_empty();
            // Input before output: Ctrl-C must get through a flood of output.
            let step = tokio::select! {
                biased;
                () = draining.as_mut() => Err(ViewerClose::going_away()),
                sent = std::future::poll_fn(|context| self.outbox.poll_sent(context)) => sent.and_then(|()| self.on_sent()),
                message = self.socket.next() => self.on_message(message).await,
                event = self.output.next(), if has_room && self.pending_close.is_none() => self.on_event(event),
                () = timer.as_mut() => self.on_timer(),
            };
            if let Err(reason) = step {
                break reason;
            }
        };
        let Self { outbox, socket, output, input, .. } = self;
        // Before the close handshake, which may take a second: the viewer is detached from now on.
        drop((output, input));
        if let Ok(socket) = outbox.socket.reunite(socket) {
            close_socket(socket, close).await;
        }
    }

    fn next_timer(&self) -> Instant {
        self.lease_notice_due.map_or(self.ping_at, |due| due.min(self.ping_at))
    }

    fn on_sent(&mut self) -> Result<(), ViewerClose> {
        self.pending_close.take().map_or(Ok(()), Err)
    }

    fn on_event(&mut self, event: Option<SessionEvent>) -> Result<(), ViewerClose> {
        // A stream that ends without an event was ended by the hive, or by another socket of the same viewer.
        let message = match event.ok_or_else(ViewerClose::going_away)? {
            SessionEvent::Output { offset, data } => Message::Binary(Frame::data(STREAM, offset, data, false).encode()),
            SessionEvent::Message(told) => {
                self.before_send(&told);
                text(&told)
            }
        };
        self.outbox.queued.push_back(message);
        Ok(())
    }

    /// Updates the state by a message that the viewer is about to receive.
    fn before_send(&mut self, message: &ToViewer) {
        match message {
            ToViewer::Control(control) => {
                self.is_writer = control.is_mine;
                self.lease_notice_due = None;
            }
            ToViewer::Ended(_) => self.pending_close = Some(ViewerClose::session_ended()),
            ToViewer::Error { error } => self.pending_close = Some(ViewerClose::after_error(error)),
            _ => {}
        }
    }

    async fn on_message(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), ViewerClose> {
        // Any message shows that the viewer is there, not only a pong.
        self.missed_pings = 0;
        match message {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                // Messages of later versions are ignored.
                Ok(FromViewer::Unknown) => Ok(()),
                Ok(FromViewer::Attach(_)) => Err(ViewerClose::protocol("a second attach")),
                Ok(message) => self.act(ViewerAction::Message(message)).await,
                Err(error) => Err(ViewerClose::protocol(format!("not a message of a viewer: {error}"))),
            },
            Some(Ok(Message::Binary(bytes))) => match Frame::decode(bytes) {
                Ok(frame) => self.on_frame(frame).await,
                Err(error) => Err(ViewerClose::protocol(error.to_string())),
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Err(error)) => Err(ViewerClose::protocol(error.to_string())),
            Some(Ok(Message::Close(_))) | None => Err(ViewerClose::ConnectionLost),
        }
    }

    async fn on_frame(&mut self, frame: Frame) -> Result<(), ViewerClose> {
        match frame.kind {
            FrameKind::Data if frame.stream == STREAM => {
                self.act(ViewerAction::Input { offset: frame.offset, data: frame.payload }).await
            }
            FrameKind::Data => Err(ViewerClose::protocol("data of a stream that is not there")),
            // Frame kinds of later versions are ignored.
            _ => Ok(()),
        }
    }

    async fn act(&mut self, action: ViewerAction) -> Result<(), ViewerClose> {
        let is_input = matches!(action, ViewerAction::Input { .. });
        match self.input.send(action).await {
            // Either the viewer has lost the input lease and is about to receive that, or it sends more input than it
            // may. The timer tells the two apart.
            Err(Error::Conflict(_)) if is_input && self.is_writer => {
                self.lease_notice_due.get_or_insert_with(|| Instant::now() + LEASE_NOTICE_TIMEOUT);
                Ok(())
            }
            Ok(()) | Err(Error::Conflict(_) | Error::Forbidden(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn on_timer(&mut self) -> Result<(), ViewerClose> {
        let now = Instant::now();
        // A viewer that does not read gets no ping, and cannot have received the loss of its lease.
        let is_reading = self.outbox.is_empty();
        if self.lease_notice_due.is_some_and(|due| now >= due) {
            if is_reading {
                return Err(Error::Conflict("more input than may be in flight".into()).into());
            }
            self.lease_notice_due = Some(now + LEASE_NOTICE_TIMEOUT);
        }
        if now >= self.ping_at {
            self.ping_at = now + self.ping_interval;
            if is_reading && self.missed_pings == MAX_MISSED_PINGS {
                return Err(ViewerClose::timeout("no answer was received in time"));
            }
            if is_reading {
                self.missed_pings += 1;
                self.outbox.queued.push_back(Message::Ping(Bytes::new()));
            }
        }
        Ok(())
    }
}

/// Closes the socket of a viewer, and waits for it to answer the close frame.
pub(super) async fn close_socket(mut socket: WebSocket, close: ViewerClose) {
    let ViewerClose::Frame { last_message, close } = close else { return };
    tracing::debug!(close.code = close.code, close.reason = %close.reason, "the socket of a viewer is closed");
    let close_handshake = async {
        if let Some(message) = last_message {
            socket.send(text(&message)).await?;
        }
        socket.send(Message::Close(Some(close_frame(&close)))).await?;
        // Reads what the viewer still sends: unread bytes would reset the connection before it has read the reason.
        while let Some(Ok(_)) = socket.recv().await {}
        Ok::<_, axum::Error>(())
    };
    drop(timeout(CLOSE_TIMEOUT, close_handshake).await);
}

fn text(message: &ToViewer) -> Message {
    Message::text(serde_json::to_string(message).expect("control messages are plain data"))
}
