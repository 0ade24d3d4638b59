//! The input of a session: each byte is written once and in order, however often it is sent.

use std::collections::VecDeque;

use bytes::Bytes;
use hive_wire::frame::Frame;
use hive_wire::session::INPUT_WINDOW;
use hive_wire::stream::{Receiver, StreamError};

/// The input of one session, by offset. It outlives links: bytes that the server sends again on the next link are
/// skipped.
#[derive(Debug)]
pub(crate) struct InputQueue {
    receiver: Receiver,
    /// Bytes that were not written to the PTY yet, at most the window.
    pending: VecDeque<Bytes>,
    applied: u64,
}

impl InputQueue {
    pub(crate) fn new() -> Self {
        Self { receiver: Receiver::granting(0, INPUT_WINDOW), pending: VecDeque::new(), applied: 0 }
    }

    /// Accepts a frame. Returns whether it contained new bytes.
    pub(crate) fn accept(&mut self, frame: &Frame) -> Result<bool, StreamError> {
        let new = self.receiver.accept(frame)?;
        let has_new_bytes = !new.is_empty();
        // A frame that was sent again after a reconnect may be known in whole or in part.
        if has_new_bytes {
            self.pending.push_back(new);
        }
        Ok(has_new_bytes)
    }

    /// The next bytes for the PTY.
    pub(crate) fn next(&self) -> Option<Bytes> {
        self.pending.front().cloned()
    }

    /// Notes that `len` bytes were written to the PTY.
    pub(crate) fn apply(&mut self, len: usize) {
        let Some(next) = self.pending.front_mut() else { return };
        // The terminal may take less than it was offered; the rest is the next that is offered.
        let taken = next.split_to(len.min(next.len()));
        if next.is_empty() {
            self.pending.pop_front();
        }
        self.applied += taken.len() as u64;
        // Granted for what was written, not for what was received: the program's speed limits the sender.
        self.receiver.grant(self.applied + INPUT_WINDOW);
    }

    /// Drops the bytes that wait: the program has ended.
    pub(crate) fn clear(&mut self) {
        self.pending.clear();
    }

    /// The offset up to which input was received.
    pub(crate) fn received(&self) -> u64 {
        self.receiver.received()
    }

    /// The offset up to which input was written to the PTY.
    pub(crate) fn applied(&self) -> u64 {
        self.applied
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::frame::StreamId;
    use proptest::prelude::*;

    fn frame(offset: u64, bytes: &[u8]) -> Frame {
        Frame::data(StreamId(1), offset, Bytes::copy_from_slice(bytes), false)
    }

    #[test]
    fn a_byte_that_comes_again_is_not_typed_again() {
        let mut input = InputQueue::new();
        assert_eq!(input.accept(&frame(0, b"rm -r")), Ok(true));
        assert_eq!(input.accept(&frame(0, b"rm -r")), Ok(false));
        assert_eq!(input.accept(&frame(3, b"-rf x")), Ok(true));
        input.apply(5);
        assert_eq!(input.next().unwrap(), "f x");
        assert_eq!((input.applied(), input.received()), (5, 8));
    }

    #[test]
    fn a_gap_is_no_input() {
        let mut input = InputQueue::new();
        assert_eq!(input.accept(&frame(1, b"x")), Err(StreamError::Gap { offset: 1, expected: 0 }));
        assert_eq!(input.next(), None);
    }

    #[test]
    fn no_more_waits_than_the_window() {
        let mut input = InputQueue::new();
        let window = vec![b'x'; INPUT_WINDOW as usize];
        input.accept(&frame(0, &window)).unwrap();
        assert!(matches!(input.accept(&frame(INPUT_WINDOW, b"y")), Err(StreamError::BeyondCredit { .. })));
        input.apply(1);
        assert_eq!(input.accept(&frame(INPUT_WINDOW, b"y")), Ok(true));
    }

    #[test]
    fn a_session_that_is_gone_takes_nothing() {
        let mut input = InputQueue::new();
        input.accept(&frame(0, b"lost")).unwrap();
        input.clear();
        input.apply(4);
        assert_eq!((input.next(), input.applied(), input.received()), (None, 0, 4));
    }

    proptest! {
        /// The server resends from any offset it is not sure of, and the PTY takes any number of bytes.
        #[test]
        fn input_arrives_once_and_in_order(steps in proptest::collection::vec((0u64..200, 0u64..200, 0usize..150), 1..100)) {
            let mut input = InputQueue::new();
            let mut typed = Vec::new();
            for (back, len, taken) in steps {
                let from = input.received().saturating_sub(back);
                let bytes: Vec<u8> = (from..from + len).map(|offset| (offset % 251) as u8).collect();
                input.accept(&frame(from, &bytes)).unwrap();
                if let Some(next) = input.next() {
                    let taken = taken.min(next.len());
                    typed.extend_from_slice(&next[..taken]);
                    input.apply(taken);
                }
                prop_assert_eq!(typed.len() as u64, input.applied());
                prop_assert!(typed.iter().enumerate().all(|(n, byte)| *byte == (n % 251) as u8));
            }
        }
    }
}
