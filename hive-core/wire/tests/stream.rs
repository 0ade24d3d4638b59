//! A sender and a receiver over a link that is slow, repeats itself and breaks: every byte arrives once, in order, and
//! never more than the receiver has asked for.

use std::collections::VecDeque;
use std::sync::LazyLock;

use bytes::Bytes;
use hive_wire::frame::{Frame, MAX_PAYLOAD, StreamId};
use hive_wire::stream::{INITIAL_WINDOW, Lane, Lanes, MAX_WINDOW, Receiver, Sender, StreamError};
use proptest::collection::vec;
use proptest::prelude::*;

const STREAM: StreamId = StreamId(1);

/// What may happen next between the two ends.
#[derive(Debug, Clone)]
enum StreamStep {
    /// The program writes this many bytes.
    Produce(u64),
    /// The sender puts a frame on the link, if it has one and credit for it.
    Send,
    /// The oldest frame arrives.
    Deliver,
    /// A frame that arrived before arrives again.
    Repeat(usize),
    /// The receiver is done with this many bytes more, and tells its credit.
    Consume(u64),
    /// The oldest credit arrives.
    Credit,
    /// A credit of long ago arrives.
    StaleCredit(u64),
    /// The receiver wants more under way.
    Widen(u64),
    /// The link breaks with all that is on it; a new one resumes where the receiver's storage stands.
    Cut,
}

fn steps() -> impl Strategy<Value = Vec<StreamStep>> {
    let step = prop_oneof![
        3 => (0u64..300_000).prop_map(StreamStep::Produce),
        8 => Just(StreamStep::Send),
        8 => Just(StreamStep::Deliver),
        2 => (0usize..8).prop_map(StreamStep::Repeat),
        4 => (0u64..400_000).prop_map(StreamStep::Consume),
        4 => Just(StreamStep::Credit),
        1 => (0u64..1 << 20).prop_map(StreamStep::StaleCredit),
        1 => (0u64..2 << 20).prop_map(StreamStep::Widen),
        1 => Just(StreamStep::Cut),
    ];
    vec(step, 0..200)
}

/// Neighbouring bytes differ, and so do bytes a frame apart.
const PERIOD: u64 = 251;

static PATTERN: LazyLock<Bytes> = LazyLock::new(|| {
    let len = PERIOD + MAX_PAYLOAD as u64;
    (0..len).map(|at| (at % PERIOD) as u8).collect()
});

/// What the program writes at an offset.
fn bytes_of(offset: u64, len: usize) -> Bytes {
    let from = (offset % PERIOD) as usize;
    PATTERN.slice(from..from + len)
}

fn is_exact(stored: &[u8]) -> bool {
    let mut pieces = (0u64..).step_by(MAX_PAYLOAD).zip(stored.chunks(MAX_PAYLOAD));
    pieces.all(|(offset, piece)| bytes_of(offset, piece.len()) == piece)
}

/// Two ends and the link between them.
struct Pair {
    sender: Sender,
    receiver: Receiver,
    produced: u64,
    is_finished: bool,
    frames: VecDeque<Frame>,
    arrived: Vec<Frame>,
    credits: VecDeque<u64>,
    /// The most the sender was ever told on this link.
    granted: u64,
    /// Received on this link and not yet stored.
    waiting: Vec<u8>,
    /// What the receiver has stored: it survives a cut.
    stored: Vec<u8>,
}

impl Pair {
    fn new() -> Self {
        Self {
            sender: Sender::resuming_at(0),
            receiver: Receiver::resuming_at(0),
            produced: 0,
            is_finished: false,
            frames: VecDeque::new(),
            arrived: Vec::new(),
            credits: VecDeque::new(),
            granted: INITIAL_WINDOW,
            waiting: Vec::new(),
            stored: Vec::new(),
        }
    }

