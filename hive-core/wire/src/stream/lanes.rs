//! The order in which messages of different urgency are sent over one link.

use std::collections::VecDeque;

/// How urgent an outgoing message is. Messages of an earlier lane are sent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Control messages.
    Control,
    /// What somebody waits for at a keyboard: keystrokes one way, the output of sessions the other way.
    Interactive,
    /// Commands, and what is said about them.
    Commands,
    /// Output of commands, commands with a large payload, and whatever else may be large.
    Bulk,
}

impl Lane {
    /// All lanes, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Control, Self::Interactive, Self::Commands, Self::Bulk];
}

/// The room that an empty lane keeps, in messages. The memory of a burst is returned: most links are idle.
const KEPT: usize = 16;

/// Outgoing messages by lane. Each lane is bounded and keeps the order of its messages.
#[derive(Debug)]
pub struct Lanes<T> {
    queues: [VecDeque<T>; Lane::ALL.len()],
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
        let queue = self.queues.iter_mut().find(|queue| !queue.is_empty())?;
        let message = queue.pop_front();
        if queue.is_empty() && queue.capacity() > KEPT {
            *queue = VecDeque::new();
        }
        message
    }

    /// Whether a lane takes no more.
    pub fn is_full(&self, lane: Lane) -> bool {
        self.len(lane) >= self.capacity
    }

    /// How many messages wait in a lane.
    pub fn len(&self, lane: Lane) -> usize {
        self.queues[lane as usize].len()
    }

    /// The messages that wait in a lane, the next first.
    pub fn waiting(&self, lane: Lane) -> impl Iterator<Item = &T> {
        self.queues[lane as usize].iter()
    }
}
