//! A viewer of a session over a WebSocket.
//!
//! Its two halves share the socket and move its bytes themselves, so that a keystroke and its echo pass no task and no
//! channel. Dropping both closes it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use futures_util::{Sink, SinkExt as _, StreamExt as _};
use hive_wire::ErrorCode;
use hive_wire::api::ApiError;
use hive_wire::frame::{Frame, FrameKind};
use hive_wire::session::{AttachRequest, FromViewer, STREAM, SUBPROTOCOL, ToViewer};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::Error as SocketError;

use super::idle_timer::{IdleTimer, KeepaliveAction};
use super::transport::Transport;
use super::websocket::ClientSocket;
use crate::sessions::{Attachment, AttachmentInput, AttachmentOutput, SessionEvent, ViewerAction, check_size};
use crate::sync::lock;
use crate::{Error, Result};

/// How long attaching may take. A hive that was restarted waits 10 seconds for the satellite.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(20);

/// Opens a socket and attaches over it.
pub(super) async fn open(transport: &Transport, path: &[&str], request: AttachRequest) -> Result<Attachment> {
    let mut socket = transport.open_socket(path, SUBPROTOCOL).await?;
    let attach = async {
        socket.send(text(&FromViewer::Attach(request))).await.map_err(|error| broken(&error))?;
        loop {
            match read(socket.next().await) {
                ReceivedMessage::Event(SessionEvent::Message(ToViewer::Attached(attached))) => return Ok(*attached),
                ReceivedMessage::Event(SessionEvent::Message(ToViewer::Error { error })) => {
                    return Err(Error::from_wire(error));
                }
                ReceivedMessage::Nothing => {}
                // The answer is the first message of the protocol. Anything else comes from another kind of server.
                ReceivedMessage::Event(_) => return Err(broken("the hive does not speak this protocol")),
                ReceivedMessage::End(cause) => return Err(broken(&cause)),
            }
        }
    };
    let attached = timeout(ATTACH_TIMEOUT, attach).await.map_err(|_| broken("the hive did not answer in time"))??;
    let shared = AttachmentState::new(socket, attached.control.is_mine);
    let input = Box::new(RemoteAttachmentInput(shared.clone()));
    // The sleep is over at once. The first check of the timer then sets it.
    let (idle_timer, watch) = (IdleTimer::since(Instant::now()), Box::pin(sleep(Duration::ZERO)));
    let output = Box::new(RemoteAttachmentOutput { shared, idle_timer, watch, is_over: false });
    Ok(Attachment { attached, output, input })
}

/// State that the two halves share.
#[derive(Debug)]
struct AttachmentState {
    ends: Mutex<SocketEnds>,
    wakers: Arc<Wakers>,
    /// Whether the viewer holds the keyboard, as last reported, or may hold it because it requested it.
    may_type: AtomicBool,
    /// Whether the end of the session was received.
    has_ended: AtomicBool,
    /// Wakes both halves: a socket remembers only the last waker, which may belong to the half that no longer waits.
    waker: Waker,
}

#[derive(Debug)]
struct SocketEnds {
    socket: ClientSocket,
    /// Whether the socket may hold messages in its buffer.
    is_unflushed: bool,
}

/// The wakers of the halves.
#[derive(Debug, Default)]
struct Wakers {
    output: AtomicWaker,
    input: AtomicWaker,
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.output.wake();
        self.input.wake();
    }
}

impl AttachmentState {
    fn new(socket: ClientSocket, is_mine: bool) -> Arc<Self> {
        let wakers = Arc::new(Wakers::default());
        let waker = Waker::from(wakers.clone());
        let (ends, may_type) = (Mutex::new(SocketEnds { socket, is_unflushed: false }), AtomicBool::new(is_mine));
        Arc::new(Self { ends, wakers, may_type, has_ended: AtomicBool::new(false), waker })
    }