    fn step(&mut self, step: &StreamStep) {
        match *step {
            StreamStep::Produce(count) => self.produce(count),
            StreamStep::Send => drop(self.send()),
            StreamStep::Deliver => drop(self.deliver()),
            StreamStep::Repeat(back) => self.repeat(back),
            StreamStep::Consume(count) => self.consume(count),
            StreamStep::Credit => drop(self.credit()),
            StreamStep::StaleCredit(limit) => self.sender.credit(limit.min(self.granted)),
            StreamStep::Widen(window) => self.receiver.widen(window),
            StreamStep::Cut => self.cut(),
        }
        self.check();
    }

    fn produce(&mut self, count: u64) {
        self.produced += count;
        self.sender.produced_to(self.produced);
    }

    fn send(&mut self) -> bool {
        let Some(chunk) = self.sender.next_chunk() else {
            return false;
        };
        let payload = bytes_of(chunk.offset, chunk.len);
        let sent = Frame::data(STREAM, chunk.offset, payload, chunk.is_last).encode();
        self.frames.push_back(Frame::decode(sent).expect("a sender makes frames within the limits"));
        true
    }

    fn deliver(&mut self) -> bool {
        let Some(frame) = self.frames.pop_front() else {
            return false;
        };
        let fresh = self.receiver.accept(&frame).expect("a sender keeps to the protocol");
        self.waiting.extend_from_slice(&fresh);
        self.arrived.push(frame);
        true
    }

    fn repeat(&mut self, back: usize) {
        let Some(frame) = self.arrived.iter().rev().nth(back) else {
            return;
        };
        let fresh = self.receiver.accept(frame).expect("a repeated frame is no fault");
        assert!(fresh.is_empty(), "a repeated frame gave bytes again");
    }

    fn consume(&mut self, count: u64) {
        let count = self.waiting.len().min(count as usize);
        self.stored.extend(self.waiting.drain(..count));
        if let Some(limit) = self.receiver.consumed_to(self.stored.len() as u64) {
            self.credits.push_back(limit);
        }
    }

    fn credit(&mut self) -> bool {
        let Some(limit) = self.credits.pop_front() else {
            return false;
        };
        assert!(limit > self.granted, "credit that says nothing new");
        self.granted = limit;
        self.sender.credit(limit);
        true
    }

    fn cut(&mut self) {
        let offset = self.stored.len() as u64;
        self.frames.clear();
        self.arrived.clear();
        self.credits.clear();
        self.waiting.clear();
        self.granted = offset + INITIAL_WINDOW;
        self.receiver = Receiver::resuming_at(offset);
        self.sender = Sender::resuming_at(offset);
        self.sender.produced_to(self.produced);
        if self.is_finished {
            self.sender.finish();
        }
    }

    fn check(&self) {
        assert!(self.sender.sent() <= self.granted, "more was sent than asked for");
        let unread = self.sender.sent() - self.stored.len() as u64;
        assert!(unread <= MAX_WINDOW, "{unread} bytes wait for one receiver");
    }

    /// Lets the link work until nothing moves any more.
    fn settle(&mut self) {
        loop {
            self.consume(u64::MAX >> 1);
            let moved = [self.credit(), self.send(), self.deliver()];
            self.check();
            if !moved.contains(&true) {
                return;
            }
        }
    }

    fn finish(&mut self) {
        self.is_finished = true;
        self.sender.finish();
    }
}

