//! One terminal on one link: what of it the server has, and what it gets next.
//!
//! The order is fixed: that it is there, its output with the gaps in it, its end. How much was typed is told in between,
//! behind the next piece of output at the latest.

use std::sync::Arc;

use hive_wire::agent::{PtyStarted, ToServer};
use hive_wire::frame::{Frame, StreamId};
use hive_wire::stream::{Sender, StreamError};

use super::AgentMessage;
use crate::pty::{self, Standing, Terminal};

/// Where the sending of one terminal stands.
#[derive(Debug)]
pub(super) struct OnLink {
    terminal: Arc<Terminal>,
    /// None where the server only wants to know of its end.
    stream: Option<Stream>,
    has_sent_end: bool,
}

#[derive(Debug)]
struct Stream {
    id: StreamId,
    /// To be told first.
    started: Option<Standing>,
    sender: Sender,
    /// The server has said how much may be sent.
    has_flow: bool,
    /// How much of what was typed the server knows of.
    applied: u64,
    /// Output went out since the server was last told of what was typed.
    is_applied_next: bool,
}

impl OnLink {
    /// A terminal of whose output the server has `received` so much. What follows goes over the stream.
    pub(super) fn new(terminal: Arc<Terminal>, received: Option<u64>, id: StreamId) -> Self {
        let started = terminal.attach(received);
        let stream = Stream {
            id,
            sender: Sender::without_credit(started.output),
            started: Some(started),
            has_flow: false,
            applied: 0,
            is_applied_next: false,
        };
        Self { terminal, stream: Some(stream), has_sent_end: false }
    }

    /// A terminal of which the server only wants to know that it has ended.
    pub(super) fn only_its_end(terminal: Arc<Terminal>) -> Self {
        Self { terminal, stream: None, has_sent_end: false }
    }

    /// The stream opened for it.
    pub(super) fn stream(&self) -> Option<StreamId> {
        self.stream.as_ref().map(|stream| stream.id)
    }

    /// The server is to be told again that it has ended.
    pub(super) fn repeat_end(&mut self) {
        self.has_sent_end = false;
    }

    /// The server is to be told again that it is there.
    pub(super) fn repeat(&mut self) {
        self.repeat_end();
        if let Some(stream) = &mut self.stream {
            stream.started = Some(self.terminal.attach(Some(stream.sender.sent())));
        }
    }

    /// Takes the server's word on how much may be sent, and what somebody still needs.
    pub(super) fn set_flow(&mut self, limit: u64, keep: Option<u64>) {
        if let Some(stream) = &mut self.stream {
            stream.has_flow = true;
            stream.sender.credit(limit);
            self.terminal.set_flow(limit, keep);
        }
    }

    /// Takes what was typed.
    pub(super) fn type_in(&self, frame: &Frame) -> Result<(), StreamError> {
        self.terminal.type_in(frame)
    }

    /// Takes what is to be sent next.
    pub(super) fn next(&mut self) -> Option<AgentMessage> {
        let id = self.terminal.id;
        if let Some(stream) = &mut self.stream
            && let Some(piece) = stream.next(&self.terminal)
        {
            return Some(piece);
        }
        let sent = self.stream.as_ref().map_or(u64::MAX, |stream| stream.sender.sent());
        let end = self.terminal.end_behind(sent).filter(|_| !self.has_sent_end)?;
        self.has_sent_end = true;
        Some(AgentMessage::Control(ToServer::PtyEnded { session_id: id, end }))
    }
}

impl Stream {
    fn next(&mut self, terminal: &Terminal) -> Option<AgentMessage> {
        if let Some(standing) = self.started.take() {
            return Some(AgentMessage::Control(ToServer::PtyStarted(self.tell_started(terminal, standing))));
        }
        if self.is_applied_next
            && let Some(applied) = self.next_applied(terminal)
        {
            return Some(applied);
        }
        self.next_output(terminal).or_else(|| self.next_applied(terminal))
    }

    fn tell_started(&self, terminal: &Terminal, standing: Standing) -> PtyStarted {
        let Standing { output, input, keep, writer, size } = standing;
        PtyStarted { session_id: terminal.id, stream: self.id, output, input, keep, writer, size }
    }

    fn next_applied(&mut self, terminal: &Terminal) -> Option<AgentMessage> {
        self.is_applied_next = false;
        let offset = terminal.applied();
        if offset == self.applied {
            return None;
        }
        self.applied = offset;
        Some(AgentMessage::Control(ToServer::PtyApplied { session_id: terminal.id, offset }))
    }

