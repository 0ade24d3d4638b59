//! The stream of one session on one link: `pty_started`, then output and gaps, with the acknowledgements of input in
//! between.

use hive_wire::agent::{PtyStarted, ToServer};
use hive_wire::frame::{Frame, StreamId};
use hive_wire::stream::Sender;

use super::AgentMessage;
use crate::pty::{AgentSession, OutputPiece, ResumePoint};

/// What was sent of one session's output and input over this link.
#[derive(Debug)]
pub(super) struct SessionStream {
    id: StreamId,
    /// Sent before anything else.
    started: Option<ResumePoint>,
    sender: Sender,
    /// The server has set how much may be sent.
    has_flow: bool,
    /// The offset of input that was acknowledged last.
    applied: u64,
    /// Output was sent since the last acknowledgement of input.
    is_ack_next: bool,
}

impl SessionStream {
    pub(super) fn new(id: StreamId, started: ResumePoint) -> Self {
        Self {
            id,
            // Without `pty_flow` nothing is sent: the server sets the limit when it knows its viewers.
            sender: Sender::without_credit(started.output),
            started: Some(started),
            has_flow: false,
            applied: 0,
            is_ack_next: false,
        }
    }

    pub(super) fn id(&self) -> StreamId {
        self.id
    }

    /// The offset up to which output was sent.
    pub(super) fn sent(&self) -> u64 {
        self.sender.sent()
    }

    /// Sends `pty_started` again.
    pub(super) fn resend_started(&mut self, session: &AgentSession) {
        self.started = Some(session.attach(Some(self.sent())));
    }

    /// Sets how far output may be sent.
    pub(super) fn credit(&mut self, limit: u64) {
        self.has_flow = true;
        self.sender.credit(limit);
    }

    /// Takes the next message.
    pub(super) fn next(&mut self, session: &AgentSession) -> Option<AgentMessage> {
        if let Some(resume_point) = self.started.take() {
            return Some(AgentMessage::Control(ToServer::PtyStarted(self.started_message(session, resume_point))));
        }
        // After one message of output the acknowledgement is due, so that a flood cannot delay it.
        if self.is_ack_next
            && let Some(applied) = self.next_applied(session)
        {
            return Some(applied);
        }
        self.next_output(session).or_else(|| self.next_applied(session))
    }

    fn started_message(&self, session: &AgentSession, resume_point: ResumePoint) -> PtyStarted {
        let ResumePoint { output, input, keep, writer, size } = resume_point;
        PtyStarted { session_id: session.id, stream: self.id, output, input, keep, writer, size }
    }

    fn next_applied(&mut self, session: &AgentSession) -> Option<AgentMessage> {
        self.is_ack_next = false;
        let offset = session.applied();
        // Several writes in a row are acknowledged by one message.
        if offset == self.applied {
            return None;
        }
        self.applied = offset;
        Some(AgentMessage::Control(ToServer::PtyApplied { session_id: session.id, offset }))
    }

    fn next_output(&mut self, session: &AgentSession) -> Option<AgentMessage> {
        if !self.has_flow {
            return None;
        }
        let piece = session.next_output(&mut self.sender)?;
        self.is_ack_next = true;
        Some(match piece {
            OutputPiece::Gap { from, to } => {
                AgentMessage::Control(ToServer::PtyGap { session_id: session.id, from, to })
            }
            OutputPiece::Data { offset, bytes } => AgentMessage::Data(Frame::data(self.id, offset, bytes, false)),
        })
    }
}
