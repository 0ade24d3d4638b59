//! What a socket may type into a session that it has attached.

use hive_core::wire::session::{Control, INPUT_WINDOW};

/// The input of one attached session: its offsets, as the viewer counts them.
#[derive(Debug)]
pub(super) struct TypingState {
    has_keyboard: bool,
    /// The offset of the next byte.
    next: u64,
    /// Everything before this offset is written to the terminal.
    applied: u64,
}

/// Why nothing is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypingRefusal {
    /// Another viewer has the keyboard, or the socket only reads.
    NoKeyboard,
    /// The program does not read as fast as is typed.
    WindowFull,
}

impl TypingState {
    pub(super) fn new(control: &Control) -> Self {
        Self { has_keyboard: control.is_mine, next: control.input, applied: control.input }
    }

    /// Takes over who has the keyboard, and where the input goes on.
    pub(super) fn on_control(&mut self, control: &Control) {
        let is_new = control.is_mine && !self.has_keyboard;
        self.has_keyboard = control.is_mine;
        if is_new {
            (self.next, self.applied) = (control.input, control.input);
        }
    }

    /// Notes that the program has read everything before an offset.
    pub(super) fn on_applied(&mut self, offset: u64) {
        self.applied = self.applied.max(offset).min(self.next);
    }

    /// Takes the offset of input of this length. Nothing is typed in part.
    pub(super) fn take(&mut self, len: usize) -> Result<u64, TypingRefusal> {
        if !self.has_keyboard {
            return Err(TypingRefusal::NoKeyboard);
        }
        let (offset, end) = (self.next, self.next + len as u64);
        // More than a window at once has its turn when nothing else is in flight.
        if end - self.applied > INPUT_WINDOW {
            return Err(TypingRefusal::WindowFull);
        }
        self.next = end;
        Ok(offset)
    }

    /// Gives back what was taken last, because the hive did not take it.
    pub(super) fn give_back(&mut self, offset: u64) {
        self.next = offset;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn control(is_mine: bool, input: u64) -> Control {
        Control { is_mine, input, holder: None }
    }

    #[test]
    fn a_reader_types_nothing() {
        let mut typing = TypingState::new(&control(false, 7));
        assert_eq!(typing.take(1), Err(TypingRefusal::NoKeyboard));
        typing.on_control(&control(true, 9));
        assert_eq!(typing.take(2), Ok(9));
        // The number of the holder's input is that of the hive, which may not have all of it yet.
        typing.on_control(&control(true, 9));
        assert_eq!(typing.take(1), Ok(11));
        typing.on_control(&control(false, 12));
        assert_eq!(typing.take(1), Err(TypingRefusal::NoKeyboard));
    }

    #[test]
    fn input_that_the_hive_did_not_take_is_typed_again_at_the_same_offset() {
        let mut typing = TypingState::new(&control(true, 0));
        let offset = typing.take(5).unwrap();
        typing.give_back(offset);
        assert_eq!(typing.take(3), Ok(0));
    }

    proptest! {
        #[test]
        fn no_more_than_a_window_is_in_flight(steps in vec((0_usize..40_000, 0_u64..40_000), 1..100)) {
            let mut typing = TypingState::new(&control(true, 0));
            let (mut end, mut applied) = (0, 0);
            for (len, read) in steps {
                match typing.take(len) {
                    Ok(offset) => {
                        prop_assert_eq!(offset, end, "without a gap");
                        end += len as u64;
                        prop_assert!(end - applied <= INPUT_WINDOW);
                    }
                    Err(refusal) => {
                        prop_assert_eq!(refusal, TypingRefusal::WindowFull);
                        prop_assert!(end + len as u64 - applied > INPUT_WINDOW);
                    }
                }
                applied = (applied + read).min(end);
                typing.on_applied(applied);
            }
        }
    }
}
