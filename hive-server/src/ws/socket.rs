//! One satellite's socket: messages in, messages out, and never stuck in either.

use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use hive_core::link::{Close, Outgoing};
use hive_core::wire::agent::{MAX_MESSAGE, ToServer};
use hive_core::wire::frame::Frame;
use tokio::time::timeout;

use super::close::{Ending, farewell, frame};

/// How long the satellite may take to close its side.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a satellite sent.
pub(super) enum Incoming {
    /// A control message.
    Control(ToServer),
    /// Data.
    Frame(Frame),
    /// Nothing but a sign of life.
    Alive,
}

/// A WebSocket that speaks the link's protocol.
pub(super) struct Socket {
    /// In a box, because it is moved from future to future, and each would keep room for it.
    socket: Box<WebSocket>,
    write_timeout: Duration,
}

impl Socket {
    pub(super) fn new(socket: WebSocket, write_timeout: Duration) -> Self {
        Self { socket: Box::new(socket), write_timeout }
    }

    /// Waits for the next message. Dropping the future loses none.
    pub(super) async fn receive(&mut self) -> Result<Incoming, Ending> {
        self.receive_at_most(MAX_MESSAGE).await
    }

    /// The same, and a longer message ends the link unread.
    pub(super) async fn receive_at_most(&mut self, bytes: usize) -> Result<Incoming, Ending> {
        match self.socket.recv().await {
            Some(Ok(message)) if len(&message) > bytes => Err(Ending::protocol("the message is too long")),
            Some(Ok(message)) => read(message),
            Some(Err(error)) => Err(Ending::protocol(error.to_string())),
            None => Err(Ending::Gone),
        }
    }

    /// Passes on what the hive sends, or ends the link as it says.
    pub(super) async fn pass_on(&mut self, outgoing: Result<Outgoing, Close>) -> Result<(), Ending> {
        self.send(outgoing.map_err(Ending::Told)?).await
    }

    /// Sends a message. A satellite that does not take it in time is gone.
    pub(super) async fn send(&mut self, outgoing: Outgoing) -> Result<(), Ending> {
        let (is_text, bytes) = outgoing.encode();
        let message = if is_text {
            Message::Text(Utf8Bytes::try_from(bytes).expect("JSON is UTF-8"))
        } else {
            Message::Binary(bytes)
        };
        let sent = timeout(self.write_timeout, self.socket.send(message)).await;
        sent.is_ok_and(|sent| sent.is_ok()).then_some(()).ok_or(Ending::Gone)
    }

    /// Tells the satellite why the link ends, and waits a moment for it to close its side: what it still sends would
    /// otherwise reset the connection before it has read the reason.
    pub(super) async fn end(mut self, ending: Ending, spread_ms: u64) {
        let Ending::Told(close) = ending else { return };
        tracing::debug!(close.code = close.code, close.reason = %close.reason, "a satellite's link is closed");
        drop(timeout(CLOSE_TIMEOUT, self.say_goodbye(close, spread_ms)).await);
    }

    async fn say_goodbye(&mut self, close: Close, spread_ms: u64) -> Result<(), Ending> {
        if let Some(message) = farewell(&close, spread_ms) {
            self.send(Outgoing::Control(message)).await?;
        }
        self.socket.send(Message::Close(Some(frame(&close)))).await.map_err(|_| Ending::Gone)?;
        while let Some(Ok(_)) = self.socket.recv().await {}
        Ok(())
    }
}

fn len(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) => bytes.len(),
        _ => 0,
    }
}

fn read(message: Message) -> Result<Incoming, Ending> {
    match message {
        Message::Text(text) => match serde_json::from_str(&text) {
            Ok(message) => Ok(Incoming::Control(message)),
            Err(error) => Err(Ending::protocol(format!("not a control message: {error}"))),
        },
        Message::Binary(bytes) => match Frame::decode(bytes) {
            Ok(frame) => Ok(Incoming::Frame(frame)),
            Err(error) => Err(Ending::protocol(error.to_string())),
        },
        Message::Ping(_) | Message::Pong(_) => Ok(Incoming::Alive),
        Message::Close(_) => Err(Ending::Gone),
    }
}