    fn next_output(&mut self, terminal: &Terminal) -> Option<AgentMessage> {
        if !self.has_flow {
            return None;
        }
        let piece = terminal.next_piece(&mut self.sender)?;
        self.is_applied_next = true;
        Some(match piece {
            pty::Piece::Gap { from, to } => {
                AgentMessage::Control(ToServer::PtyGap { session_id: terminal.id, from, to })
            }
            pty::Piece::Data { offset, bytes } => AgentMessage::Data(Frame::data(self.id, offset, bytes, false)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pty::tests::{opened, typed};
    use hive_wire::ViewerId;
    use hive_wire::api::{EndReason, SessionEnd, Size};
    use hive_wire::id::Seed;

    const MIB: usize = 1024 * 1024;

    fn link(terminal: &Arc<Terminal>, received: Option<u64>) -> OnLink {
        OnLink::new(terminal.clone(), received, StreamId(5))
    }

    fn end() -> SessionEnd {
        SessionEnd { reason: EndReason::Exited, exit_code: Some(3), error: None }
    }

    /// Everything it sends now, one short word a piece.
    fn words(link: &mut OnLink) -> Vec<String> {
        std::iter::from_fn(|| link.next()).map(|piece| word(&piece)).collect()
    }

    fn word(piece: &AgentMessage) -> String {
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
        let terminal = opened();
        terminal.keep(b"$ ");
        let mut link = link(&terminal, Some(0));
        assert_eq!(words(&mut link), ["started 5 0/0 Some(0)"]);
        link.set_flow(100, Some(0));
        assert_eq!(words(&mut link), ["data 5 0+2"]);
    }

    #[test]
    fn the_end_comes_behind_all_output() {
        let terminal = opened();
        let mut link = link(&terminal, Some(0));
        link.set_flow(4, Some(0));
        terminal.keep(b"logout");
        terminal.set_end(end());
        assert_eq!(words(&mut link), ["started 5 0/0 Some(0)", "data 5 0+4"]);
        link.set_flow(10, Some(0));
        assert_eq!(words(&mut link), ["data 5 4+2", "ended Some(3)"]);
        assert_eq!(words(&mut link), [""; 0]);
        link.repeat();
        assert_eq!(words(&mut link), ["started 5 6/0 Some(0)", "ended Some(3)"]);
    }

    #[test]
    fn a_server_that_has_everything_only_hears_of_the_end() {
        let terminal = opened();
        terminal.keep(b"logout");
        terminal.set_end(end());
        assert_eq!(words(&mut link(&terminal, Some(6))), ["started 5 6/0 Some(0)", "ended Some(3)"]);
        assert_eq!(words(&mut OnLink::only_its_end(terminal.clone())), ["ended Some(3)"]);
        assert_eq!(words(&mut OnLink::only_its_end(opened())), [""; 0]);
    }

    #[test]
    fn an_echo_goes_before_the_word_that_it_was_typed() {
        let terminal = opened();
        let mut link = link(&terminal, Some(0));
        link.set_flow(MIB as u64, Some(0));
        words(&mut link);
        typed(&terminal, b"ls");
        terminal.keep(b"ls");
        assert_eq!(words(&mut link), ["data 5 0+2", "applied 2"]);
        typed(&terminal, b"\r");
        assert_eq!(words(&mut link), ["applied 3"], "without an echo it goes alone");
    }

    #[test]
    fn a_flood_does_not_hold_up_the_word_of_what_was_typed() {
        let terminal = opened();
        let mut link = link(&terminal, Some(0));
        link.set_flow(MIB as u64, None);
        words(&mut link);
        typed(&terminal, b"^C");
        terminal.keep(&vec![b'y'; 150_000]);
        assert_eq!(words(&mut link), ["data 5 0+65536", "applied 2", "data 5 65536+65536", "data 5 131072+18928"]);
    }

    #[test]
    fn a_server_that_fell_behind_is_told_what_it_missed() {
        let terminal = opened();
        link(&terminal, None).set_flow(0, None);
        terminal.keep(&vec![b'y'; 3 * MIB]);
        let mut link = link(&terminal, Some(9));
        assert_eq!(words(&mut link), ["started 5 9/0 None"]);
        link.set_flow(2 * MIB as u64 + 10, None);
        assert_eq!(words(&mut link), [format!("gap 9-{}", 2 * MIB), format!("data 5 {}+10", 2 * MIB)]);
    }

    #[test]
    fn a_server_that_knows_nothing_is_told_everything() {
        let terminal = opened();
        let viewer = ViewerId::new(Seed { unix_millis: 1, random: [7; 10] });
        link(&terminal, Some(0)).set_flow(MIB as u64, Some(3));
        terminal.keep(b"hello");
        typed(&terminal, b"ls");
        terminal.set_writer(Some(viewer));
        terminal.resize(Size { cols: 132, rows: 43 }, false);
        let Some(AgentMessage::Control(ToServer::PtyStarted(started))) = link(&terminal, None).next() else { panic!() };
        let size = Size { cols: 132, rows: 43 };
        let expected = PtyStarted {
            session_id: terminal.id,
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
