//! Messages to one client that are sent while other things happen.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use axum::extract::ws::{Message, WebSocket};
use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use serde::Serialize;

/// The connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnectionLost;

/// A message as JSON text.
pub(super) fn text(message: &impl Serialize) -> Message {
    Message::text(serde_json::to_string(message).expect("the keys of a message are texts"))
}

/// The messages that wait for a socket.
pub(super) struct Outbox {
    pub(super) socket: SplitSink<WebSocket, Message>,
    queued: VecDeque<Message>,
    is_flushed: bool,
}

impl Outbox {
    pub(super) fn new(socket: SplitSink<WebSocket, Message>) -> Self {
        Self { socket, queued: VecDeque::new(), is_flushed: true }
    }

    pub(super) fn push(&mut self, message: Message) {
        self.queued.push_back(message);
    }

    /// How many messages wait.
    pub(super) fn len(&self) -> usize {
        self.queued.len()
    }

    /// Whether no message waits. The last one may still be on its way to the socket.
    pub(super) fn has_room(&self) -> bool {
        self.queued.is_empty()
    }

    /// Whether the socket has taken all messages.
    pub(super) fn is_empty(&self) -> bool {
        self.queued.is_empty() && self.is_flushed
    }

    /// Sends the queued messages and flushes the socket. Ready when both are done, pending if there is nothing to do.
    /// Cancel-safe: each step completes within one poll.
    pub(super) fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ConnectionLost>> {
        while !self.queued.is_empty() {
            ready!(self.socket.poll_ready_unpin(context)).map_err(|_| ConnectionLost)?;
            if let Some(message) = self.queued.pop_front() {
                self.is_flushed = false;
                self.socket.start_send_unpin(message).map_err(|_| ConnectionLost)?;
            }
        }
        if self.is_flushed {
            return Poll::Pending;
        }
        ready!(self.socket.poll_flush_unpin(context)).map_err(|_| ConnectionLost)?;
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }
}