    /// Polls the socket for one of the halves.
    fn poll<T>(
        &self,
        half: &AtomicWaker,
        context: &Context<'_>,
        work: impl FnOnce(&mut SocketEnds, &mut Context<'_>) -> T,
    ) -> T {
        // Before the socket is polled: a wake-up in between must find this waker.
        half.register(context.waker());
        // The lock is held for one poll and never over an await, so the halves do not delay each other.
        let mut ends = lock(&self.ends);
        work(&mut ends, &mut Context::from_waker(&self.waker))
    }
}

impl SocketEnds {
    /// Passes a message to the socket. If it cannot be sent at once, it is sent while the other half waits for output.
    fn poll_send(&mut self, message: &mut Option<Message>, context: &mut Context<'_>) -> Poll<Result<(), SocketError>> {
        ready!(self.socket.poll_ready_unpin(context))?;
        // Taken only when the socket is ready. A future that is dropped before has sent nothing.
        if let Some(message) = message.take() {
            self.socket.start_send_unpin(message)?;
            self.is_unflushed = true;
        }
        // A flush that is pending is no reason to wait. The message is in the socket's buffer, and the other half flushes it.
        self.flush(context)?;
        Poll::Ready(Ok(()))
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message, SocketError>>> {
        // Messages that the sending half could not flush are sent here, while the caller waits for output.
        if let Err(error) = self.flush(context) {
            return Poll::Ready(Some(Err(error)));
        }
        self.socket.poll_next_unpin(context)
    }

    fn flush(&mut self, context: &mut Context<'_>) -> Result<(), SocketError> {
        if self.is_unflushed
            && let Poll::Ready(flushed) = Pin::new(&mut self.socket).poll_flush(context)
        {
            self.is_unflushed = false;
            return flushed;
        }
        Ok(())
    }
}

/// The receiving half.
#[derive(Debug)]
struct RemoteAttachmentOutput {
    shared: Arc<AttachmentState>,
    idle_timer: IdleTimer,
    /// When to check whether the hive is silent.
    watch: Pin<Box<Sleep>>,
    /// Whether the last event was returned.
    is_over: bool,
}

#[async_trait]
impl AttachmentOutput for RemoteAttachmentOutput {
    async fn next(&mut self) -> Option<SessionEvent> {
        while !self.is_over {
            let incoming = tokio::select! {
                // Messages go first: a caller that did not read for a while finds them waiting, and they prove that the hive
                // is alive.
                biased;
                message = receive(&self.shared) => {
                    self.idle_timer = IdleTimer::since(Instant::now());
                    read(message)
                }
                () = self.watch.as_mut() => self.on_watch(),
            };
            let event = match incoming {
                ReceivedMessage::Event(event) => event,
                ReceivedMessage::Nothing => continue,
                ReceivedMessage::End(message) => {
                    // An event, and not only `None`: the viewer is to see the cause.
                    let error = ApiError { code: ErrorCode::Unavailable, message, details: None };
                    SessionEvent::Message(ToViewer::Error { error })
                }
            };
            match &event {
                SessionEvent::Message(ToViewer::Control(control)) => {
                    // Relaxed, because nothing depends on the order: the hive decides, and this only spares it refusals.
                    self.shared.may_type.store(control.is_mine, Ordering::Relaxed);
                }
                SessionEvent::Message(ToViewer::Ended(_)) => self.shared.has_ended.store(true, Ordering::Relaxed),
                _ => {}
            }
            self.is_over = matches!(event, SessionEvent::Message(ToViewer::Ended(_) | ToViewer::Error { .. }));
            return Some(event);
        }
        None
    }
}

impl RemoteAttachmentOutput {
    fn on_watch(&mut self) -> ReceivedMessage {
        match self.idle_timer.check(Instant::now()) {
            KeepaliveAction::Wait(at) => self.watch.as_mut().reset(at),
            KeepaliveAction::Ping(again_at) => {
                self.watch.as_mut().reset(again_at);
                if let Err(error) = self.ask() {
                    return ReceivedMessage::End(error.to_string());
                }
            }
            KeepaliveAction::Close => return ReceivedMessage::End("the hive does not answer".into()),
        }
        ReceivedMessage::Nothing
    }

