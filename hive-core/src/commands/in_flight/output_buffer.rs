//! The output of one stream that is not stored yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, Bytes, BytesMut};

/// Output of one stream that is buffered before it is stored.
pub(super) const CHUNK: usize = 64 * 1024;
/// Shorter frames are put together: a segment of its own costs more than a few bytes are worth.
const SHORT: usize = 1024;
/// The length at which frames that were put together become a segment.
const SEGMENT: usize = 4 * 1024;

/// The bytes in all buffers together.
#[derive(Debug, Clone, Default)]
pub(super) struct BufferedBytes(Arc<AtomicUsize>);

impl BufferedBytes {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The end of one output: everything before `offset` is stored.
///
/// The bytes are in segments that are shared with readers and with the store, so that none is copied while a lock is held.
pub(super) struct OutputBuffer {
    offset: u64,
    len: usize,
    segments: VecDeque<Bytes>,
    /// Short frames behind the segments.
    tail: BytesMut,
    total: BufferedBytes,
}

/// Buffered bytes of one stream, from an offset on.
#[derive(Debug)]
pub(crate) struct OutputChunk {
    pub(crate) offset: u64,
    segments: Vec<Bytes>,
}

impl OutputChunk {
    /// Returns the bytes in one piece. It copies them, so no lock should be held.
    pub(crate) fn into_bytes(mut self) -> Bytes {
        if self.segments.len() == 1 {
            return self.segments.remove(0);
        }
        self.segments.concat().into()
    }
}

/// Returns bytes that keep no more than themselves in memory. A frame may share its memory with all that was read from the socket
/// together with it. Short ones are copied when they are added.
pub(super) fn detached(bytes: &Bytes) -> Bytes {
    if bytes.len() < SHORT { bytes.clone() } else { Bytes::copy_from_slice(bytes) }
}

impl OutputBuffer {
    pub(super) fn starting_at(offset: u64, total: BufferedBytes) -> Self {
        Self { offset, len: 0, segments: VecDeque::new(), tail: BytesMut::new(), total }
    }

    pub(super) fn end(&self) -> u64 {
        self.offset + self.len as u64
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_full(&self) -> bool {
        self.len >= CHUNK
    }

    /// Adds the new part of bytes that begin at or before the end.
    pub(super) fn add(&mut self, offset: u64, mut bytes: Bytes) {
        // After a reconnect a satellite may send again what has arrived already.
        let known = self.end().saturating_sub(offset).min(bytes.len() as u64);
        bytes.advance(known as usize);
        self.len += bytes.len();
        self.total.0.fetch_add(bytes.len(), Ordering::Relaxed);
        if bytes.len() < SHORT {
            self.tail.extend_from_slice(&bytes);
            if self.tail.len() >= SEGMENT {
                self.segments.push_back(self.tail.split().freeze());
            }
            return;
        }
        if !self.tail.is_empty() {
            self.segments.push_back(self.tail.split().freeze());
        }
        self.segments.push_back(bytes);
    }

    /// Drops the bytes before `end`.
    pub(super) fn drop_until(&mut self, end: u64) {
        let dropped = (end.saturating_sub(self.offset) as usize).min(self.len);
        self.offset += dropped as u64;
        self.len -= dropped;
        self.total.0.fetch_sub(dropped, Ordering::Relaxed);
        let mut left = dropped;
        while left > 0 {
            match self.segments.front_mut() {
                Some(segment) if segment.len() > left => {
                    segment.advance(left);
                    left = 0;
                }
                Some(segment) => {
                    left -= segment.len();
                    self.segments.pop_front();
                }
                None => {
                    self.tail.advance(left);
                    left = 0;
                }
            }
        }
        if self.len == 0 {
            // The memory too: most commands have no more output.
            self.tail = BytesMut::new();
        }
    }

    /// Returns a segment from `from` on; `None` where it is stored, or has not arrived.
    pub(super) fn segment(&self, from: u64) -> Option<Bytes> {
        let mut skip = from.checked_sub(self.offset)? as usize;
        for segment in &self.segments {
            if skip < segment.len() {
                return Some(segment.slice(skip..));
            }
            skip -= segment.len();
        }
        (skip < self.tail.len()).then(|| Bytes::copy_from_slice(&self.tail[skip..]))
    }

    /// Returns all of it.
    pub(super) fn chunk(&self) -> OutputChunk {
        let tail = (!self.tail.is_empty()).then(|| Bytes::copy_from_slice(&self.tail));
        OutputChunk { offset: self.offset, segments: self.segments.iter().cloned().chain(tail).collect() }
    }
}

impl Drop for OutputBuffer {
    fn drop(&mut self) {
        self.total.0.fetch_sub(self.len, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index % 251) as u8).collect()
    }

    #[test]
    fn frames_of_any_length_are_read_back_from_any_byte() {
        let all = text(20_000);
        let total = BufferedBytes::default();
        let mut buffer = OutputBuffer::starting_at(0, total.clone());
        let mut end = 0;
        for length in [1, 900, 4096, 1, 1, 1023, 1024, 5000, 3000, 700].into_iter().cycle() {
            let next = (end + length).min(all.len());
            buffer.add(end as u64, detached(&Bytes::copy_from_slice(&all[end..next])));
            end = next;
            if end == all.len() {
                break;
            }
        }
        assert_eq!((buffer.end(), total.get()), (20_000, 20_000));
        for dropped in [0, 1, 900, 5000, 19_999] {
            buffer.drop_until(dropped);
            assert_eq!(total.get(), all.len() - dropped as usize);
            assert_eq!(buffer.chunk().into_bytes(), all[dropped as usize..]);
            for from in [dropped, u64::midpoint(dropped, 20_000), 19_999] {
                let mut read = Vec::new();
                while let Some(segment) = buffer.segment(from + read.len() as u64) {
                    read.extend_from_slice(&segment);
                }
                assert_eq!(read, all[from as usize..], "from {from}, dropped {dropped}");
            }
            assert!(dropped == 0 || buffer.segment(dropped - 1).is_none(), "it is stored");
        }
        drop(buffer);
        assert_eq!(total.get(), 0);
    }

    #[test]
    fn a_short_frame_keeps_no_large_buffer_in_memory() {
        let read_from_a_socket = Bytes::from(text(100_000));
        let frame = read_from_a_socket.slice(0..2000);
        assert!(!std::ptr::eq(detached(&frame).as_ptr(), frame.as_ptr()));
        let mut buffer = OutputBuffer::starting_at(0, BufferedBytes::default());
        buffer.add(0, detached(&read_from_a_socket.slice(0..10)));
        drop(frame);
        assert!(read_from_a_socket.is_unique(), "nothing of it is kept");
    }
}
