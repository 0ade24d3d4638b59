//! What a viewer sends next: its size, input, requests, acknowledgements of output, in this order. The size goes first
//! because input behind a resize must see the new size.

use std::collections::VecDeque;
use std::time::Duration;

use hive_wire::api::Size;
use hive_wire::session::{Control, FromViewer};
use tokio::time::Instant;

use super::reattach::{PendingInput, Reattach};
use crate::sessions::ViewerAction;

/// Requests that may wait. Further ones are dropped: a viewer that has requested that often repeats itself.
const MAX_MESSAGES: usize = 16;
/// Bytes of output that are acknowledged at once: half of the smallest window.
const ACK_BYTES: u64 = 8 * 1024;
/// How long fewer bytes may stay unacknowledged, so that an echo does not cost a message.
const ACK_DELAY: Duration = Duration::from_millis(50);

/// The messages that one viewer has to send.
#[derive(Debug)]
pub(super) struct SendQueue {
    pub(super) input: PendingInput,
    /// The last size. Earlier ones are not sent.
    size: Option<Size>,
    messages: VecDeque<FromViewer>,
    acks: OutputAcks,
}

impl SendQueue {
    /// A viewer that has the output before `output`.
    pub(super) fn starting_with(control: Control, output: u64) -> Self {
        Self {
            input: PendingInput::starting_with(control),
            size: None,
            messages: VecDeque::new(),
            acks: OutputAcks { sent: output, shown: None },
        }
    }

    /// Queues a size.
    pub(super) fn resize(&mut self, size: Size) {
        self.size = Some(size);
    }

    /// Queues a request.
    pub(super) fn request(&mut self, message: FromViewer) {
        // A person who presses a key twice asks once.
        let is_asked = self.messages.back() == Some(&message);
        if !is_asked && self.messages.len() < MAX_MESSAGES {
            self.messages.push_back(message);
        }
    }

    /// Notes that the output before `end` is on the screen.
    pub(super) fn on_shown(&mut self, end: u64, now: Instant) {
        // The delay counts from the first byte: steady output must not postpone the acknowledgement for ever.
        let since = self.acks.shown.map_or(now, |(_, since)| since);
        self.acks.shown = Some((end, since));
    }

    /// The next action to send.
    pub(super) fn next(&self, now: Instant) -> Option<ViewerAction> {
        if let Some(size) = self.size {
            return Some(ViewerAction::Message(FromViewer::Resize(size)));
        }
        if let Some((offset, data)) = self.input.next() {
            return Some(ViewerAction::Input { offset, data });
        }
        // Acknowledgements go last: a hive that waits for them only sends less output, while a keystroke must not wait.
        let message = self.messages.front().cloned();
        message.or_else(|| self.acks.next(now)).map(ViewerAction::Message)
    }

    /// Whether there is input or a request that was not sent.
    pub(super) fn has_unsent(&self) -> bool {
        self.size.is_some() || !self.messages.is_empty() || self.input.next().is_some()
    }

    /// When an acknowledgement is due although nothing else happens.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.acks.due_at()
    }

    /// Notes that `action` was sent.
    pub(super) fn on_sent(&mut self, action: &ViewerAction) {
        match action {
            ViewerAction::Input { offset, data } => self.input.on_sent(offset + data.len() as u64),
            ViewerAction::Message(FromViewer::Resize(size)) if self.size == Some(*size) => self.size = None,
            ViewerAction::Message(FromViewer::Ack { offset }) => self.acks = OutputAcks { sent: *offset, shown: None },
            ViewerAction::Message(message) if self.messages.front() == Some(message) => drop(self.messages.pop_front()),
            ViewerAction::Message(_) => {}
        }
    }

    /// Drops size and requests: they are outdated when the connection is restored.
    pub(super) fn on_disconnected(&mut self) {
        // The request to attach again contains the size.
        self.size = None;
        self.messages.clear();
    }

    /// Notes the holder of the keyboard and the start of the output of a new attachment. Returns the number of lost
    /// bytes of input.
    pub(super) fn on_attached(&mut self, control: Control, who: Reattach, output: u64) -> u64 {
        self.acks = OutputAcks { sent: output, shown: None };
        self.input.on_attached(control, who)
    }
}

