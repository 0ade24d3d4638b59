//! The socket of one viewer of a session: sends output and receives input, and neither waits for the other.
//!
//! A slow viewer holds at most one piece of output and the buffers of its socket; further output stays in the hive. The hive
//! handles the messages.

use std::pin::pin;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use hive_core::Error;
use hive_core::sessions::{Attachment, AttachmentInput, AttachmentOutput, SessionEvent, ViewerAction};
use hive_core::wire::frame::{Frame, FrameKind};
use hive_core::wire::session::{FromViewer, STREAM, ToViewer};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::close::{ViewerClose, close_handshake};
use super::outbox::{Outbox, text};
use super::ping_schedule::{PingSchedule, PingStep};
use crate::state::AppState;

/// How long the hive may refuse the input of a writer before the viewer has received the loss of its input lease.
const LEASE_NOTICE_TIMEOUT: Duration = Duration::from_secs(2);

/// An attached viewer.
pub(super) struct ViewerSocket {
    /// At most one message with output, and a ping.
    outbox: Outbox,
    socket: SplitStream<WebSocket>,
    output: Box<dyn AttachmentOutput>,
    input: Box<dyn AttachmentInput>,
    /// How the socket is closed after the last event has been sent.
    pending_close: Option<ViewerClose>,
    /// Whether the viewer knows that it has the input lease.
    is_writer: bool,
    /// When the viewer must have received the loss of its input lease, if its input was refused.
    lease_notice_due: Option<Instant>,
    pings: PingSchedule,
}

impl ViewerSocket {
    pub(super) fn new(state: &AppState, socket: WebSocket, attachment: Attachment) -> Self {
        let Attachment { attached, output, input } = attachment;
        let is_writer = attached.control.is_mine;
        let first = text(&ToViewer::Attached(Box::new(attached)));
        let (sink, socket) = socket.split();
        let mut outbox = Outbox::new(sink);
        outbox.push(first);
        Self {
            outbox,
            socket,
            output,
            input,
            pending_close: None,
            is_writer,
            lease_notice_due: None,
            pings: PingSchedule::new(Instant::now(), state.limits().viewer_ping),
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
            let has_room = self.outbox.has_room();
            // Input before output: Ctrl-C must get through a flood of output.
            let step = tokio::select! {
                biased;
                () = draining.as_mut() => Err(ViewerClose::going_away()),
                sent = std::future::poll_fn(|context| self.outbox.poll_sent(context)) => sent.map_err(Into::into).and_then(|()| self.on_sent()),
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
        self.lease_notice_due.map_or(self.pings.at(), |due| due.min(self.pings.at()))
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
        self.outbox.push(message);
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
        self.pings.on_received();
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
        match self.pings.step(now, is_reading) {
            PingStep::Wait => {}
            PingStep::Send => self.outbox.push(Message::Ping(Bytes::new())),
            PingStep::TimedOut => return Err(ViewerClose::timeout("no answer was received in time")),
        }
        Ok(())
    }
}

/// Closes the socket of a viewer, and waits for it to answer the close frame.
pub(super) async fn close_socket(socket: WebSocket, close: ViewerClose) {
    let ViewerClose::Frame { last_message, close } = close else { return };
    tracing::debug!(close.code = close.code, close.reason = %close.reason, "the socket of a viewer is closed");
    close_handshake(socket, last_message.map(|message| text(&message)), &close).await;
}
