//! The output of a session: how much is kept, how much more may be read, and what a link sends next.

use bytes::{Bytes, BytesMut};
use hive_wire::session::SCROLLBACK;
use hive_wire::stream::{Ring, Sender};

/// Room that stays free for the last output of the program while a claim holds the buffer. The kernel's buffer is
/// smaller.
const RESERVE: u64 = 128 * 1024;
/// How much may be read before the server has set a limit.
const FIRST_LIMIT: u64 = 64 * 1024;
/// How far before the end a server starts that has no output: a screen with its colours.
const SCREENFUL: u64 = 64 * 1024;

/// The output of one session, by offset.
#[derive(Debug)]
pub(crate) struct OutputRing {
    ring: Ring,
    /// The offset up to which the server lets output be read.
    limit: u64,
    /// The first byte that a claim needs.
    keep: Option<u64>,
}

/// What is sent next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OutputPiece {
    /// Bytes that were dropped before they could be sent.
    Gap { from: u64, to: u64 },
    /// A chunk of output.
    Data { offset: u64, bytes: Bytes },
}

impl OutputRing {
    /// No output yet. The first bytes are claimed until the server says otherwise.
    pub(crate) fn new() -> Self {
        Self { ring: Ring::starting_at(0, SCROLLBACK), limit: FIRST_LIMIT, keep: Some(0) }
    }

    /// The offset behind the last byte.
    pub(crate) fn end(&self) -> u64 {
        self.ring.end()
    }

    /// The first byte that a claim needs.
    pub(crate) fn keep(&self) -> Option<u64> {
        self.keep
    }

    /// Sets the offset up to which output may be read, and the first byte that a claim needs.
    pub(crate) fn set_flow(&mut self, limit: u64, keep: Option<u64>) {
        // Taken as it is, also if it is lower: a restarted server does not know the earlier limit.
        self.limit = limit;
        self.keep = keep;
    }

    /// Releases the claim.
    pub(crate) fn release(&mut self) {
        self.keep = None;
    }

    /// How many bytes may be read from the program now. Without a claim the program is never blocked.
    pub(crate) fn room(&self) -> u64 {
        match self.kept_to() {
            None => u64::MAX,
            Some(kept_to) => self.limit.min(kept_to - RESERVE).saturating_sub(self.end()),
        }
    }

    /// How many bytes may be read after the program has ended: as much as fits without dropping claimed bytes.
    pub(crate) fn final_room(&self) -> u64 {
        self.kept_to().map_or(u64::MAX, |kept_to| kept_to.saturating_sub(self.end()))
    }

    /// The offset at which the ring is full of claimed bytes.
    fn kept_to(&self) -> Option<u64> {
        self.keep.map(|keep| keep.clamp(self.ring.start(), self.end()) + SCROLLBACK as u64)
    }

    /// Adds bytes that were read.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.ring.append(bytes);
    }

    /// The offset at which a link starts to send. `received` is what the server has, `None` if it has nothing.
    pub(crate) fn resume_offset(&self, received: Option<u64>) -> u64 {
        // Without a claim there is no offset to continue at, so the server gets about one screen.
        let screenful = || self.end().saturating_sub(SCREENFUL).max(self.ring.start());
        received.or(self.keep).unwrap_or_else(screenful).min(self.end())
    }

    /// Takes what is sent next. `None` without new output or credit.
    pub(crate) fn next(&self, sender: &mut Sender) -> Option<OutputPiece> {
        let (from, to) = (sender.sent(), self.ring.start());
        if from < to {
            // The gap is sent once, and the sender continues behind it.
            sender.skip_to(to);
            return Some(OutputPiece::Gap { from, to });
        }
        sender.produced_to(self.end());
        let chunk = sender.next_chunk()?;
        Some(OutputPiece::Data { offset: chunk.offset, bytes: self.gather(chunk.offset, chunk.len) })
    }

    /// The bytes as one chunk. They are copied only where they span two segments of the ring.
    fn gather(&self, offset: u64, len: usize) -> Bytes {
        let read = |offset, len| self.ring.read(offset, len).expect("what lies behind the ring's start is there");
        let first = read(offset, len);
        // The usual case: a reference into the ring, without a copy.
        if first.len() == len {
            return first;
        }
        let mut all = BytesMut::with_capacity(len);
        all.extend_from_slice(&first);
        while all.len() < len {
            all.extend_from_slice(&read(offset + all.len() as u64, len - all.len()));
        }
        all.freeze()
    }
}

#[cfg(test)]
mod tests;
