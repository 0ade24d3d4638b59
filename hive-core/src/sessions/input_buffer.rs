//! The input of a session on its way to the satellite. Every byte arrives once and in order, over any number of links.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use hive_wire::session::INPUT_WINDOW;

/// The number of frames that may be in flight. Input that arrives meanwhile is sent together in the next frame. A link has
/// room for 256 messages of all its sessions, and a person who types over a slow link must not fill it.
const MAX_IN_FLIGHT: usize = 16;

/// Why input was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("input leaves a gap")]
    Gap,
    #[error("more input in flight than allowed")]
    BeyondWindow,
}

/// The satellite reported an offset that contradicts what was sent or confirmed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("offset of input that was never sent, or was acknowledged before")]
pub(super) struct Impossible;

/// The input of one session. Offsets count the bytes of all writers, from the start of the session.
#[derive(Debug, Default)]
pub(super) struct InputBuffer {
    received: u64,
    applied: u64,
    /// The last bytes before `received`: those that the satellite may not have yet.
    pending: BytesMut,
    sent: u64,
    /// The end offset of each frame in flight.
    in_flight: VecDeque<u64>,
    /// The offset of the input that the satellite had when this process started. No viewer of this process waits for it.
    inherited: u64,
}

impl InputBuffer {
    /// The input of a session of which the satellite has `received` bytes. It reports by itself how many of them were written
    /// to the PTY. Until then a full window counts as in flight, and new input waits here.
    pub(super) fn resuming_at(received: u64) -> Self {
        // The worst case: input beyond the window is a protocol violation.
        let applied = received.saturating_sub(INPUT_WINDOW);
        Self { received, applied, sent: received, inherited: received, ..Self::default() }
    }

    /// Returns the offset behind the last byte that was accepted from writers.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Returns the offset behind the last byte that the satellite has confirmed as written to the PTY.
    pub(super) fn applied(&self) -> u64 {
        self.applied
    }

    /// Returns how many bytes are accepted now.
    pub(super) fn room(&self) -> usize {
        // Inherited input does not use up the window of the writer: after a restart it can type at once.
        let under_way = self.received - self.applied.max(self.inherited);
        INPUT_WINDOW.saturating_sub(under_way) as usize
    }

    /// Accepts input. Bytes that were accepted before are skipped.
    pub(super) fn accept(&mut self, offset: u64, data: &Bytes) -> Result<(), Refused> {
        let known = self.received.checked_sub(offset).ok_or(Refused::Gap)?;
        // A viewer that returns sends its unconfirmed input again. All of it may be known.
        let new = data.get(known as usize..).unwrap_or_default();
        if new.len() > self.room() {
            return Err(Refused::BeyondWindow);
        }
        self.pending.extend_from_slice(new);
        self.received += new.len() as u64;
        Ok(())
    }

    /// Takes the next bytes to send, with their offset. `None` if there are none, or if enough is in flight.
    pub(super) fn next_frame(&mut self) -> Option<(u64, Bytes)> {
        let (start, offset) = (self.start(), self.sent);
        // A whole window fits into one frame, so a frame takes all that may be sent.
        let end = self.received.min(self.applied + INPUT_WINDOW);
        if offset >= end || self.in_flight.len() >= MAX_IN_FLIGHT {
            return None;
        }
        // Copied, because the bytes stay pending: if the link breaks, they are sent again over the next one.
        let bytes = Bytes::copy_from_slice(&self.pending[(offset - start) as usize..(end - start) as usize]);
        self.sent = end;
        self.in_flight.push_back(self.sent);
        Some((offset, bytes))
    }

    /// Notes that the satellite has written everything before `offset` to the PTY.
    pub(super) fn on_applied(&mut self, offset: u64) -> Result<(), Impossible> {
        if offset > self.sent {
            return Err(Impossible);
        }
        // A smaller offset is no error: a new link begins by repeating the last confirmation.
        self.applied = self.applied.max(offset);
        self.forget(offset);
        while self.in_flight.front().is_some_and(|end| *end <= offset) {
            self.in_flight.pop_front();
        }
        Ok(())
    }

    /// Continues over another link. The satellite has everything before `taken`.
    pub(super) fn on_link(&mut self, taken: u64) -> Result<(), Impossible> {
        // The bytes before the pending ones cannot be sent again, and the satellite reported before that it has them.
        if taken < self.start() || taken > self.received {
            return Err(Impossible);
        }
        // `applied` stays: bytes that the satellite has are not yet written to the PTY.
        self.forget(taken);
        self.sent = taken;
        // Frames of the old link are lost, or are part of what the satellite has.
        self.in_flight.clear();
        Ok(())
    }

    /// The offset of the first pending byte.
    fn start(&self) -> u64 {
        self.received - self.pending.len() as u64
    }

