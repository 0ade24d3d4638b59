//! The loop of one viewer of a terminal: output out, keystrokes in, and neither waits for the other.
//!
//! A viewer that does not read costs one piece of output and the socket's buffers; the rest stays with the hive. What the
//! bytes and messages mean is the hive's to say.

use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use hive_core::Error;
use hive_core::session::{Attachment, AttachmentInput, AttachmentOutput, SessionEvent, ViewerAction};
use hive_core::wire::frame::{Frame, FrameKind};
use hive_core::wire::session::{FromViewer, STREAM, ToViewer};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::close::{Parting, frame};
use crate::state::AppState;

/// How long the viewer may take to hear the last words and to close its side.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Pings that may go without an answer. Where one more is due, the viewer was silent for three intervals, and is gone.
const MISSED_PINGS: u32 = 2;
/// How long the hive may have refused what a viewer types before it must have told it that the keyboard is another's.
const DOUBT: Duration = Duration::from_secs(2);

/// A viewer that was let in.
pub(super) struct Viewer {
    outbox: Outbox,
    socket: SplitStream<WebSocket>,
    output: Box<dyn AttachmentOutput>,
    input: Box<dyn AttachmentInput>,
    /// How it is parted from, once it was told its last event.
    parting: Option<Parting>,
    /// Whether it was told that the keyboard is its own.
    is_writer: bool,
    /// When the refusal of what it typed must have an explanation.
    doubt_until: Option<Instant>,
    ping_at: Instant,
    ping_interval: Duration,
    missed: u32,
}

/// What is on its way to the viewer: at most one piece of output, and a ping.
struct Outbox {
    socket: SplitSink<WebSocket, Message>,
    waiting: VecDeque<Message>,
    is_flushed: bool,
}

impl Outbox {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.is_flushed
    }

    /// Moves what waits into the socket, and the socket's buffer out; ready when that is done. Every step is complete
    /// within one poll, so that nothing is lost when something else happens first.
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Parting>> {
        while !self.waiting.is_empty() {
            ready!(self.socket.poll_ready_unpin(context)).map_err(|_| Parting::Gone)?;
            if let Some(message) = self.waiting.pop_front() {
                self.is_flushed = false;
                self.socket.start_send_unpin(message).map_err(|_| Parting::Gone)?;
            }
        }
        if self.is_flushed {
            return Poll::Pending;
        }
        ready!(self.socket.poll_flush_unpin(context)).map_err(|_| Parting::Gone)?;
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }
}

impl Viewer {
    pub(super) fn new(state: &AppState, socket: WebSocket, attachment: Attachment) -> Self {
        let Attachment { attached, output, input } = attachment;
        let is_writer = attached.control.is_mine;
        let first = text(&ToViewer::Attached(Box::new(attached)));
        let (sink, socket) = socket.split();
        let ping_interval = state.limits().viewer_ping;
        Self {
            outbox: Outbox { socket: sink, waiting: [first].into(), is_flushed: true },
            socket,
            output,
            input,
            parting: None,
            is_writer,
            doubt_until: None,
            ping_at: Instant::now() + ping_interval,
            ping_interval,
            missed: 0,
        }
    }

    /// Moves messages until either side ends it.
    pub(super) async fn run(mut self, stopping: &CancellationToken) {
        let mut stopped = pin!(stopping.cancelled());
        let mut watch = pin!(sleep_until(self.look_at()));
        let parting = loop {
            if watch.deadline() != self.look_at() {
                watch.as_mut().reset(self.look_at());
            }
            let has_room = self.outbox.waiting.is_empty();
            // What the viewer says goes before what it is told: under a flood, this is how Ctrl-C gets through.
            let step = tokio::select! {
                biased;
                () = stopped.as_mut() => Err(Parting::going_away()),
                sent = std::future::poll_fn(|context| self.outbox.poll_sent(context)) => sent.and_then(|()| self.on_sent()),
                message = self.socket.next() => self.on_message(message).await,
                event = self.output.next(), if has_room && self.parting.is_none() => self.on_event(event),
                () = watch.as_mut() => self.on_time(),
            };
            if let Err(parting) = step {
                break parting;
            }
        };
        let Self { outbox, socket, output, input, .. } = self;
        // It does not look any more, however long its socket takes to close.
        drop((output, input));
        if let Ok(socket) = outbox.socket.reunite(socket) {
            part(socket, parting).await;
        }
    }

