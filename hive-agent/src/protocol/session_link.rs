//! Sends one session over one link: `pty_started`, output and gaps, the end, in this order.
//!
//! The acknowledgement of input (`pty_applied`) is sent in between, behind the next message of output at the latest.

use std::sync::Arc;

use hive_wire::agent::{PtyStarted, ToServer};
use hive_wire::frame::{Frame, StreamId};
use hive_wire::stream::{Sender, StreamError};

use super::AgentMessage;
use crate::pty::{AgentSession, OutputPiece, ResumePoint};

/// What was sent of one session over this link.
#[derive(Debug)]
pub(super) struct SessionLink {
    session: Arc<AgentSession>,
    /// `None` where the server only asked for the end of the session.
    stream: Option<SessionStream>,
    has_sent_end: bool,
}

#[derive(Debug)]
struct SessionStream {
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

impl SessionLink {
    /// Attaches a session to a stream. The server has `received` so much of its output.
    pub(super) fn new(session: Arc<AgentSession>, received: Option<u64>, id: StreamId) -> Self {
        let started = session.attach(received);
        let stream = SessionStream {
            id,
            // Without `pty_flow` nothing is sent: the server sets the limit when it knows its viewers.
            sender: Sender::without_credit(started.output),
            started: Some(started),
            has_flow: false,
            applied: 0,
            is_ack_next: false,
        };
        Self { session, stream: Some(stream), has_sent_end: false }
    }

    /// Only the end of the session is sent.
    pub(super) fn end_only(session: Arc<AgentSession>) -> Self {
        Self { session, stream: None, has_sent_end: false }
    }

    /// The stream opened for it.
    pub(super) fn stream(&self) -> Option<StreamId> {
        self.stream.as_ref().map(|stream| stream.id)
    }

    /// Sends the end again.
    pub(super) fn resend_end(&mut self) {
        self.has_sent_end = false;
    }

    /// Sends `pty_started` again.
    pub(super) fn resend_started(&mut self) {
        self.resend_end();
        if let Some(stream) = &mut self.stream {
            stream.started = Some(self.session.attach(Some(stream.sender.sent())));
        }
    }

    /// Sets how far output may be sent, and from which byte on it is still needed.
    pub(super) fn set_flow(&mut self, limit: u64, keep: Option<u64>) {
        if let Some(stream) = &mut self.stream {
            stream.has_flow = true;
            stream.sender.credit(limit);
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
        let sent = self.stream.as_ref().map_or(u64::MAX, |stream| stream.sender.sent());
        let end = self.session.end_behind(sent).filter(|_| !self.has_sent_end)?;
        self.has_sent_end = true;
        Some(AgentMessage::Control(ToServer::PtyEnded { session_id: id, end }))
    }
}

impl SessionStream {
    fn next(&mut self, session: &AgentSession) -> Option<AgentMessage> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pty::tests::{opened, write_input};
    use hive_wire::ViewerId;
    use hive_wire::api::{EndReason, SessionEnd, Size};
    use hive_wire::id::Seed;

    const MIB: usize = 1024 * 1024;

    fn link(session: &Arc<AgentSession>, received: Option<u64>) -> SessionLink {
        SessionLink::new(session.clone(), received, StreamId(5))
    }

    fn end() -> SessionEnd {
        SessionEnd { reason: EndReason::Exited, exit_code: Some(3), error: None }
    }

    /// Everything that is sent now, one word per message.
    fn sent(link: &mut SessionLink) -> Vec<String> {
        std::iter::from_fn(|| link.next()).map(|piece| describe(&piece)).collect()
    }

    fn describe(piece: &AgentMessage) -> String {
        match piece {
            AgentMessage::Control(ToServer::PtyStarted(started)) => {
                let PtyStarted { stream, output, input, keep, .. } = started;
                format!("started {stream} {output}/{input} {keep:?}")
            }
            AgentMessage::Control(ToServer::PtyGap { from, to, .. }) => format!("gap {from}-{to}"),
            AgentMessage::Control(ToServer::PtyApplied { offset, .. }) => format!("applied {offset}"),
            AgentMessage::Control(ToServer::PtyEnded { end, .. }) => format!("ended {:?}", end.exit_code),
            AgentMessage::Ping => panic!("a ping"),
            AgentMessage::Control(other) => panic!("{other:?}"),
            AgentMessage::Data(frame) => format!("data {} {}+{}", frame.stream, frame.offset, frame.payload.len()),
        }
    }