    /// Sends a ping. A socket that is full does not send it, and then there is no answer either.
    fn ask(&self) -> Result<(), SocketError> {
        let (mut ping, waiting) = (Some(Message::Ping(Bytes::new())), Context::from_waker(Waker::noop()));
        let asking =
            self.shared.poll(&self.shared.wakers.output, &waiting, |ends, context| ends.poll_send(&mut ping, context));
        match asking {
            Poll::Ready(keepalive) => keepalive,
            // The socket is full. The silence then ends the connection.
            Poll::Pending => Ok(()),
        }
    }
}

async fn receive(shared: &AttachmentState) -> Option<Result<Message, SocketError>> {
    std::future::poll_fn(|context| shared.poll(&shared.wakers.output, context, SocketEnds::poll_receive)).await
}

/// The sending half.
#[derive(Debug)]
struct RemoteAttachmentInput(Arc<AttachmentState>);

#[async_trait]
impl AttachmentInput for RemoteAttachmentInput {
    async fn send(&mut self, action: ViewerAction) -> Result<()> {
        self.check(&action)?;
        let mut message = Some(match action {
            ViewerAction::Input { offset, data } => Message::Binary(Frame::data(STREAM, offset, data, false).encode()),
            ViewerAction::Message(word) => text(&word),
        });
        let shared = &self.0;
        let sent = std::future::poll_fn(|context| {
            shared.poll(&shared.wakers.input, context, |ends, context| ends.poll_send(&mut message, context))
        });
        sent.await.map_err(|error| broken(&error))
    }
}

impl RemoteAttachmentInput {
    /// Refuses actions that the hive would ignore.
    fn check(&self, action: &ViewerAction) -> Result<()> {
        let AttachmentState { may_type, has_ended, .. } = &*self.0;
        match action {
            ViewerAction::Input { .. } if has_ended.load(Ordering::Relaxed) => {
                return Err(Error::Conflict("the session has ended".into()));
            }
            ViewerAction::Input { .. } if !may_type.load(Ordering::Relaxed) => {
                return Err(Error::Conflict("another viewer has the keyboard".into()));
            }
            ViewerAction::Message(FromViewer::Resize(size)) => check_size(*size)?,
            // Input may follow without waiting for the answer. If the hive denies the keyboard, it refuses the input.
            ViewerAction::Message(FromViewer::TakeControl | FromViewer::RequestControl) => {
                may_type.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
        Ok(())
    }
}

/// The meaning of a message of the socket.
enum ReceivedMessage {
    Event(SessionEvent),
    /// A pong, or a message of a later version.
    Nothing,
    /// The end of the connection and its cause.
    End(String),
}

fn read(message: Option<Result<Message, SocketError>>) -> ReceivedMessage {
    match message {
        Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
            Ok(ToViewer::Unknown) => ReceivedMessage::Nothing,
            Ok(message) => ReceivedMessage::Event(SessionEvent::Message(message)),
            Err(error) => ReceivedMessage::End(format!("the hive sent a message that cannot be read: {error}")),
        },
        Some(Ok(Message::Binary(bytes))) => match Frame::decode(bytes) {
            Ok(Frame { kind: FrameKind::Data, stream: STREAM, offset, payload, .. }) => {
                ReceivedMessage::Event(SessionEvent::Output { offset, data: payload })
            }
            // A frame of another stream or kind: of a later version.
            Ok(_) => ReceivedMessage::Nothing,
            Err(error) => ReceivedMessage::End(format!("the hive sent a frame that cannot be read: {error}")),
        },
        Some(Ok(Message::Close(frame))) => {
            let reason = frame.map(|frame| frame.reason.to_string()).filter(|reason| !reason.is_empty());
            ReceivedMessage::End(reason.unwrap_or_else(|| "the hive closed the connection".into()))
        }
        Some(Ok(_)) => ReceivedMessage::Nothing,
        Some(Err(error)) => ReceivedMessage::End(error.to_string()),
        None => ReceivedMessage::End("the hive closed the connection".into()),
    }
}

fn text(word: &FromViewer) -> Message {
    Message::text(serde_json::to_string(word).expect("control messages are plain data"))
}

fn broken(cause: &(impl ToString + ?Sized)) -> Error {
    Error::Unavailable(cause.to_string().into())
}
