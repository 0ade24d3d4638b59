//! The commands of a fake satellite: `true` ends at once, `head -c N /dev/zero` says N bytes, and anything else is not found, as a
//! shell without programs would have it. Decides without I/O.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use hive_wire::CommandId;
use hive_wire::agent::{Channel, Command, CommandResult, MAX_OUTPUT, Payload, Received, ToAgent, ToServer};
use hive_wire::api::CommandStatus;
use hive_wire::frame::{Frame, MAX_PAYLOAD, StreamId};
use hive_wire::stream::Sender;

use crate::message::{FromHive, FromSatellite};

/// What every output is cut from.
static ZEROS: [u8; MAX_PAYLOAD] = [0; MAX_PAYLOAD];

/// The commands of one satellite. Methods return what the satellite says.
#[derive(Debug, Default)]
pub struct FakeCommands {
    /// Which it has run: its journal.
    ran: HashSet<CommandId>,
    ready: VecDeque<ToServer>,
    outputs: VecDeque<Output>,
    streams: u32,
}

/// A command that still has something to say.
#[derive(Debug)]
struct Output {
    stream: StreamId,
    sender: Sender,
    result: CommandResult,
}

impl FakeCommands {
    /// Whether it has run this command.
    pub fn has_run(&self, id: CommandId) -> bool {
        self.ran.contains(&id)
    }

    /// Answers a message.
    pub fn on_message(&mut self, message: &FromHive) -> Vec<FromSatellite> {
        match message {
            FromHive::Control(ToAgent::Command(command)) => self.begin(command),
            FromHive::Control(ToAgent::StreamCredit { stream, limit }) => self.credit(*stream, *limit),
            _ => return Vec::new(),
        }
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Begins on a new link, on which the hive asks again for what it has not got.
    pub(super) fn relink(&mut self) {
        let ran = std::mem::take(&mut self.ran);
        *self = Self { ran, ..Self::default() };
    }

    /// Acknowledges a command, and says what it said before where the hive has not got all of that.
    fn begin(&mut self, command: &Command) {
        let Command { id, received, ref payload, .. } = *command;
        let result = run(id, payload);
        self.ran.insert(id);
        self.ready.push_back(ToServer::CommandAck { id, journal_position: None });
        if received.stdout >= result.sent.stdout {
            self.ready.push_back(ToServer::CommandResult(result));
            return;
        }
        // A satellite's streams have odd numbers, each used once per link (wire-protocol.md).
        let stream = StreamId(2 * self.streams + 1);
        self.streams += 1;
        let offset = received.stdout;
        self.ready.push_back(ToServer::StreamOpen { stream, command_id: id, channel: Channel::Stdout, offset });
        let mut sender = Sender::resuming_at(offset);
        sender.produced_to(result.sent.stdout);
        sender.finish();
        self.outputs.push_back(Output { stream, sender, result });
    }

    /// Lets a stream go on.
    fn credit(&mut self, stream: StreamId, limit: u64) {
        if let Some(output) = self.outputs.iter_mut().find(|output| output.stream == stream) {
            output.sender.credit(limit);
        }
    }

    /// Takes the next message to send; nothing where there is none, or no credit for it.
    fn next(&mut self) -> Option<FromSatellite> {
        if let Some(message) = self.ready.pop_front() {
            return Some(message.into());
        }
        for place in 0..self.outputs.len() {
            let output = &mut self.outputs[place];
            // One without credit must not hold up those behind it.
            let Some(chunk) = output.sender.next_chunk() else { continue };
            let payload = Bytes::from_static(&ZEROS[..chunk.len]);
            let frame = Frame::data(output.stream, chunk.offset, payload, chunk.is_last);
            if chunk.is_last {
                // The result follows the last byte of the output.
                let done = self.outputs.remove(place)?;
                self.ready.push_back(ToServer::CommandResult(done.result));
            }
            return Some(frame.into());
        }
        None
    }
}

/// How a command ends. The same whenever it is asked, so that an answer may be given again.
fn run(id: CommandId, payload: &Payload) -> CommandResult {
    let (exit_code, bytes) = match payload {
        Payload::Exec(spec) => {
            let args = spec.args.iter().flatten().map(String::as_str);
            meaning(&spec.command.split_whitespace().chain(args).collect::<Vec<_>>())
        }
        _ => (0, 0),
    };
    CommandResult {
        id,
        status: if exit_code == 0 { CommandStatus::Succeeded } else { CommandStatus::Failed },
        exit_code: Some(exit_code),
        duration_ms: 0,
        sent: Received { stdout: bytes.min(MAX_OUTPUT), stderr: 0 },
        truncated: bytes > MAX_OUTPUT,
        error: None,
    }
}

/// The exit code of a line, and how many bytes it says.
fn meaning(words: &[&str]) -> (i32, u64) {
    match words {
        ["true"] => (0, 0),
        ["head", "-c", count, "/dev/zero"] => count.parse().map_or((1, 0), |count| (0, count)),
        _ => (127, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::agent::ExecSpec;
    use hive_wire::id::Seed;

    fn command(line: &str, received: u64) -> ToAgent {
        ToAgent::Command(Box::new(Command {
            id: CommandId::new(Seed { unix_millis: 1, random: [1; 10] }),
            expires_in_ms: 1000,
            sent_at: None,
            started: false,
            received: Received { stdout: received, stderr: 0 },
            payload: Payload::Exec(ExecSpec { command: line.into(), ..ExecSpec::default() }),
        }))
    }

    /// What is said to a message: the number of messages, the bytes of output, and the last message.
    fn said(commands: &mut FakeCommands, message: ToAgent) -> (usize, usize, String) {
        let (mut messages, mut bytes, mut last) = (0, 0, String::new());
        for message in commands.on_message(&FromHive::Control(message)) {
            messages += 1;
            match message {
                FromSatellite::Frame(frame) => bytes += frame.payload.len(),
                FromSatellite::Control(message) => last = serde_json::to_string(&message).unwrap(),
            }
        }
        (messages, bytes, last)
    }

    #[test]
    fn a_silent_command_ends_at_once() {
        let mut commands = FakeCommands::default();
        let (messages, bytes, last) = said(&mut commands, command("true", 0));
        assert_eq!((messages, bytes), (2, 0));
        assert!(last.contains("succeeded"), "{last}");
        assert!(said(&mut commands, command("reboot", 0)).2.contains("127"));
    }

    #[test]
    fn output_waits_for_credit_and_goes_on_where_it_stopped() {
        let mut commands = FakeCommands::default();
        let (_, bytes, last) = said(&mut commands, command("head -c 300000 /dev/zero", 0));
        assert!(bytes < 300_000 && !last.contains("command_result"), "{bytes} {last}");
        let credit = ToAgent::StreamCredit { stream: StreamId(1), limit: 1 << 20 };
        let (_, rest, last) = said(&mut commands, credit);
        assert_eq!(bytes + rest, 300_000);
        assert!(last.contains("command_result"), "{last}");

        assert_eq!(said(&mut commands, command("head -c 300000 /dev/zero", 299_999)).1, 1);
        assert_eq!(said(&mut commands, command("head -c 300000 /dev/zero", 300_000)).1, 0);
    }
}
