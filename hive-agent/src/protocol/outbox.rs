//! What goes out next on one link: control, then terminals, then the output of commands, each in turn, a few messages
//! ahead at most. Output stays in its spool or its terminal until there is room, so that a slow link holds no memory, and
//! what a keystroke brings about waits behind little.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hive_wire::agent::{Channel, Received, ToServer};
use hive_wire::frame::{Frame, StreamId};
use hive_wire::stream::{Lane, Lanes, StreamError};
use hive_wire::{CommandId, SessionId};
use tracing::error;

use super::AgentMessage;
use super::command_sender::Resume;
use super::session_link::OnLink;
use crate::dispatch::{Dispatch, Progress};
use crate::pty::Terminal;
use crate::spool::Reader;

/// Messages that wait in each lane. While the control lane is full nothing is read from the server; while the output lane
/// is full nothing is read from the spool.
const LANE: usize = 4;

/// A satellite sends no keystrokes: their lane is free for what answers them. No more than one message waits in it.
const TERMINALS: Lane = Lane::Input;

/// The outgoing side of one link.
#[derive(Debug)]
pub(super) struct Outbox {
    lanes: Lanes<(Lane, AgentMessage)>,
    terminals: HashMap<SessionId, OnLink>,
    /// Where what is typed goes.
    keyboards: HashMap<StreamId, SessionId>,
    /// Terminals that may have something to send; each stands in it once.
    ready_terminals: VecDeque<SessionId>,
    /// Whose next output goes first: somebody has typed, and waits for an answer.
    answering: Option<SessionId>,
    is_terminal_ahead: bool,
    commands: HashMap<CommandId, Resume>,
    owners: HashMap<StreamId, CommandId>,
    /// Commands that may have something to send; each stands in it once.
    ready: VecDeque<CommandId>,
    next_stream: u32,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            lanes: Lanes::new(LANE),
            terminals: HashMap::new(),
            keyboards: HashMap::new(),
            ready_terminals: VecDeque::new(),
            answering: None,
            is_terminal_ahead: false,
            commands: HashMap::new(),
            owners: HashMap::new(),
            ready: VecDeque::new(),
            next_stream: 1,
        }
    }

    /// Whether an answer to one more message of the server fits.
    pub(super) fn has_room(&self) -> bool {
        !self.lanes.is_full(Lane::Control)
    }

    /// Adds an answer. The caller has asked [`has_room`](Self::has_room); one too many is dropped.
    pub(super) fn push(&mut self, message: ToServer) {
        if self.lanes.push(Lane::Control, (Lane::Control, AgentMessage::Control(message))).is_err() {
            error!("no room for a control message; it is dropped");
        }
    }

    /// Adds a ping. Returns false where there is no room: answers go before it.
    pub(super) fn push_ping(&mut self) -> bool {
        self.lanes.push(Lane::Control, (Lane::Control, AgentMessage::Ping)).is_ok()
    }

    /// Goes on with a terminal, of whose output the server has `received` so much.
    pub(super) fn attach_terminal(&mut self, terminal: Arc<Terminal>, received: Option<u64>) {
        let id = terminal.id;
        self.detach_terminal(id);
        let stream = self.new_stream();
        self.keyboards.insert(stream, id);
        self.terminals.insert(id, OnLink::new(terminal, received, stream));
        self.advance_terminal(id);
    }

    /// Begins with a terminal. Of one that is on this link already, the server is told again that it is there.
    pub(super) fn attach_again(&mut self, terminal: Arc<Terminal>) {
        match self.terminals.get_mut(&terminal.id) {
            Some(known) if known.stream().is_some() => {
                known.repeat();
                self.advance_terminal(terminal.id);
            }
            _ => self.attach_terminal(terminal, None),
        }
    }

    /// Tells the server when a terminal has ended, also if it was told before.
    pub(super) fn await_end(&mut self, terminal: Arc<Terminal>) {
        let id = terminal.id;
        self.terminals.entry(id).or_insert_with(|| OnLink::only_its_end(terminal)).repeat_end();
        self.advance_terminal(id);
    }

    /// Ends it: the server knows of the terminal's end.
    pub(super) fn detach_terminal(&mut self, id: SessionId) {
        if let Some(stream) = self.terminals.remove(&id).and_then(|terminal| terminal.stream()) {
            self.keyboards.remove(&stream);
        }
    }

    /// Takes in that a terminal has come further. One this link was not asked about is ignored.
    pub(super) fn advance_terminal(&mut self, id: SessionId) {
        if !self.terminals.contains_key(&id) {
            return;
        }
        if self.answering.take_if(|answering| *answering == id).is_some() {
            self.ready_terminals.retain(|ready| *ready != id);
            self.ready_terminals.push_front(id);
        } else if !self.ready_terminals.contains(&id) {
            self.ready_terminals.push_back(id);
        }
    }

    /// Takes in how far a terminal's output may go.
    pub(super) fn set_flow(&mut self, id: SessionId, limit: u64, keep: Option<u64>) {
        if let Some(terminal) = self.terminals.get_mut(&id) {
            terminal.set_flow(limit, keep);
            self.advance_terminal(id);
        }
    }

    /// Takes what was typed. A stream of a terminal that is not on this link any more is ignored.
    pub(super) fn type_in(&mut self, frame: &Frame) -> Result<(), StreamError> {
        let Some(id) = self.keyboards.get(&frame.stream) else { return Ok(()) };
        self.answering = Some(*id);
        self.terminals.get(id).map_or(Ok(()), |terminal| terminal.type_in(frame))
    }

    fn new_stream(&mut self) -> StreamId {
        let stream = StreamId(self.next_stream);
        self.next_stream += 2;
        stream
    }

    /// Begins to tell the server about a command, of which it has `received`. Delivered twice on one link it is
    /// acknowledged twice, and told again only if its end was told already: all else is still on its way.
    pub(super) fn attach(&mut self, id: CommandId, received: Received, dispatch: &Dispatch) {
        match self.commands.get_mut(&id) {
            Some(known) if !known.has_sent_result => known.repeat_ack(),
            _ => {
                self.detach(id);
                self.begin(
                    id,
                    received,
                    [Channel::Stdout, Channel::Stderr].map(|channel| dispatch.reader(id, channel)),
                );
            }
        }
        self.make_ready(id);
    }

    fn begin(&mut self, id: CommandId, received: Received, readers: [Reader; 2]) {
        self.commands.insert(id, Resume::new(id, received, readers));
    }

    /// Ends it: the server has the result.
    pub(super) fn detach(&mut self, id: CommandId) {
        if let Some(command) = self.commands.remove(&id) {
            for stream in command.streams() {
                self.owners.remove(&stream);
            }
        }
    }

    /// Takes in how far a command is. One this link was not asked about is ignored.
    pub(super) fn advance(&mut self, id: CommandId, progress: Progress) {
        if let Some(command) = self.commands.get_mut(&id) {
            command.advance(progress);
            self.make_ready(id);
        }
    }

    /// Takes in credit for a stream. A stream that has ended in the meantime is ignored.
    pub(super) fn credit(&mut self, stream: StreamId, limit: u64) {
        if let Some(&id) = self.owners.get(&stream)
            && let Some(command) = self.commands.get_mut(&id)
        {
            command.credit(stream, limit);
            self.make_ready(id);
        }
    }

    fn make_ready(&mut self, id: CommandId) {
        if !self.ready.contains(&id) {
            self.ready.push_back(id);
        }
    }

    /// Fills the lanes from the terminals and commands that have something to send, one piece of output a turn.
    pub(super) fn fill(&mut self) {
        self.fill_from_terminals();
        self.fill_from_commands();
    }

    fn fill_from_terminals(&mut self) {
        while !self.is_terminal_ahead
            && let Some(id) = self.ready_terminals.pop_front()
        {
            let piece = self.terminals.get_mut(&id).and_then(OnLink::next);
            if let Some(piece) = piece {
                self.is_terminal_ahead = true;
                push(&mut self.lanes, TERMINALS, piece);
                self.ready_terminals.push_back(id);
            }
        }
    }

    fn fill_from_commands(&mut self) {
        let mut idle_turns = 0;
        while idle_turns < self.ready.len() {
            let Some(id) = self.ready.pop_front() else { return };
            let (has_sent, has_more) = self.give_turn(id);
            if has_more {
                self.ready.push_back(id);
            }
            idle_turns = if has_sent || !has_more { 0 } else { idle_turns + 1 };
        }
    }

    /// Lets one command send; says whether it did, and whether it wants another turn.
    fn give_turn(&mut self, id: CommandId) -> (bool, bool) {
        let Some(command) = self.commands.get_mut(&id) else { return (false, false) };
        let mut has_sent = false;
        while !self.lanes.is_full(Lane::Control)
            && let Some(message) = command.next_control()
        {
            has_sent = true;
            push(&mut self.lanes, Lane::Control, AgentMessage::Control(message));
        }
        if self.lanes.is_full(Lane::Control) || self.lanes.is_full(Lane::Output) {
            return (has_sent, true);
        }
        let (next_stream, owners) = (&mut self.next_stream, &mut self.owners);
        let new_stream = || {
            let stream = StreamId(*next_stream);
            *next_stream += 2;
            owners.insert(stream, id);
            stream
        };
        match command.next_output(new_stream) {
            Some(piece) => {
                push(&mut self.lanes, Lane::Output, piece);
                (true, true)
            }
            None => (has_sent, false),
        }
    }

    /// Takes the most urgent message.
    pub(super) fn pop(&mut self) -> Option<AgentMessage> {
        let (lane, message) = self.lanes.pop()?;
        if lane == TERMINALS {
            self.is_terminal_ahead = false;
        }
        Some(message)
    }
}

