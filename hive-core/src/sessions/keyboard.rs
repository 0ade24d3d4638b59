//! The keyboard of a session: the lease of its input, which one viewer holds at a time.
//!
//! The lease of a viewer that was cut off is kept for the linger time. If the viewer returns within it, it continues where it
//! was, and its input is neither lost nor mixed with the input of others.

use std::collections::VecDeque;
use std::time::Duration;

use hive_wire::ViewerId;

/// The holder of the keyboard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum InputLease {
    /// No holder: the first request gets it.
    #[default]
    Nobody,
    /// A viewer that is attached.
    Viewer(ViewerId),
    /// A viewer that was cut off, and when its lease ends.
    CutOff(ViewerId, Duration),
}

/// The answer to a request for the keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeaseRequest {
    /// It was free, or the viewer held it already.
    Granted,
    /// This viewer holds it, and decides about the request.
    HeldBy(ViewerId),
    /// Its holder was cut off and cannot decide. The viewer gets it when the lease ends.
    Later,
}

/// The keyboard of one session.
#[derive(Debug, Default)]
pub(super) struct Keyboard {
    holder: InputLease,
    /// Input below this offset was sent under an earlier lease and is dropped.
    since: u64,
    /// The viewers that requested it, in order.
    waiting: VecDeque<ViewerId>,
}

impl Keyboard {
    /// A keyboard that is reserved for a viewer until a deadline. The viewer may type from `since` on.
    pub(super) fn kept_for(viewer: ViewerId, until: Duration, since: u64) -> Self {
        Self { holder: InputLease::CutOff(viewer, until), since, waiting: VecDeque::new() }
    }

    pub(super) fn holder(&self) -> InputLease {
        self.holder
    }

    /// Returns the holder, attached or cut off.
    pub(super) fn writer(&self) -> Option<ViewerId> {
        match self.holder {
            InputLease::Nobody => None,
            InputLease::Viewer(viewer) | InputLease::CutOff(viewer, _) => Some(viewer),
        }
    }

    /// Returns whether a viewer holds it and is attached.
    pub(super) fn is_held_by(&self, viewer: ViewerId) -> bool {
        self.holder == InputLease::Viewer(viewer)
    }

    /// Returns whether a viewer may type at this offset.
    pub(super) fn may_type(&self, viewer: ViewerId, offset: u64) -> bool {
        self.is_held_by(viewer) && offset >= self.since
    }

    /// Gives it to a viewer, which types from `next` on.
    pub(super) fn give(&mut self, viewer: ViewerId, next: u64) {
        // The lease of a viewer that returns continues: input that it sends again was typed under it.
        if self.writer() != Some(viewer) {
            self.since = next;
        }
        self.holder = InputLease::Viewer(viewer);
        self.waiting.retain(|waiting| *waiting != viewer);
    }

    /// Handles a viewer's request for it.
    pub(super) fn ask(&mut self, viewer: ViewerId, next: u64) -> LeaseRequest {
        match self.holder {
            // A request takes nothing by force. The holder answers with a grant, or releases the keyboard later.
            InputLease::Viewer(holder) if holder != viewer => {
                self.wait(viewer);
                LeaseRequest::HeldBy(holder)
            }
            InputLease::CutOff(holder, _) if holder != viewer => {
                self.wait(viewer);
                LeaseRequest::Later
            }
            _ => {
                self.give(viewer, next);
                LeaseRequest::Granted
            }
        }
    }

    /// Releases it. The first viewer that requested it gets it.
    pub(super) fn release(&mut self, viewer: ViewerId, next: u64) {
        // The release of a viewer that has lost the keyboard meanwhile must not take it from the new holder.
        if self.is_held_by(viewer) {
            self.pass_on(next);
        }
    }

    /// Takes it from a viewer that will not type any more, attached or cut off, and drops its request.
    pub(super) fn give_up(&mut self, viewer: ViewerId, next: u64) {
        self.waiting.retain(|waiting| *waiting != viewer);
        if self.writer() == Some(viewer) {
            self.pass_on(next);
        }
    }

    /// Handles a viewer that was cut off. If it holds the lease, the lease is kept until the deadline.
    pub(super) fn cut_off(&mut self, viewer: ViewerId, until: Duration) {
        // Only attached viewers wait: `pass_on` gives the keyboard to the first without asking.
        self.waiting.retain(|waiting| *waiting != viewer);
        if self.is_held_by(viewer) {
            self.holder = InputLease::CutOff(viewer, until);
        }
    }