/// The output that is on the screen, and the output that was acknowledged.
#[derive(Debug)]
struct OutputAcks {
    sent: u64,
    /// The output that is shown and not acknowledged, and since when.
    shown: Option<(u64, Instant)>,
}

impl OutputAcks {
    fn due_at(&self) -> Option<Instant> {
        let (end, since) = self.shown?;
        // Either direction: a reset may move the output back.
        let is_much = end.abs_diff(self.sent) >= ACK_BYTES;
        Some(if is_much { since } else { since + ACK_DELAY })
    }

    fn next(&self, now: Instant) -> Option<FromViewer> {
        let is_due = self.due_at()? <= now;
        self.shown.filter(|_| is_due).map(|(offset, _)| FromViewer::Ack { offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> SendQueue {
        SendQueue::starting_with(Control { is_mine: true, input: 0, holder: None }, 0)
    }

    fn say_all(queue: &mut SendQueue, now: Instant) -> Vec<ViewerAction> {
        let next = || {
            let action = queue.next(now)?;
            queue.on_sent(&action);
            Some(action)
        };
        std::iter::from_fn(next).collect()
    }

    fn ack(offset: u64) -> ViewerAction {
        ViewerAction::Message(FromViewer::Ack { offset })
    }

    #[tokio::test(start_paused = true)]
    async fn keystrokes_go_first_and_acknowledgements_last() {
        let mut queue = queue();
        let now = Instant::now();
        queue.on_shown(ACK_BYTES, now);
        queue.request(FromViewer::ReleaseControl);
        queue.input.push(b"x").unwrap();
        let typed = ViewerAction::Input { offset: 0, data: "x".into() };
        let expected = [typed, ViewerAction::Message(FromViewer::ReleaseControl), ack(ACK_BYTES)];
        assert_eq!(say_all(&mut queue, now), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_little_output_is_acknowledged_a_little_later() {
        let mut queue = queue();
        let start = Instant::now();
        queue.on_shown(1, start);
        assert_eq!(say_all(&mut queue, start), []);
        queue.on_shown(2, start + ACK_DELAY / 2);
        assert_eq!(queue.due_at(), Some(start + ACK_DELAY));
        assert_eq!(say_all(&mut queue, start + ACK_DELAY), [ack(2)]);
        assert_eq!(queue.due_at(), None);
        queue.on_shown(2 + ACK_BYTES, start + ACK_DELAY);
        assert_eq!(say_all(&mut queue, start + ACK_DELAY), [ack(2 + ACK_BYTES)]);
    }

    #[test]
    fn the_last_size_is_said_before_what_is_typed_behind_it() {
        let mut queue = queue();
        let (small, large) = (Size { cols: 10, rows: 10 }, Size { cols: 200, rows: 50 });
        queue.resize(small);
        queue.request(FromViewer::RequestControl);
        queue.resize(large);
        queue.input.push(b"x").unwrap();
        let typed = ViewerAction::Input { offset: 0, data: "x".into() };
        let [resized, requested] = [FromViewer::Resize(large), FromViewer::RequestControl].map(ViewerAction::Message);
        assert_eq!(say_all(&mut queue, Instant::now()), [resized, typed, requested]);
    }

    #[test]
    fn what_is_asked_for_has_a_bound() {
        let mut queue = queue();
        for to in 0..100 {
            queue.request(FromViewer::GrantControl { to });
            queue.request(FromViewer::GrantControl { to });
        }
        assert_eq!(queue.messages.len(), MAX_MESSAGES);
    }
}