fn push(lanes: &mut Lanes<(Lane, AgentMessage)>, lane: Lane, message: AgentMessage) {
    lanes.push(lane, (lane, message)).expect("the caller looked for room");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pty::tests::{opened_as, session_id};
    use crate::spool::Spool;
    use hive_wire::agent::CommandResult;
    use hive_wire::api::CommandStatus;
    use hive_wire::id::Seed;

    fn id(n: u8) -> CommandId {
        CommandId::new(Seed { unix_millis: 1, random: [n; 10] })
    }

    fn attached(outbox: &mut Outbox, spool: &Spool, n: u8, output: &[u8]) {
        spool.writer(id(n), Channel::Stdout).append(output);
        let readers = [Channel::Stdout, Channel::Stderr].map(|channel| spool.reader(id(n), channel));
        outbox.begin(id(n), Received::default(), readers);
        let result = CommandResult {
            id: id(n),
            status: CommandStatus::Succeeded,
            exit_code: Some(0),
            duration_ms: 1,
            sent: spool.kept(id(n)),
            truncated: false,
            error: None,
        };
        let produced = spool.kept(id(n));
        outbox.advance(id(n), Progress { is_started: true, journal_position: None, produced, result: Some(result) });
    }

    fn kind(message: &AgentMessage) -> String {
        match message {
            AgentMessage::Control(message) => serde_json::to_value(message).unwrap()["type"].as_str().unwrap().into(),
            AgentMessage::Data(frame) => format!("stream {}", frame.stream),
            AgentMessage::Ping => panic!("a ping"),
        }
    }

    #[test]
    fn control_overtakes_output_and_outputs_take_turns() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::of_dir(dir.path().to_owned());
        let mut outbox = Outbox::new();
        attached(&mut outbox, &spool, 1, &vec![b'x'; 200_000]);
        attached(&mut outbox, &spool, 2, &vec![b'y'; 200_000]);
        outbox.fill();
        assert_eq!(outbox.ready.len(), 2);
        attached(&mut outbox, &spool, 3, b"");
        let mut order = Vec::new();
        loop {
            outbox.fill();
            let Some(message) = outbox.pop() else { break };
            order.push(kind(&message));
        }
        let control = ["command_ack", "command_ack", "command_ack", "command_result"];
        assert_eq!(order[..4], control, "the silent command does not wait for the loud ones");
        let data: Vec<_> = order.iter().filter(|kind| kind.starts_with("stream ")).collect();
        assert_eq!(
            data.iter().take(6).copied().collect::<Vec<_>>(),
            ["stream 1", "stream 3", "stream 1", "stream 3", "stream 1", "stream 3"]
        );
        assert_eq!(order.iter().filter(|kind| *kind == "command_result").count(), 3);
        assert_eq!(order.last().unwrap(), "command_result");
        assert!(outbox.ready.is_empty());
    }

    #[test]
    fn a_slow_link_holds_only_a_few_messages() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::of_dir(dir.path().to_owned());
        let mut outbox = Outbox::new();
        for n in 0..50 {
            attached(&mut outbox, &spool, n, &vec![b'x'; 100_000]);
        }
        outbox.fill();
        outbox.fill();
        let mut count = 0;
        while outbox.pop().is_some() {
            count += 1;
        }
        assert!(count <= 2 * LANE);
        assert_eq!(outbox.ready.len(), 50);
    }

    const MIB: usize = 1024 * 1024;

    /// A terminal that is on the link, says so and may say more.
    fn with_terminal(outbox: &mut Outbox, n: u8) -> Arc<Terminal> {
        let terminal = opened_as(session_id(n));
        outbox.attach_terminal(terminal.clone(), Some(0));
        outbox.set_flow(terminal.id, MIB as u64, Some(0));
        terminal
    }

    fn say(outbox: &mut Outbox, terminal: &Terminal, len: usize) {
        terminal.keep(&vec![b'x'; len]);
        outbox.advance_terminal(terminal.id);
    }

    fn next(outbox: &mut Outbox) -> String {
        outbox.fill();
        outbox.pop().as_ref().map(kind).unwrap_or_default()
    }

    #[test]
    fn terminals_go_before_commands_and_behind_control() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::of_dir(dir.path().to_owned());
        let mut outbox = Outbox::new();
        attached(&mut outbox, &spool, 1, &vec![b'x'; 200_000]);
        outbox.fill();
        let terminal = with_terminal(&mut outbox, 2);
        say(&mut outbox, &terminal, 100_000);
        outbox.push(ToServer::Disconnect { reason: "test".into() });
        let order: Vec<_> = std::iter::from_fn(|| Some(next(&mut outbox))).take(6).collect();
        // The first command's stream is 1, the terminal's 3.
        assert_eq!(order, ["command_ack", "disconnect", "pty_started", "stream 3", "stream 3", "stream_open"]);
    }

    #[test]
    fn no_more_than_one_message_of_terminals_waits_for_the_link() {
        let mut outbox = Outbox::new();
        let terminals: Vec<_> = (1..=5).map(|n| with_terminal(&mut outbox, n)).collect();
        for terminal in &terminals {
            say(&mut outbox, terminal, MIB / 2);
        }
        outbox.fill();
        outbox.fill();
        assert!(outbox.pop().is_some());
        assert!(outbox.pop().is_none());
    }

    #[test]
    fn the_terminal_that_was_typed_into_answers_first() {
        let mut outbox = Outbox::new();
        let terminals: Vec<_> = (1..=3).map(|n| with_terminal(&mut outbox, n)).collect();
        while !next(&mut outbox).is_empty() {}
        say(&mut outbox, &terminals[0], MIB / 2);
        say(&mut outbox, &terminals[1], MIB / 2);
        assert_eq!([next(&mut outbox), next(&mut outbox)], ["stream 1", "stream 3"]);
        outbox.type_in(&Frame::data(StreamId(5), 0, "x".into(), false)).unwrap();
        say(&mut outbox, &terminals[2], 1);
        assert_eq!([next(&mut outbox), next(&mut outbox)], ["stream 5", "stream 1"]);
        outbox.type_in(&Frame::data(StreamId(3), 0, "x".into(), false)).unwrap();
        outbox.advance_terminal(terminals[1].id);
        assert_eq!([next(&mut outbox), next(&mut outbox)], ["stream 3", "stream 1"]);
    }
}
