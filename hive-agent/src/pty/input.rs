//! What is typed into a terminal: each byte once and in order, however often it is sent.

use std::collections::VecDeque;

use bytes::Bytes;
use hive_wire::frame::Frame;
use hive_wire::session::INPUT_WINDOW;
use hive_wire::stream::{Receiver, StreamError};

/// The input of one terminal, by offset. It outlives links: what a server sends again on the next one is left out.
#[derive(Debug)]
pub(crate) struct Input {
    receiver: Receiver,
    /// Bytes the terminal has not taken yet; never more than the window.
    waiting: VecDeque<Bytes>,
    applied: u64,
}

impl Input {
    pub(crate) fn new() -> Self {
        Self { receiver: Receiver::granting(0, INPUT_WINDOW), waiting: VecDeque::new(), applied: 0 }
    }

    /// Takes a frame; says whether there was anything new in it.
    pub(crate) fn accept(&mut self, frame: &Frame) -> Result<bool, StreamError> {
        let new = self.receiver.accept(frame)?;
        let has_news = !new.is_empty();
        if has_news {
            self.waiting.push_back(new);
        }
        Ok(has_news)
    }

    /// The next bytes for the terminal.
    pub(crate) fn next(&self) -> Option<Bytes> {
        self.waiting.front().cloned()
    }

    /// The terminal has taken so many of them.
    pub(crate) fn apply(&mut self, len: usize) {
        let Some(next) = self.waiting.front_mut() else { return };
        let taken = next.split_to(len.min(next.len()));
        if next.is_empty() {
            self.waiting.pop_front();
        }
        self.applied += taken.len() as u64;
        self.receiver.grant(self.applied + INPUT_WINDOW);
    }

    /// Forgets what waits: nobody is there to take it.
    pub(crate) fn give_up(&mut self) {
        self.waiting.clear();
    }

    /// Everything before this offset is here.
    pub(crate) fn received(&self) -> u64 {
        self.receiver.received()
    }

    /// Everything before this offset was given to the terminal.
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
        let mut input = Input::new();
        assert_eq!(input.accept(&frame(0, b"rm -r")), Ok(true));
        assert_eq!(input.accept(&frame(0, b"rm -r")), Ok(false));
        assert_eq!(input.accept(&frame(3, b"-rf x")), Ok(true));
        input.apply(5);
        assert_eq!(input.next().unwrap(), "f x");
        assert_eq!((input.applied(), input.received()), (5, 8));
    }

    #[test]
    fn a_gap_is_no_input() {
        let mut input = Input::new();
        assert_eq!(input.accept(&frame(1, b"x")), Err(StreamError::Gap { offset: 1, expected: 0 }));
        assert_eq!(input.next(), None);
    }

    #[test]
    fn no_more_waits_than_the_window() {
        let mut input = Input::new();
        let window = vec![b'x'; INPUT_WINDOW as usize];
        input.accept(&frame(0, &window)).unwrap();
        assert!(matches!(input.accept(&frame(INPUT_WINDOW, b"y")), Err(StreamError::BeyondCredit { .. })));
        input.apply(1);
        assert_eq!(input.accept(&frame(INPUT_WINDOW, b"y")), Ok(true));
    }

    #[test]
    fn a_terminal_that_is_gone_takes_nothing() {
        let mut input = Input::new();
        input.accept(&frame(0, b"lost")).unwrap();
        input.give_up();
        input.apply(4);
        assert_eq!((input.next(), input.applied(), input.received()), (None, 0, 4));
    }

    proptest! {
        /// The server sends from anywhere it is not sure of, the terminal takes as much as it likes.
        #[test]
        fn input_arrives_once_and_in_order(steps in proptest::collection::vec((0u64..200, 0u64..200, 0usize..150), 1..100)) {
            let mut input = Input::new();
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
