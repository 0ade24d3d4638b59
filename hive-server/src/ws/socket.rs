//! The WebSocket of one satellite. Sending has a timeout, and receiving a size limit.

use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use futures_util::future::poll_fn;
use futures_util::{FutureExt, SinkExt, StreamExt};
use hive_core::link::{Close, Outgoing};
use hive_core::wire::agent::{MAX_MESSAGE, ToServer};
use hive_core::wire::frame::Frame;
use tokio::time::{Instant, timeout};

use super::close::{LinkClose, close_frame, disconnect_message};

/// How long the satellite may take to answer the close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A received message.
pub(super) enum SocketMessage {
    /// A control message.
    Control(ToServer),
    /// Data of a stream.
    Frame(Frame),
    /// A ping or pong.
    KeepAlive,
}

/// What has happened on the socket of an open link.
pub(super) enum SocketEvent {
    /// A message was received.
    Received(SocketMessage),
    /// The message that was sent is written, and another one may be sent.
    Written,
}

/// A WebSocket with the protocol of links.
pub(super) struct Socket {
    /// Boxed, because it is moved from future to future, and each would have space for it.
    connection: Box<WebSocket>,
    write_timeout: Duration,
    /// Until when the message that was sent must be written; none where it is.
    write_until: Option<Instant>,
}

impl Socket {
    pub(super) fn new(socket: WebSocket, write_timeout: Duration) -> Self {
        Self { connection: Box::new(socket), write_timeout, write_until: None }
    }

    /// Writes what is left of the message that was sent, and receives meanwhile: a satellite with a slow line is heard while a
    /// large message is on its way. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<SocketEvent, LinkClose> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<SocketEvent, LinkClose>> {
        if self.write_until.is_some()
            && let Poll::Ready(written) = self.connection.poll_flush_unpin(cx)
        {
            self.write_until = None;
            return Poll::Ready(written.map(|()| SocketEvent::Written).map_err(|_| LinkClose::ConnectionLost));
        }
        self.connection.poll_next_unpin(cx).map(|message| received(message, MAX_MESSAGE).map(SocketEvent::Received))
    }

    /// Returns until when the message that was sent must be written; none where another one may be sent.
    pub(super) fn write_until(&self) -> Option<Instant> {
        self.write_until
    }

    /// Begins to send a message of the hive, which [`next`](Self::next) goes on with. Returns the reason where the hive closes the
    /// link.
    pub(super) fn start_send(&mut self, outgoing: Result<Outgoing, Close>) -> Result<(), LinkClose> {
        let message = encode(&outgoing.map_err(LinkClose::Frame)?);
        self.connection.start_send_unpin(message).map_err(|_| LinkClose::ConnectionLost)?;
        // Mostly it is written by now, so that the next message need not wait for a turn of the loop.
        if let Some(written) = self.connection.flush().now_or_never() {
            return written.map_err(|_| LinkClose::ConnectionLost);
        }
        self.write_until = Some(Instant::now() + self.write_timeout);
        Ok(())
    }

    /// Waits for the next message. A longer one closes the link.
    pub(super) async fn receive_at_most(&mut self, bytes: usize) -> Result<SocketMessage, LinkClose> {
        received(self.connection.recv().await, bytes)
    }

    /// Sends a message of the hive, or returns the reason for which the hive closes the link.
    pub(super) async fn forward(&mut self, outgoing: Result<Outgoing, Close>) -> Result<(), LinkClose> {
        self.send(outgoing.map_err(LinkClose::Frame)?).await
    }

    /// Sends a message. A satellite that does not read it in time counts as disconnected.
    pub(super) async fn send(&mut self, outgoing: Outgoing) -> Result<(), LinkClose> {
        let message = encode(&outgoing);
        let mut sending = SinkExt::send(&mut *self.connection, message);
        let sent = match (&mut sending).now_or_never() {
            Some(sent) => sent.is_ok(),
            // With a timeout: a satellite that stops reading must not hold its loop, which also checks heartbeats. Boxed: a link
            // that is idle, or whose satellite reads, has no space for the timer.
            None => Box::pin(timeout(self.write_timeout, sending)).await.is_ok_and(|sent| sent.is_ok()),
        };
        sent.then_some(()).ok_or(LinkClose::ConnectionLost)
    }

    /// Closes the link, and waits for the satellite to answer the close frame.
    pub(super) async fn close(mut self, close: LinkClose, reconnect_jitter_ms: u64) {
        let LinkClose::Frame(close) = close else { return };
        tracing::debug!(close.code = close.code, close.reason = %close.reason, "the link of a satellite is closed");
        drop(timeout(CLOSE_TIMEOUT, self.close_handshake(close, reconnect_jitter_ms)).await);
    }

    async fn close_handshake(&mut self, close: Close, reconnect_jitter_ms: u64) -> Result<(), LinkClose> {
        if let Some(message) = disconnect_message(&close, reconnect_jitter_ms) {
            self.send(Outgoing::Control(message)).await?;
        }
        self.connection.send(Message::Close(Some(close_frame(&close)))).await.map_err(|_| LinkClose::ConnectionLost)?;
        // Reads what the satellite still sends: unread bytes would reset the connection before it has read the reason.
        while let Some(Ok(_)) = self.connection.recv().await {}
        Ok(())
    }
}

fn encode(outgoing: &Outgoing) -> Message {
    let (is_text, bytes) = outgoing.encode();
    if is_text { Message::Text(Utf8Bytes::try_from(bytes).expect("JSON is UTF-8")) } else { Message::Binary(bytes) }
}

fn received(message: Option<Result<Message, axum::Error>>, max_bytes: usize) -> Result<SocketMessage, LinkClose> {
    match message {
        // Checked here too: the limit of the socket itself is that of an open link, and cannot change.
        Some(Ok(message)) if len(&message) > max_bytes => Err(LinkClose::protocol("the message is too long")),
        Some(Ok(message)) => read(message),
        Some(Err(error)) => Err(LinkClose::protocol(error.to_string())),
        None => Err(LinkClose::ConnectionLost),
    }
}

fn len(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) => bytes.len(),
        _ => 0,
    }
}

fn read(message: Message) -> Result<SocketMessage, LinkClose> {
    match message {
        Message::Text(text) => match serde_json::from_str(&text) {
            Ok(message) => Ok(SocketMessage::Control(message)),
            Err(error) => Err(LinkClose::protocol(format!("not a control message: {error}"))),
        },
        Message::Binary(bytes) => match Frame::decode(bytes) {
            Ok(frame) => Ok(SocketMessage::Frame(frame)),
            Err(error) => Err(LinkClose::protocol(error.to_string())),
        },
        Message::Ping(_) | Message::Pong(_) => Ok(SocketMessage::KeepAlive),
        // The WebSocket library has answered the close frame already.
        Message::Close(_) => Err(LinkClose::ConnectionLost),
    }
}