    /// Ends the lease of a viewer that did not come back in time.
    pub(super) fn expire(&mut self, now: Duration, next: u64) {
        if let InputLease::CutOff(_, until) = self.holder
            && now >= until
        {
            self.pass_on(next);
        }
    }

    fn pass_on(&mut self, next: u64) {
        self.holder = self.waiting.pop_front().map_or(InputLease::Nobody, InputLease::Viewer);
        self.since = next;
    }

    fn wait(&mut self, viewer: ViewerId) {
        // A repeated request keeps its place in the line.
        if !self.waiting.contains(&viewer) {
            self.waiting.push_back(viewer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;

    fn viewer(n: u8) -> ViewerId {
        ViewerId::new(Seed { unix_millis: 1, random: [n; 10] })
    }

    fn held_by(n: u8) -> Keyboard {
        let mut keyboard = Keyboard::default();
        keyboard.give(viewer(n), 0);
        keyboard
    }

    const SOON: Duration = Duration::from_secs(30);

    #[test]
    fn a_free_keyboard_is_given_and_one_in_use_is_asked_for() {
        let mut keyboard = Keyboard::default();
        assert_eq!(keyboard.ask(viewer(1), 0), LeaseRequest::Granted);
        assert_eq!(keyboard.ask(viewer(2), 0), LeaseRequest::HeldBy(viewer(1)));
        assert!(keyboard.may_type(viewer(1), 0) && !keyboard.may_type(viewer(2), 0));
    }

    #[test]
    fn who_asked_first_gets_what_is_let_go() {
        let mut keyboard = held_by(1);
        for n in [2, 3, 2] {
            keyboard.ask(viewer(n), 0);
        }
        keyboard.release(viewer(3), 10);
        assert!(keyboard.is_held_by(viewer(1)), "only who has it can let it go");
        keyboard.release(viewer(1), 10);
        assert!(keyboard.is_held_by(viewer(2)));
        keyboard.release(viewer(2), 10);
        keyboard.release(viewer(3), 10);
        assert_eq!(keyboard.holder(), InputLease::Nobody);
    }

    #[test]
    fn what_a_viewer_sent_before_it_lost_the_keyboard_is_stale_when_it_has_it_again() {
        let mut keyboard = held_by(1);
        keyboard.give(viewer(2), 100);
        keyboard.give(viewer(1), 103);
        assert!(!keyboard.may_type(viewer(1), 100));
        assert!(keyboard.may_type(viewer(1), 103));
    }

    #[test]
    fn a_viewer_that_was_cut_off_goes_on_where_it_was() {
        let mut keyboard = held_by(1);
        keyboard.cut_off(viewer(1), SOON);
        assert!(!keyboard.may_type(viewer(1), 0), "it is not there");
        assert_eq!(keyboard.ask(viewer(2), 50), LeaseRequest::Later);
        assert_eq!(keyboard.ask(viewer(1), 50), LeaseRequest::Granted);
        assert!(keyboard.may_type(viewer(1), 0), "what it typed before counts still");
    }

    #[test]
    fn the_keyboard_of_one_that_stays_away_goes_to_who_waits() {
        let mut keyboard = held_by(1);
        keyboard.cut_off(viewer(1), SOON);
        keyboard.ask(viewer(2), 50);
        keyboard.ask(viewer(3), 50);
        keyboard.cut_off(viewer(2), SOON);
        keyboard.expire(SOON / 2, 60);
        assert_eq!(keyboard.writer(), Some(viewer(1)));
        keyboard.expire(SOON, 60);
        assert!(keyboard.may_type(viewer(3), 60) && !keyboard.may_type(viewer(3), 50));
    }

    #[test]
    fn one_that_comes_back_to_read_only_leaves_the_keyboard_to_others() {
        let mut keyboard = held_by(1);
        keyboard.ask(viewer(2), 0);
        keyboard.cut_off(viewer(1), SOON);
        keyboard.give_up(viewer(1), 5);
        assert!(keyboard.is_held_by(viewer(2)));
    }

    #[test]
    fn it_can_be_taken_from_anybody() {
        let mut keyboard = Keyboard::kept_for(viewer(1), SOON, 7);
        keyboard.give(viewer(2), 9);
        keyboard.expire(SOON, 9);
        assert!(keyboard.is_held_by(viewer(2)));
    }
}
