//! The receiving side of a stream.

use bytes::Bytes;

use super::INITIAL_WINDOW;
use crate::frame::Frame;

/// A violation of the protocol by a sender.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Bytes are missing in front of the frame.
    #[error("frame at offset {offset} leaves a gap behind {expected}")]
    Gap {
        /// Where the frame begins.
        offset: u64,
        /// Where it should have begun.
        expected: u64,
    },
    /// The frame goes beyond the credit.
    #[error("frame ends at {end}, but the credit ends at {limit}")]
    BeyondCredit {
        /// Where the frame ends.
        end: u64,
        /// Where the credit ends.
        limit: u64,
    },
    /// Bytes behind the end of the stream.
    #[error("frame behind the end of the stream")]
    AfterEnd,
}

/// The state of a stream at its receiver.
#[derive(Debug, Clone)]
pub struct Receiver {
    received: u64,
    limit: u64,
    window: u64,
    is_ended: bool,
}

impl Receiver {
    /// A stream of which the first `offset` bytes are here. After a cut it takes a new one: credit told on the old link
    /// may never have arrived.
    pub fn resuming_at(offset: u64) -> Self {
        Self { received: offset, limit: offset.saturating_add(INITIAL_WINDOW), window: INITIAL_WINDOW, is_ended: false }
    }

    /// A stream of which the first `offset` bytes are here, and whose sender may send up to `limit` and what
    /// [`grant`](Self::grant) adds to that. For those who decide about credit themselves.
    pub fn granting(offset: u64, limit: u64) -> Self {
        Self { limit, ..Self::resuming_at(offset) }
    }

    /// Says that the sender may send up to `limit`. Credit is never taken back.
    pub fn grant(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    /// Accepts a frame and returns its new bytes. A frame that was seen before has none.
    pub fn accept(&mut self, frame: &Frame) -> Result<Bytes, StreamError> {
        if frame.offset > self.received {
            return Err(StreamError::Gap { offset: frame.offset, expected: self.received });
        }
        let end = frame.end();
        if end > self.limit {
            return Err(StreamError::BeyondCredit { end, limit: self.limit });
        }
        if self.is_ended && end > self.received {
            return Err(StreamError::AfterEnd);
        }
        // A frame may be sent again after a reconnect, with other boundaries.
        let known = (self.received - frame.offset).min(frame.payload.len() as u64);
        self.received = self.received.max(end);
        self.is_ended |= frame.is_last && end == self.received;
        Ok(frame.payload.slice(known as usize..))
    }

    /// Notes that the bytes before `consumed` are processed. Returns the new limit for the sender once half of the
    /// window is used, so that credit is sent rarely.
    pub fn consumed_to(&mut self, consumed: u64) -> Option<u64> {
        let limit = consumed.min(self.received).saturating_add(self.window);
        // Behind the end nothing is sent, so that more credit has no use.
        let is_worth_telling = !self.is_ended && limit >= self.limit.saturating_add(self.window / 2);
        is_worth_telling.then(|| {
            self.limit = limit;
            limit
        })
    }

    /// Widens the window, up to [`MAX_WINDOW`](super::MAX_WINDOW), for links with a long round trip.
    pub fn widen(&mut self, window: u64) {
        self.window = window.clamp(self.window, super::MAX_WINDOW);
    }

    /// How many bytes are here, counted from the beginning of the stream.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether the sender has said that nothing follows.
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }
}
