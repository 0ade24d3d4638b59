//! Sends one session over one link: `pty_started`, output and gaps, the end, in this order.
//!
//! The acknowledgement of input (`pty_applied`) is sent in between, behind the next message of output at the latest.

use std::sync::Arc;

use hive_wire::agent::ToServer;
use hive_wire::frame::{Frame, StreamId};
use hive_wire::stream::StreamError;

use super::AgentMessage;
use super::session_stream::SessionStream;
use crate::pty::AgentSession;

/// What was sent of one session over this link.
#[derive(Debug)]
pub(super) struct SessionLink {
    session: Arc<AgentSession>,
    /// `None` where the server only asked for the end of the session.
    stream: Option<SessionStream>,
    has_sent_end: bool,
}

impl SessionLink {
    /// Attaches a session to a stream. The server has `received` so much of its output.
    pub(super) fn new(session: Arc<AgentSession>, received: Option<u64>, id: StreamId) -> Self {
        let started = session.attach(received);
        let stream = SessionStream::new(id, started);
        Self { session, stream: Some(stream), has_sent_end: false }
    }

    /// Only the end of the session is sent.
    pub(super) fn end_only(session: Arc<AgentSession>) -> Self {
        Self { session, stream: None, has_sent_end: false }
    }

    /// The stream opened for it.
    pub(super) fn stream(&self) -> Option<StreamId> {
        self.stream.as_ref().map(SessionStream::id)
    }

    /// Sends the end again.
    pub(super) fn resend_end(&mut self) {
        self.has_sent_end = false;
    }

    /// Sends `pty_started` again.
    pub(super) fn resend_started(&mut self) {
        self.resend_end();
        if let Some(stream) = &mut self.stream {
            stream.resend_started(&self.session);
        }
    }

    /// Sets how far output may be sent, and from which byte on it is still needed.
    pub(super) fn set_flow(&mut self, limit: u64, keep: Option<u64>) {
        if let Some(stream) = &mut self.stream {
            stream.credit(limit);
            self.session.set_flow(limit, keep);
        }
    }

    /// Accepts input.
    pub(super) fn accept_input(&self, frame: &Frame) -> Result<(), StreamError> {
        self.session.accept_input(frame)
    }

    /// Takes the next message.
    pub(super) fn next(&mut self) -> Option<AgentMessage> {
        let id = self.session.id;
        if let Some(stream) = &mut self.stream
            && let Some(piece) = stream.next(&self.session)
        {
            return Some(piece);
        }
        // The end follows the last byte of output, except where the server does not want the output.
        let sent = self.stream.as_ref().map_or(u64::MAX, SessionStream::sent);
        let end = self.session.end_behind(sent).filter(|_| !self.has_sent_end)?;
        self.has_sent_end = true;
        Some(AgentMessage::Control(ToServer::PtyEnded { session_id: id, end }))
    }
}

#[cfg(test)]
mod tests;