    fn forget(&mut self, offset: u64) {
        // The offset may be before the pending bytes: a confirmation follows bytes that a link has reported as taken.
        let count = offset.saturating_sub(self.start());
        self.pending.advance(count as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::frame::MAX_PAYLOAD;
    use proptest::prelude::*;

    fn typed(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn what_is_typed_twice_is_taken_once() {
        let mut typing = InputBuffer::default();
        typing.accept(0, &typed("abc")).unwrap();
        typing.accept(1, &typed("bcd")).unwrap();
        typing.accept(0, &typed("a")).unwrap();
        assert_eq!(typing.next_frame(), Some((0, typed("abcd"))));
        assert_eq!(typing.next_frame(), None);
        assert_eq!(typing.accept(5, &typed("f")), Err(Refused::Gap));
    }

    #[test]
    fn no_more_is_under_way_than_the_window() {
        let mut typing = InputBuffer::default();
        let window = Bytes::from(vec![7; INPUT_WINDOW as usize]);
        typing.accept(0, &window).unwrap();
        assert_eq!(typing.accept(INPUT_WINDOW, &typed("x")), Err(Refused::BeyondWindow));
        assert_eq!(typing.next_frame().unwrap().1.len(), MAX_PAYLOAD, "the window fits into one frame");
        typing.on_applied(10).unwrap();
        assert_eq!(typing.room(), 10);
        typing.accept(INPUT_WINDOW, &typed("x")).unwrap();
    }

    #[test]
    fn many_keystrokes_at_once_go_together() {
        let mut typing = InputBuffer::default();
        let mut frames = 0;
        for n in 0..1000 {
            typing.accept(n, &typed("x")).unwrap();
            frames += usize::from(typing.next_frame().is_some());
        }
        assert_eq!(frames, MAX_IN_FLIGHT);
        typing.on_applied(1).unwrap();
        let (offset, rest) = typing.next_frame().unwrap();
        assert_eq!((offset, rest.len()), (MAX_IN_FLIGHT as u64, 1000 - MAX_IN_FLIGHT));
    }

    #[test]
    fn another_link_gets_what_the_satellite_does_not_have() {
        let mut typing = InputBuffer::resuming_at(100);
        typing.accept(100, &typed("abcdef")).unwrap();
        assert_eq!(typing.next_frame(), Some((100, typed("abcdef"))));
        typing.on_applied(102).unwrap();
        typing.on_link(104).unwrap();
        assert_eq!(typing.next_frame(), Some((104, typed("ef"))));
        assert_eq!(typing.applied(), 102, "what the satellite has is not yet typed");
    }

    #[test]
    fn a_window_that_may_be_full_is_not_filled_again() {
        let before = 10 * INPUT_WINDOW;
        let mut typing = InputBuffer::resuming_at(before);
        typing.accept(before, &typed("abcdef")).expect("who types is not to suffer");
        assert_eq!(typing.next_frame(), None, "as many bytes as may be were under way when the hive died");
        typing.on_applied(before - INPUT_WINDOW + 2).unwrap();
        assert_eq!(typing.next_frame(), Some((before, typed("ab"))));
        typing.on_applied(before).unwrap();
        assert_eq!(typing.next_frame(), Some((before + 2, typed("cdef"))));
    }

    #[test]
    fn a_satellite_cannot_have_what_was_not_sent_nor_lose_what_it_had() {
        let mut typing = InputBuffer::resuming_at(100);
        typing.accept(100, &typed("abc")).unwrap();
        assert_eq!(typing.on_applied(101), Err(Impossible));
        assert_eq!(typing.on_link(104), Err(Impossible));
        assert_eq!(typing.on_link(99), Err(Impossible));
    }

    #[derive(Debug, Clone)]
    enum BufferStep {
        Type(usize),
        Apply(usize),
        Cut { arrived: usize },
    }

    fn step() -> impl Strategy<Value = BufferStep> {
        prop_oneof![
            (1usize..3000).prop_map(BufferStep::Type),
            (0usize..3000).prop_map(BufferStep::Apply),
            (0usize..20).prop_map(|arrived| BufferStep::Cut { arrived }),
        ]
    }

    proptest! {
        /// A satellite that accepts the new bytes of each frame gets every byte once and in order, whatever is cut.
        #[test]
        fn every_byte_arrives_once_over_all_links(steps in proptest::collection::vec(step(), 1..100)) {
            let mut typing = InputBuffer::default();
            let (mut typed, mut satellite, mut link) = (Vec::<u8>::new(), Vec::<u8>::new(), Vec::new());
            let take = |satellite: &mut Vec<u8>, (offset, bytes): (u64, Bytes)| {
                assert!(offset as usize <= satellite.len(), "a gap");
                let known = (satellite.len() - offset as usize).min(bytes.len());
                satellite.extend_from_slice(&bytes[known..]);
            };
            for step in steps {
                match step {
                    BufferStep::Type(count) => {
                        let bytes: Vec<u8> = (typed.len()..typed.len() + count).map(|n| (n % 251) as u8).collect();
                        if typing.accept(typed.len() as u64, &bytes.clone().into()).is_ok() {
                            typed.extend(bytes);
                        }
                    }
                    BufferStep::Apply(count) => {
                        link.drain(..).for_each(|frame| take(&mut satellite, frame));
                        let applied = (typing.applied() as usize + count).min(satellite.len());
                        typing.on_applied(applied as u64).unwrap();
                    }
                    BufferStep::Cut { arrived } => {
                        let arrived = arrived.min(link.len());
                        link.drain(..arrived).for_each(|frame| take(&mut satellite, frame));
                        link.clear();
                        typing.on_link(satellite.len() as u64).unwrap();
                    }
                }
                while let Some(frame) = typing.next_frame() {
                    link.push(frame);
                }
                prop_assert!(typing.received() - typing.applied() <= INPUT_WINDOW);
            }
            typing.on_link(satellite.len() as u64).unwrap();
            typing.next_frame().into_iter().for_each(|frame| take(&mut satellite, frame));
            prop_assert_eq!(satellite, typed);
        }
    }
}
