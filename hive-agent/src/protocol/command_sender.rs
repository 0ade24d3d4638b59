//! Sends one command's progress over one link: acknowledgement, output of both streams, result, in this order.
//!
//! The result must not overtake output, so it is sent in the lane of the output where there is any. Everything else is
//! a control message.

use hive_wire::CommandId;
use hive_wire::agent::{Channel, CommandResult, Received, ToServer};
use hive_wire::frame::{Frame, StreamId};
use hive_wire::stream::{INITIAL_WINDOW, Sender};
use tracing::warn;

use super::AgentMessage;
use crate::dispatcher::ExecutionProgress;
use crate::spool::SpoolReader;

/// What was sent of one command over this link.
#[derive(Debug)]
pub(super) struct CommandSender {
    id: CommandId,
    progress: ExecutionProgress,
    outputs: [ChannelSender; 2],
    is_stderr_next: bool,
    has_sent_ack: bool,
    pub(super) has_sent_result: bool,
}

#[derive(Debug)]
struct ChannelSender {
    channel: Channel,
    reader: SpoolReader,
    sender: Sender,
    /// Opened just before the first byte. A command without output opens no stream.
    stream: Option<StreamId>,
    produced: u64,
    /// The offset up to which the server has the output, or will have it once everything queued has arrived.
    delivered: u64,
    /// The spool cannot be read; the rest of the output is lost.
    is_broken: bool,
}

impl ChannelSender {
    fn resuming_at(offset: u64, channel: Channel, mut reader: SpoolReader) -> Self {
        // A spool that keeps output in memory may drop what the server has.
        reader.acknowledge(offset);
        Self {
            channel,
            reader,
            sender: Sender::resuming_at(offset),
            stream: None,
            produced: 0,
            delivered: offset,
            is_broken: false,
        }
    }

    fn has_begun(&self) -> bool {
        self.stream.is_some()
    }

    /// Whether everything was sent, provided that no more is produced.
    fn is_done(&self) -> bool {
        // A stream without new bytes is never opened, so there is no last frame to wait for.
        let has_nothing_new = !self.has_begun() && self.produced <= self.delivered;
        has_nothing_new || self.is_broken || self.sender.is_done()
    }

    fn next(&mut self, id: CommandId, new_stream: impl FnOnce() -> StreamId) -> Option<AgentMessage> {
        if self.is_broken {
            return None;
        }
        let Some(stream) = self.stream else {
            let has_new_output = self.produced > self.delivered;
            return has_new_output.then(|| {
                let stream = *self.stream.insert(new_stream());
                AgentMessage::Control(ToServer::StreamOpen {
                    stream,
                    command_id: id,
                    channel: self.channel.clone(),
                    offset: self.delivered,
                })
            });
        };
        let chunk = self.sender.next_chunk()?;
        match self.reader.read(chunk.offset, chunk.len) {
            Ok(bytes) => {
                self.delivered = chunk.offset + chunk.len as u64;
                Some(AgentMessage::Data(Frame::data(stream, chunk.offset, bytes, chunk.is_last)))
            }
            Err(error) => {
                warn!(command.id = %id, %error, "cannot read a command's output; the rest of it is lost");
                self.is_broken = true;
                None
            }
        }
    }
}

impl CommandSender {
    /// Starts to send a command of which the server has `received` so much output.
    pub(super) fn new(id: CommandId, received: Received, readers: [SpoolReader; 2]) -> Self {
        let [stdout, stderr] = readers;
        Self {
            id,
            progress: ExecutionProgress::default(),
            outputs: [
                ChannelSender::resuming_at(received.stdout, Channel::Stdout, stdout),
                ChannelSender::resuming_at(received.stderr, Channel::Stderr, stderr),
            ],
            is_stderr_next: false,
            has_sent_ack: false,
            has_sent_result: false,
        }
    }

    /// Updates the command's progress.
    pub(super) fn advance(&mut self, progress: ExecutionProgress) {
        let Received { stdout, stderr } = progress.produced;
        for (output, produced) in self.outputs.iter_mut().zip([stdout, stderr]) {
            output.produced = produced;
            output.sender.produced_to(produced);
            if progress.result.is_some() {
                // The sender marks its last frame, so that the server knows the end of the stream without the result.
                output.sender.finish();
            }
        }
        self.progress = progress;
    }

