//! One output of a command, from its satellite to the store. Credit follows what is buffered, and while a chunk waits for the
//! store, what is stored.

use std::sync::{Arc, Mutex};

use hive_wire::CommandId;
use hive_wire::agent::Channel;
use hive_wire::frame::{Frame, StreamId};
use hive_wire::stream::Receiver;

use crate::Result;
use crate::commands::{CommandLink, Commands};
use crate::links::protocol_violation;
use crate::sync::lock;

/// An output stream of one link.
pub(super) struct OutputStream {
    pub(super) id: StreamId,
    pub(super) command: CommandId,
    pub(super) channel: Channel,
    state: Mutex<OutputState>,
}

struct OutputState {
    receiver: Receiver,
    /// Whether a chunk waits for the store. Until it is stored, the satellite gets no more credit.
    is_queued: bool,
}

/// What is to be done after a frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FrameOutcome {
    /// The new limit for the satellite.
    pub(super) limit: Option<u64>,
    /// Whether a chunk is to be queued for the store.
    pub(super) is_full: bool,
    /// Whether nothing follows.
    pub(super) is_ended: bool,
}

impl OutputStream {
    /// A stream that begins at an offset of its command's output.
    pub(super) fn new(id: StreamId, command: CommandId, channel: Channel, offset: u64) -> Self {
        let receiver = Receiver::resuming_at(offset);
        Self { id, command, channel, state: Mutex::new(OutputState { receiver, is_queued: false }) }
    }

    /// Buffers the output of a frame.
    ///
    /// # Errors
    /// `InvalidInput` where the satellite sends beyond its credit, or leaves a gap.
    pub(super) fn on_frame(&self, commands: &Arc<Commands>, link: &CommandLink, frame: &Frame) -> Result<FrameOutcome> {
        let mut state = lock(&self.state);
        let new = state.receiver.accept(frame).map_err(protocol_violation)?;
        let received = state.receiver.received();
        // `accept` has cut off what was received before.
        let offset = received - new.len() as u64;
        let has_chunk = commands.on_output(link.satellite(), self.command, &self.channel, offset, &new)?;
        let is_full = has_chunk && !state.is_queued;
        state.is_queued |= has_chunk;
        let limit = if state.is_queued { None } else { state.receiver.consumed_to(received) };
        Ok(FrameOutcome { limit, is_full, is_ended: state.receiver.is_ended() })
    }

    /// Notes that the output is stored up to an offset. Returns the new limit for the satellite, and whether another chunk has
    /// become full meanwhile, which is to be queued.
    pub(super) fn on_stored(&self, commands: &Commands, stored: Option<u64>) -> (Option<u64>, bool) {
        let mut state = lock(&self.state);
        // Under the lock: a frame that comes now either is seen here, or finds the stream not queued.
        state.is_queued = commands.has_full_chunk(self.command, &self.channel);
        let consumed = stored.filter(|_| state.is_queued).unwrap_or_else(|| state.receiver.received());
        (state.receiver.consumed_to(consumed), state.is_queued)
    }
}
