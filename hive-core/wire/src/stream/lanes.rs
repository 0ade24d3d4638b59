//! The order in which messages of different urgency are sent over one link.

use std::collections::VecDeque;

/// How urgent an outgoing message is. Messages of an earlier lane are sent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Control messages.
    Control,
    /// What somebody waits for at a keyboard: keystrokes one way, the output of sessions the other way.
    Interactive,
    /// Output of commands, and whatever else may be large.
    Bulk,
}

const LANES: usize = 3;

/// Outgoing messages by lane. Each lane is bounded and keeps the order of its messages.
#[derive(Debug)]
pub struct Lanes<T> {
    queues: [VecDeque<T>; LANES],
    capacity: usize,
}

impl<T> Lanes<T> {
    /// Lanes that hold `capacity` messages each.
    pub fn new(capacity: usize) -> Self {
        Self { queues: std::array::from_fn(|_| VecDeque::new()), capacity }
    }

    /// Adds a message. Returns it where its lane is full: the producer waits or drops it.
    pub fn push(&mut self, lane: Lane, message: T) -> Result<(), T> {
        let queue = &mut self.queues[lane as usize];
        if queue.len() >= self.capacity {
            return Err(message);
        }
        queue.push_back(message);
        Ok(())
    }

    /// Takes the most urgent message.
    pub fn pop(&mut self) -> Option<T> {
        self.queues.iter_mut().find_map(VecDeque::pop_front)
    }

    /// Whether a lane takes no more.
    pub fn is_full(&self, lane: Lane) -> bool {
        self.queues[lane as usize].len() >= self.capacity
    }
}
