//! What goes out next on one link: control before output, commands in turn, a few messages ahead at most. Output stays in
//! its spool until there is room, so that a slow link holds no memory.

use std::collections::{HashMap, VecDeque};

use hive_wire::CommandId;
use hive_wire::agent::{Channel, Received, ToServer};
use hive_wire::frame::StreamId;
use hive_wire::stream::{Lane, Lanes};
use tokio_tungstenite::tungstenite::Message;
use tracing::error;

use super::resume::{Piece, Resume};
use super::websocket::text;
use crate::dispatch::Dispatch;
use crate::job::Progress;
use crate::spool::Reader;

/// Messages that wait in each lane. While the control lane is full nothing is read from the server; while the output lane
/// is full nothing is read from the spool.
const LANE: usize = 4;

/// The outgoing side of one link.
#[derive(Debug)]
pub(super) struct Outbox {
    lanes: Lanes<Message>,
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
    pub(super) fn push(&mut self, message: Message) {
        if self.lanes.push(Lane::Control, message).is_err() {
            error!("no room for a control message; it is dropped");
        }
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

    /// Fills the lanes from the commands that have something to send, one piece of output a turn.
    pub(super) fn fill(&mut self) {
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
            push(&mut self.lanes, Lane::Control, Piece::Control(message));
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
    pub(super) fn pop(&mut self) -> Option<Message> {
        self.lanes.pop()
    }
}

fn push(lanes: &mut Lanes<Message>, lane: Lane, piece: Piece) {
    let message = match piece {
        Piece::Control(message) => text_of(&message),
        Piece::Data(frame) => Some(Message::Binary(frame.encode())),
    };
    if let Some(message) = message {
        lanes.push(lane, message).expect("the caller looked for room");
    }
}

/// Our own messages always have a JSON form.
fn text_of(message: &ToServer) -> Option<Message> {
    text(message).map_err(|error| error!(?error, "cannot write a message")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
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
        outbox.advance(id(n), Progress { is_started: true, produced, result: Some(result) });
    }

    fn kind(message: &Message) -> String {
        match message {
            Message::Text(text) => {
                serde_json::from_str::<serde_json::Value>(text).unwrap()["type"].as_str().unwrap().into()
            }
            Message::Binary(bytes) => format!("stream {}", bytes[5]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn control_overtakes_output_and_outputs_take_turns() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path().to_owned()).unwrap();
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
        let spool = Spool::open(dir.path().to_owned()).unwrap();
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
}