    #[test]
    fn nothing_is_said_before_the_server_knows_how_much_it_wants() {
        let session = opened();
        session.append_output(b"$ ");
        let mut link = link(&session, Some(0));
        assert_eq!(sent(&mut link), ["started 5 0/0 Some(0)"]);
        link.set_flow(100, Some(0));
        assert_eq!(sent(&mut link), ["data 5 0+2"]);
    }

    #[test]
    fn the_end_comes_behind_all_output() {
        let session = opened();
        let mut link = link(&session, Some(0));
        link.set_flow(4, Some(0));
        session.append_output(b"logout");
        session.set_end(end());
        assert_eq!(sent(&mut link), ["started 5 0/0 Some(0)", "data 5 0+4"]);
        link.set_flow(10, Some(0));
        assert_eq!(sent(&mut link), ["data 5 4+2", "ended Some(3)"]);
        assert_eq!(sent(&mut link), [""; 0]);
        link.resend_started();
        assert_eq!(sent(&mut link), ["started 5 6/0 Some(0)", "ended Some(3)"]);
    }

    #[test]
    fn a_server_that_has_everything_only_hears_of_the_end() {
        let session = opened();
        session.append_output(b"logout");
        session.set_end(end());
        assert_eq!(sent(&mut link(&session, Some(6))), ["started 5 6/0 Some(0)", "ended Some(3)"]);
        assert_eq!(sent(&mut SessionLink::end_only(session.clone())), ["ended Some(3)"]);
        assert_eq!(sent(&mut SessionLink::end_only(opened())), [""; 0]);
    }

    #[test]
    fn an_echo_goes_before_the_word_that_it_was_typed() {
        let session = opened();
        let mut link = link(&session, Some(0));
        link.set_flow(MIB as u64, Some(0));
        sent(&mut link);
        write_input(&session, b"ls");
        session.append_output(b"ls");
        assert_eq!(sent(&mut link), ["data 5 0+2", "applied 2"]);
        write_input(&session, b"\r");
        assert_eq!(sent(&mut link), ["applied 3"], "without an echo it goes alone");
    }

    #[test]
    fn a_flood_does_not_hold_up_the_word_of_what_was_typed() {
        let session = opened();
        let mut link = link(&session, Some(0));
        link.set_flow(MIB as u64, None);
        sent(&mut link);
        write_input(&session, b"^C");
        session.append_output(&vec![b'y'; 150_000]);
        assert_eq!(sent(&mut link), ["data 5 0+65536", "applied 2", "data 5 65536+65536", "data 5 131072+18928"]);
    }

    #[test]
    fn a_server_that_fell_behind_is_told_what_it_missed() {
        let session = opened();
        link(&session, None).set_flow(0, None);
        session.append_output(&vec![b'y'; 3 * MIB]);
        let mut link = link(&session, Some(9));
        assert_eq!(sent(&mut link), ["started 5 9/0 None"]);
        link.set_flow(2 * MIB as u64 + 10, None);
        assert_eq!(sent(&mut link), [format!("gap 9-{}", 2 * MIB), format!("data 5 {}+10", 2 * MIB)]);
    }

    #[test]
    fn a_server_that_knows_nothing_is_told_everything() {
        let session = opened();
        let viewer = ViewerId::new(Seed { unix_millis: 1, random: [7; 10] });
        link(&session, Some(0)).set_flow(MIB as u64, Some(3));
        session.append_output(b"hello");
        write_input(&session, b"ls");
        session.set_writer(Some(viewer));
        session.resize(Size { cols: 132, rows: 43 }, false);
        let Some(AgentMessage::Control(ToServer::PtyStarted(started))) = link(&session, None).next() else { panic!() };
        let size = Size { cols: 132, rows: 43 };
        let expected = PtyStarted {
            session_id: session.id,
            stream: StreamId(5),
            output: 3,
            input: 2,
            keep: Some(3),
            writer: Some(viewer),
            size,
        };
        assert_eq!(started, expected);
    }
}
