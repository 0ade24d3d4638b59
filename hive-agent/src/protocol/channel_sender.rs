//! Sends one output of a command over one link, as a stream with credit.

use hive_wire::CommandId;
use hive_wire::agent::{Channel, ToServer};
use hive_wire::frame::{Frame, StreamId};
use hive_wire::stream::{Chunk, INITIAL_WINDOW, Sender};
use tracing::warn;

use super::AgentMessage;
use crate::spool::SpoolReader;
use crate::system_error;

/// What was sent of one output over this link.
#[derive(Debug)]
pub(super) struct ChannelSender {
    channel: Channel,
    reader: SpoolReader,
    sender: Sender,
    /// The next chunk, while the spool reads it.
    reading: Option<Chunk>,
    /// Opened just before the first byte. A command without output opens no stream.
    stream: Option<StreamId>,
    produced: u64,
    /// The offset up to which the server has the output, or will have it once everything queued has arrived.
    delivered: u64,
    /// The spool cannot be read; the rest of the output is lost.
    is_broken: bool,
}

impl ChannelSender {
    pub(super) fn resuming_at(offset: u64, channel: Channel, mut reader: SpoolReader) -> Self {
        // A spool that keeps output in memory may drop what the server has.
        reader.acknowledge(offset);
        Self {
            channel,
            reader,
            sender: Sender::resuming_at(offset),
            reading: None,
            stream: None,
            produced: 0,
            delivered: offset,
            is_broken: false,
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.stream.is_some()
    }

    /// Whether everything was sent, provided that no more is produced.
    pub(super) fn is_done(&self) -> bool {
        // A stream without new bytes is never opened, so there is no last frame to wait for.
        let has_nothing_new = !self.has_begun() && self.produced <= self.delivered;
        has_nothing_new || self.is_broken || (self.sender.is_done() && self.reading.is_none())
    }

    /// The next message. `None` also while the spool reads: the command is then marked as one with progress.
    pub(super) fn next(&mut self, id: CommandId, new_stream: impl FnOnce() -> StreamId) -> Option<AgentMessage> {
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
        let chunk = self.reading.take().or_else(|| self.sender.next_chunk())?;
        let Some(read) = self.reader.read(chunk.offset, chunk.len) else {
            self.reading = Some(chunk);
            return None;
        };
        match read {
            Ok(bytes) => {
                self.delivered = chunk.offset + chunk.len as u64;
                Some(AgentMessage::Data(Frame::data(stream, chunk.offset, bytes, chunk.is_last)))
            }
            Err(error) => {
                let cause = system_error::text(&error);
                warn!(command.id = %id, "the output of a command cannot be read, and the rest of it is lost: {cause}");
                self.is_broken = true;
                None
            }
        }
    }

    /// Whether the spool reads the next chunk.
    pub(super) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Updates the length of the output. With `is_complete` no more is produced.
    pub(super) fn advance(&mut self, produced: u64, is_complete: bool) {
        self.produced = produced;
        self.sender.produced_to(produced);
        if is_complete {
            // The sender marks its last frame, so that the server knows the end of the stream without the result.
            self.sender.finish();
        }
    }

    /// Raises the number of bytes that may be sent.
    pub(super) fn credit(&mut self, limit: u64) {
        self.sender.credit(limit);
        // The server raises the limit only for bytes that it has stored, so the spool may drop them.
        self.reader.acknowledge(limit.saturating_sub(INITIAL_WINDOW));
    }

    /// The stream, once it is opened.
    pub(super) fn stream(&self) -> Option<StreamId> {
        self.stream
    }

    /// The offset up to which the server has the output, or will have it once everything queued has arrived.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }
}
