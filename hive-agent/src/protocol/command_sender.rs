//! Sends one command's progress over one link: acknowledgement, output of both streams, result, in this order.
//!
//! The result must not overtake output, so it is sent in the lane of the output where there is any. Everything else is
//! a control message.

use hive_wire::CommandId;
use hive_wire::agent::{Channel, CommandResult, Received, ToServer};
use hive_wire::frame::StreamId;

use super::AgentMessage;
use super::channel_sender::ChannelSender;
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
            output.advance(produced, progress.result.is_some());
        }
        self.progress = progress;
    }

    /// Raises the number of bytes that may be sent on a stream.
    pub(super) fn credit(&mut self, stream: StreamId, limit: u64) {
        if let Some(output) = self.outputs.iter_mut().find(|output| output.stream() == Some(stream)) {
            output.credit(limit);
        }
    }

    /// Sends the acknowledgement again: the server has delivered the command again on this link.
    pub(super) fn resend_ack(&mut self) {
        self.has_sent_ack = false;
    }

    /// The streams opened for this command.
    pub(super) fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.outputs.iter().filter_map(ChannelSender::stream)
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
            // The stream keeps its turn while the spool reads its next chunk.
            if self.outputs[n].is_reading() {
                return None;
            }
        }
        let has_output = self.outputs.iter().any(ChannelSender::has_begun);
        if has_output { self.take_result().map(AgentMessage::Control) } else { None }
    }

    /// Whether the spool reads a chunk.
    #[cfg(test)]
    pub(super) fn is_reading(&self) -> bool {
        self.outputs.iter().any(ChannelSender::is_reading)
    }

    fn take_result(&mut self) -> Option<ToServer> {
        let result = self.progress.result.as_ref()?;
        if self.has_sent_result || !self.outputs.iter().all(ChannelSender::is_done) {
            return None;
        }
        self.has_sent_result = true;
        let [stdout, stderr] = [self.outputs[0].delivered(), self.outputs[1].delivered()];
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
mod tests;