    /// Raises the number of bytes that may be sent on a stream.
    pub(super) fn credit(&mut self, stream: StreamId, limit: u64) {
        if let Some(output) = self.outputs.iter_mut().find(|output| output.stream == Some(stream)) {
            output.sender.credit(limit);
            // The server raises the limit only for bytes that it has stored, so the spool may drop them.
            output.reader.acknowledge(limit.saturating_sub(INITIAL_WINDOW));
        }
    }

    /// Sends the acknowledgement again: the server has delivered the command again on this link.
    pub(super) fn resend_ack(&mut self) {
        self.has_sent_ack = false;
    }

    /// The streams opened for this command.
    pub(super) fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.outputs.iter().filter_map(|output| output.stream)
    }

    /// The next message that may overtake output.
    pub(super) fn next_control(&mut self) -> Option<ToServer> {
        if self.progress.is_started && !self.has_sent_ack {
            self.has_sent_ack = true;
            let journal_position = self.progress.journal_position;
            return Some(ToServer::CommandAck { id: self.id, journal_position });
        }
        // Without output there is nothing that the result could overtake.
        let has_no_output = !self.outputs.iter().any(ChannelSender::has_begun);
        if has_no_output { self.take_result() } else { None }
    }

    /// The next chunk of output, or the result behind the last one.
    pub(super) fn next_output(&mut self, mut new_stream: impl FnMut() -> StreamId) -> Option<AgentMessage> {
        let first = usize::from(self.is_stderr_next);
        for n in [first, 1 - first] {
            if let Some(piece) = self.outputs[n].next(self.id, &mut new_stream) {
                // After a `stream_open` the same stream keeps its turn, so that its first bytes follow directly.
                self.is_stderr_next = (n == 1) == matches!(piece, AgentMessage::Control(_));
                return Some(piece);
            }
        }
        let has_output = self.outputs.iter().any(ChannelSender::has_begun);
        if has_output { self.take_result().map(AgentMessage::Control) } else { None }
    }

    fn take_result(&mut self) -> Option<ToServer> {
        let result = self.progress.result.as_ref()?;
        if self.has_sent_result || !self.outputs.iter().all(ChannelSender::is_done) {
            return None;
        }
        self.has_sent_result = true;
        let [stdout, stderr] = [self.outputs[0].delivered, self.outputs[1].delivered];
        // Output that was produced but cannot be read any more counts as truncated.
        let is_cut = stdout < result.sent.stdout || stderr < result.sent.stderr;
        Some(ToServer::CommandResult(CommandResult {
            sent: Received { stdout, stderr },
            truncated: result.truncated || is_cut,
            ..result.clone()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Spool;
    use hive_wire::api::CommandStatus;
    use hive_wire::id::Seed;

    struct SenderRig {
        _dir: tempfile::TempDir,
        spool: Spool,
        id: CommandId,
        streams: u32,
    }

    fn rig() -> SenderRig {
        let dir = tempfile::tempdir().unwrap();
        SenderRig {
            spool: Spool::of_dir(dir.path().to_owned()),
            id: CommandId::new(Seed { unix_millis: 1, random: [1; 10] }),
            _dir: dir,
            streams: 1,
        }
    }

    impl SenderRig {
        fn write(&self, stdout: &[u8], stderr: &[u8]) {
            self.spool.writer(self.id, Channel::Stdout).append(stdout);
            self.spool.writer(self.id, Channel::Stderr).append(stderr);
        }

        fn resume(&self, received: Received) -> CommandSender {
            let reader = |channel| self.spool.reader(self.id, channel);
            CommandSender::new(self.id, received, [reader(Channel::Stdout), reader(Channel::Stderr)])
        }

        fn progress(&self, is_ended: bool) -> ExecutionProgress {
            let produced = self.spool.stored_len(self.id);
            let result = CommandResult {
                id: self.id,
                status: CommandStatus::Succeeded,
                exit_code: Some(0),
                duration_ms: 1,
                sent: produced,
                truncated: false,
                error: None,
            };
            ExecutionProgress { is_started: true, journal_position: None, produced, result: is_ended.then_some(result) }
        }

        /// Everything that is sent now, one word per message.
        fn sent(&mut self, resume: &mut CommandSender) -> Vec<String> {
            let mut sent = Vec::new();
            while let Some(control) = resume.next_control() {
                sent.push(describe(&AgentMessage::Control(control)));
            }
            let mut new_stream = || {
                self.streams += 2;
                StreamId(self.streams - 2)
            };
            while let Some(piece) = resume.next_output(&mut new_stream) {
                sent.push(describe(&piece));
            }
            sent
        }
    }

    fn describe(piece: &AgentMessage) -> String {
        match piece {
            AgentMessage::Control(ToServer::CommandAck { .. }) => "ack".into(),
            AgentMessage::Control(ToServer::StreamOpen { stream, offset, channel, .. }) => {
                format!("open {stream} {channel:?} {offset}")
            }
            AgentMessage::Control(ToServer::CommandResult(result)) => {
                let cut = if result.truncated { " cut" } else { "" };
                format!("result {} {}{cut}", result.sent.stdout, result.sent.stderr)
            }
            AgentMessage::Ping => panic!("a ping"),
            AgentMessage::Control(other) => panic!("{other:?}"),
            AgentMessage::Data(frame) => {
                let end = if frame.is_last { " last" } else { "" };
                format!("data {} {}+{}{end}", frame.stream, frame.offset, frame.payload.len())
            }
        }
    }

    fn received(stdout: u64, stderr: u64) -> Received {
        Received { stdout, stderr }
    }

    #[test]
    fn a_silent_command_needs_two_messages() {
        let mut rig = rig();
        let mut resume = rig.resume(received(0, 0));
        resume.advance(rig.progress(true));
        assert_eq!(rig.sent(&mut resume), ["ack", "result 0 0"]);
        assert_eq!(rig.sent(&mut resume), [""; 0]);
    }

    #[test]
    fn output_goes_before_the_result() {
        let mut rig = rig();
        rig.write(b"hello", b"oops!!");
        let mut resume = rig.resume(received(0, 0));
        resume.advance(rig.progress(false));
        assert_eq!(rig.sent(&mut resume), ["ack", "open 1 Stdout 0", "data 1 0+5", "open 3 Stderr 0", "data 3 0+6"]);
        resume.advance(rig.progress(true));
        assert_eq!(rig.sent(&mut resume), ["data 1 5+0 last", "data 3 6+0 last", "result 5 6"]);
    }

    #[test]
    fn what_the_server_has_is_not_sent_again() {
        let mut rig = rig();
        rig.write(b"hello", b"oops!!");
        let mut resume = rig.resume(received(3, 6));
        resume.advance(rig.progress(true));
        assert_eq!(rig.sent(&mut resume), ["ack", "open 1 Stdout 3", "data 1 3+2 last", "result 5 6"]);
    }

    #[test]
    fn no_more_is_sent_than_there_is_credit() {
        let mut rig = rig();
        let window = INITIAL_WINDOW as usize;
        rig.write(&vec![b'x'; window + 10], b"");
        let mut resume = rig.resume(received(0, 0));
        resume.advance(rig.progress(true));
        let sent = rig.sent(&mut resume);
        assert_eq!(sent.last().unwrap(), &format!("data 1 {}+65536", window - 65536));
        resume.credit(StreamId(9), u64::MAX);
        assert_eq!(rig.sent(&mut resume), [""; 0]);
        resume.credit(StreamId(1), INITIAL_WINDOW + 4);
        assert_eq!(rig.sent(&mut resume), [format!("data 1 {window}+4")]);
        resume.credit(StreamId(1), INITIAL_WINDOW * 2);
        assert_eq!(
            rig.sent(&mut resume),
            [format!("data 1 {}+6 last", window + 4), format!("result {} 0", window + 10)]
        );
    }

    #[test]
    fn output_that_is_lost_is_said_to_be_cut() {
        let mut rig = rig();
        rig.write(b"hello", b"");
        let progress = rig.progress(true);
        rig.spool.remove(rig.id);
        let mut resume = rig.resume(received(2, 0));
        resume.advance(progress.clone());
        assert_eq!(rig.sent(&mut resume), ["ack", "open 1 Stdout 2", "result 2 0 cut"]);
        let mut resume = rig.resume(received(2, 0));
        resume.advance(ExecutionProgress { produced: received(0, 0), ..progress });
        assert_eq!(rig.sent(&mut resume), ["ack", "result 2 0 cut"]);
    }
}