    fn look_at(&self) -> Instant {
        self.doubt_until.map_or(self.ping_at, |until| until.min(self.ping_at))
    }

    fn on_sent(&mut self) -> Result<(), Parting> {
        self.parting.take().map_or(Ok(()), Err)
    }

    fn on_event(&mut self, event: Option<SessionEvent>) -> Result<(), Parting> {
        let message = match event.ok_or_else(Parting::going_away)? {
            SessionEvent::Output { offset, data } => Message::Binary(Frame::data(STREAM, offset, data, false).encode()),
            SessionEvent::Told(told) => {
                self.on_told(&told);
                text(&told)
            }
        };
        self.outbox.waiting.push_back(message);
        Ok(())
    }

    fn on_told(&mut self, told: &ToViewer) {
        match told {
            ToViewer::Control(control) => {
                self.is_writer = control.is_mine;
                self.doubt_until = None;
            }
            ToViewer::Ended(_) => self.parting = Some(Parting::over()),
            ToViewer::Error { error } => self.parting = Some(Parting::behind(error)),
            _ => {}
        }
    }

    async fn on_message(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), Parting> {
        self.missed = 0;
        match message {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(FromViewer::Unknown) => Ok(()),
                Ok(FromViewer::Attach(_)) => Err(Parting::protocol("a second attach")),
                Ok(word) => self.act(ViewerAction::Say(word)).await,
                Err(error) => Err(Parting::protocol(format!("not a message of a viewer: {error}"))),
            },
            Some(Ok(Message::Binary(bytes))) => match Frame::decode(bytes) {
                Ok(frame) => self.on_frame(frame).await,
                Err(error) => Err(Parting::protocol(error.to_string())),
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Err(error)) => Err(Parting::protocol(error.to_string())),
            Some(Ok(Message::Close(_))) | None => Err(Parting::Gone),
        }
    }

    async fn on_frame(&mut self, frame: Frame) -> Result<(), Parting> {
        match frame.kind {
            FrameKind::Data if frame.stream == STREAM => {
                self.act(ViewerAction::Input { offset: frame.offset, data: frame.payload }).await
            }
            FrameKind::Data => Err(Parting::protocol("data of a stream that is not there")),
            _ => Ok(()),
        }
    }

    async fn act(&mut self, action: ViewerAction) -> Result<(), Parting> {
        let is_input = matches!(action, ViewerAction::Input { .. });
        match self.input.send(action).await {
            // The keyboard has gone to another, and the viewer is about to be told; or it types more than it may, and what
            // comes behind would leave a gap.
            Err(Error::Conflict(_)) if is_input && self.is_writer => {
                self.doubt_until.get_or_insert_with(|| Instant::now() + DOUBT);
                Ok(())
            }
            Ok(()) | Err(Error::Conflict(_) | Error::Forbidden(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn on_time(&mut self) -> Result<(), Parting> {
        let now = Instant::now();
        // One that does not read is not asked anything, and cannot have heard who has the keyboard.
        let is_reading = self.outbox.is_empty();
        if self.doubt_until.is_some_and(|until| now >= until) {
            if is_reading {
                return Err(Error::Conflict("more input than may be under way".into()).into());
            }
            self.doubt_until = Some(now + DOUBT);
        }
        if now >= self.ping_at {
            self.ping_at = now + self.ping_interval;
            if is_reading && self.missed == MISSED_PINGS {
                return Err(Parting::timeout("no answer came in time"));
            }
            if is_reading {
                self.missed += 1;
                self.outbox.waiting.push_back(Message::Ping(Bytes::new()));
            }
        }
        Ok(())
    }
}

/// Tells the viewer why it is not let in, or not any longer, and waits a moment for it to close its side: what it still
/// sends would otherwise reset the connection before it has read the reason.
pub(super) async fn part(mut socket: WebSocket, parting: Parting) {
    let Parting::Told { last_word, close } = parting else { return };
    tracing::debug!(close.code = close.code, close.reason = %close.reason, "a viewer's socket is closed");
    let goodbye = async {
        if let Some(word) = last_word {
            socket.send(text(&word)).await?;
        }
        socket.send(Message::Close(Some(frame(&close)))).await?;
        while let Some(Ok(_)) = socket.recv().await {}
        Ok::<_, axum::Error>(())
    };
    drop(timeout(CLOSE_TIMEOUT, goodbye).await);
}

fn text(told: &ToViewer) -> Message {
    Message::text(serde_json::to_string(told).expect("control messages are plain data"))
}