proptest! {
    #[test]
    fn every_byte_arrives_once_and_in_order(before in steps(), after in steps()) {
        let mut pair = Pair::new();
        for step in &before {
            pair.step(step);
        }
        pair.finish();
        for step in after.iter().filter(|step| !matches!(step, StreamStep::Produce(_))) {
            pair.step(step);
        }
        pair.settle();
        prop_assert!(pair.sender.is_done() && pair.receiver.is_ended());
        prop_assert_eq!(pair.stored.len() as u64, pair.produced);
        prop_assert!(is_exact(&pair.stored), "bytes were changed, lost or doubled");
    }

    #[test]
    fn no_frame_of_a_stranger_breaks_the_receiver(
        start in prop_oneof![0u64..1 << 21, u64::MAX - (1 << 21)..=u64::MAX],
        frames in vec((0u64..1 << 20, 0usize..70_000, any::<bool>(), any::<bool>()), 0..40),
    ) {
        let mut receiver = Receiver::resuming_at(start);
        let mut limit = start.saturating_add(INITIAL_WINDOW);
        for (distance, len, is_behind, is_last) in frames {
            let offset = if is_behind { start.saturating_sub(distance) } else { start.saturating_add(distance) };
            let before = receiver.received();
            let sent = Frame::data(STREAM, offset, Bytes::from(vec![0; len]), is_last).encode();
            let Ok(frame) = Frame::decode(sent) else {
                continue;
            };
            let fresh = receiver.accept(&frame).map_or(0, |fresh| fresh.len());
            prop_assert_eq!(receiver.received() - before, fresh as u64);
            prop_assert!(receiver.received() <= limit);
            limit = receiver.consumed_to(receiver.received()).unwrap_or(limit);
        }
    }

    #[test]
    fn the_most_urgent_lane_goes_first_and_each_keeps_its_order(pushed in vec(0usize..Lane::ALL.len(), 0..60), capacity in 1usize..20) {
        let mut lanes = Lanes::new(capacity);
        let mut kept = Vec::new();
        for (number, lane) in pushed.into_iter().enumerate() {
            let lane = Lane::ALL[lane];
            let was_full = lanes.is_full(lane);
            match lanes.push(lane, (lane, number)) {
                Ok(()) => kept.push((lane, number)),
                Err(back) => prop_assert!(was_full && back == (lane, number)),
            }
        }
        kept.sort();
        let taken: Vec<_> = std::iter::from_fn(|| lanes.pop()).collect();
        prop_assert_eq!(taken, kept);
    }
}

#[test]
fn an_empty_stream_ends() {
    let mut pair = Pair::new();
    pair.finish();
    pair.settle();
    assert!(pair.receiver.is_ended() && pair.stored.is_empty());
}

#[test]
fn the_end_is_told_again_after_a_cut() {
    let mut pair = Pair::new();
    pair.produce(10);
    pair.finish();
    pair.settle();
    pair.cut();
    assert!(!pair.receiver.is_ended());
    pair.settle();
    assert!(pair.receiver.is_ended());
    assert_eq!(pair.stored.len(), 10);
}

#[test]
fn a_sender_without_credit_waits_for_it() {
    let mut pair = Pair::new();
    pair.produce(2 * INITIAL_WINDOW);
    while pair.send() {}
    assert_eq!(pair.sender.sent(), INITIAL_WINDOW);
    while pair.deliver() {}
    assert!(!pair.send(), "nothing is sent before the receiver has read");
    pair.settle();
    assert_eq!(pair.stored.len() as u64, 2 * INITIAL_WINDOW);
}

#[test]
fn each_breach_has_its_name() {
    let check = |frames: &[(u64, usize, bool)], expected: StreamError| {
        let mut receiver = Receiver::resuming_at(0);
        let mut results = frames.iter().map(|&(offset, len, is_last)| {
            receiver.accept(&Frame::data(STREAM, offset, Bytes::from(vec![0; len]), is_last))
        });
        assert_eq!(results.find_map(Result::err), Some(expected));
    };
    check(&[(0, 5, false), (6, 1, false)], StreamError::Gap { offset: 6, expected: 5 });
    check(&[(0, 5, true), (5, 1, false)], StreamError::AfterEnd);
    let beyond = StreamError::BeyondCredit { end: INITIAL_WINDOW + 1, limit: INITIAL_WINDOW };
    check(&[(0, INITIAL_WINDOW as usize + 1, false)], beyond);
}
