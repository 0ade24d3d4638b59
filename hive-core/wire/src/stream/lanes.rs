//! What goes out first.

use std::collections::VecDeque;

/// How urgent an outgoing message is: the first lane that holds one goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Control messages.
    Control,
    /// Keystrokes.
    Input,
    /// Output of programs.
    Output,
}

const LANES: usize = 3;

/// Outgoing messages by urgency, first in first out within a lane, each lane bounded.
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

    /// Adds a message; gives it back where its lane is full, so that the producer waits or gives up.
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
