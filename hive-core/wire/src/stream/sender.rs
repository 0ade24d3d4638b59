//! The sending side of a stream.

use super::INITIAL_WINDOW;
use crate::frame::MAX_PAYLOAD;

/// The next piece to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// The offset of its first byte.
    pub offset: u64,
    /// How many bytes; zero only for a last piece that says "no more".
    pub len: usize,
    /// Whether the stream ends with it.
    pub is_last: bool,
}

/// The state of a stream at its sender.
#[derive(Debug, Clone)]
pub struct Sender {
    produced: u64,
    sent: u64,
    limit: u64,
    is_finished: bool,
    is_last_sent: bool,
}

impl Sender {
    /// A stream of which the receiver has the first `offset` bytes.
    pub fn resuming_at(offset: u64) -> Self {
        Self {
            produced: offset,
            sent: offset,
            limit: offset.saturating_add(INITIAL_WINDOW),
            is_finished: false,
            is_last_sent: false,
        }
    }

    /// A stream of which the receiver has the first `offset` bytes, and that sends nothing before it gets credit.
    pub fn without_credit(offset: u64) -> Self {
        Self { limit: offset, ..Self::resuming_at(offset) }
    }

    /// Goes on at `offset`, because what lies before it cannot be had any more.
    pub fn skip_to(&mut self, offset: u64) {
        self.sent = self.sent.max(offset);
        self.produced = self.produced.max(offset);
    }

    /// Says that the source has `end` bytes by now. A smaller number than before is ignored.
    pub fn produced_to(&mut self, end: u64) {
        if !self.is_finished {
            self.produced = self.produced.max(end);
        }
    }

    /// Says that the source has ended.
    pub fn finish(&mut self) {
        self.is_finished = true;
    }

    /// Takes the receiver's word that bytes before `limit` may be sent. Credit is never taken back.
    pub fn credit(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    /// Takes the next piece to send; `None` where there is nothing to send, or no credit to send it.
    pub fn next_chunk(&mut self) -> Option<Chunk> {
        // `skip_to` may have moved `sent` beyond the credit.
        let ready = self.produced.min(self.limit).saturating_sub(self.sent);
        let len = ready.min(MAX_PAYLOAD as u64);
        let is_last = self.is_finished && self.sent + len == self.produced;
        // An empty chunk is sent once, as the end of a stream whose bytes were all sent before it ended.
        if len == 0 && (!is_last || self.is_last_sent) {
            return None;
        }
        let chunk = Chunk { offset: self.sent, len: len as usize, is_last };
        self.sent += len;
        self.is_last_sent = is_last;
        Some(chunk)
    }

    /// Whether everything was sent, the end included.
    pub fn is_done(&self) -> bool {
        self.is_last_sent
    }

    /// How many bytes were sent, counted from the beginning of the stream.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}
