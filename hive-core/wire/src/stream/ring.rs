//! The end of a stream, kept for those who come back or come later.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Bytes of one allocation. Full ones are shared by all who read them.
const CHUNK: usize = 64 * 1024;

/// The last bytes of a stream, by offset. Appending to a full one drops the oldest.
#[derive(Debug, Default)]
pub struct Ring {
    full: VecDeque<Bytes>,
    /// The bytes behind the full chunks.
    tail: BytesMut,
    /// The offset of the first byte.
    start: u64,
    end: u64,
    capacity: u64,
}

/// Bytes that were wanted are not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what comes before {start} is not kept any more")]
pub struct Missing {
    /// The offset of the first byte that is there.
    pub start: u64,
}

impl Ring {
    /// A ring whose first byte will be the one at `offset`, and that keeps at least `capacity` bytes and less than a
    /// sixteenth of a MiB more.
    pub fn starting_at(offset: u64, capacity: usize) -> Self {
        Self { start: offset, end: offset, capacity: capacity as u64, ..Self::default() }
    }

    /// The offset of the first byte that is kept.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The offset behind the last byte.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Adds bytes behind the last one.
    pub fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.tail.len()));
            self.tail.extend_from_slice(now);
            self.end += now.len() as u64;
            bytes = later;
            if self.tail.len() == CHUNK {
                self.full.push_back(self.tail.split().freeze());
            }
        }
        // Whole chunks only, and only while the rest still has the capacity.
        while let Some(oldest) = self.full.front()
            && self.end - self.start >= self.capacity + oldest.len() as u64
        {
            self.start += oldest.len() as u64;
            self.full.pop_front();
        }
    }

    /// Forgets everything and goes on at `offset`: what lies between is lost.
    pub fn skip_to(&mut self, offset: u64) {
        self.full.clear();
        self.tail.clear();
        self.start = offset;
        self.end = offset;
    }

    /// Returns bytes from `from` on, at most `limit`; none where nothing follows yet.
    ///
    /// # Errors
    /// [`Missing`] where the byte at `from` was dropped.
    pub fn read(&self, from: u64, limit: usize) -> Result<Bytes, Missing> {
        if from < self.start {
            return Err(Missing { start: self.start });
        }
        let mut offset = from - self.start;
        for chunk in &self.full {
            let len = chunk.len() as u64;
            if offset < len {
                let end = chunk.len().min(offset as usize + limit);
                return Ok(chunk.slice(offset as usize..end));
            }
            offset -= len;
        }
        let begin = (offset as usize).min(self.tail.len());
        let end = self.tail.len().min(begin + limit);
        // The tail still grows, so that its memory cannot be shared.
        Ok(Bytes::copy_from_slice(&self.tail[begin..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(ring: &Ring, mut from: u64) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let piece = ring.read(from, 10_000).unwrap();
            if piece.is_empty() {
                return all;
            }
            from += piece.len() as u64;
            all.extend_from_slice(&piece);
        }
    }

    #[test]
    fn what_was_dropped_is_missed_and_not_made_up() {
        let mut ring = Ring::starting_at(10, CHUNK);
        ring.append(&vec![1; 3 * CHUNK]);
        assert_eq!(ring.end(), 10 + 3 * CHUNK as u64);
        assert_eq!(ring.read(10, 1), Err(Missing { start: ring.start() }));
        assert_eq!(ring.end() - ring.start(), CHUNK as u64);
        assert_eq!(ring.read(ring.end() + 5, 10).unwrap(), "");
    }

    #[test]
    fn a_skip_leaves_nothing_of_what_was_before() {
        let mut ring = Ring::starting_at(0, CHUNK);
        ring.append(b"before");
        ring.skip_to(100);
        ring.append(b"after");
        assert!(ring.read(3, 10).is_err());
        assert_eq!(ring.read(100, 10).unwrap(), "after");
    }

    proptest! {
        #[test]
        fn a_ring_gives_back_what_it_keeps(pieces in proptest::collection::vec(0usize..100_000, 0..20), start in 0u64..1000) {
            let mut ring = Ring::starting_at(start, 200_000);
            let mut all = Vec::new();
            for (n, len) in pieces.into_iter().enumerate() {
                let piece: Vec<u8> = (0..len).map(|byte| (byte * 7 + n) as u8).collect();
                ring.append(&piece);
                all.extend_from_slice(&piece);
                let kept = (ring.end() - ring.start()) as usize;
                prop_assert_eq!(ring.end() - start, all.len() as u64);
                prop_assert!(kept >= all.len().min(200_000) && kept < 200_000 + CHUNK);
                prop_assert_eq!(&read_all(&ring, ring.start())[..], &all[all.len() - kept..]);
            }
        }
    }
}
