//! Ends a session whose input is a pipe or a file, once that has ended.
//!
//! A terminal has no end of input, only a key for it (Ctrl-D). The key counts for the program that reads at that
//! moment; one that was just started may never see it. So the key is pressed again until the session has ended.

use std::time::Duration;

use tokio::time::Instant;

/// The key that ends the input: Ctrl-D.
const END_OF_INPUT: u8 = 0x04;
/// The time before it is pressed again, at first. It doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest time until it is pressed again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Decides when the key is pressed.
#[derive(Debug)]
pub(super) struct EndOfInput {
    /// Whether the input ended within a line.
    is_in_line: bool,
    pause: Duration,
    due: Instant,
}

impl EndOfInput {
    /// Starts after the last byte of the input.
    pub(super) fn after(last: Option<u8>, now: Instant) -> Self {
        let is_in_line = last.is_some_and(|last| !matches!(last, b'\n' | b'\r' | END_OF_INPUT));
        Self { is_in_line, pause: FIRST_PAUSE, due: now }
    }

    /// When the next key is to be pressed.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Returns the keys to press now.
    pub(super) fn keys(&mut self, now: Instant) -> &'static [u8] {
        self.due = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        // Within a line, Ctrl-D only hands over that line. It is ended first, as a shell does with the last line of a
        // file.
        if std::mem::take(&mut self.is_in_line) { b"\n\x04" } else { b"\x04" }
    }

    /// Postpones the key: none can be pressed now.
    pub(super) fn wait(&mut self, now: Instant) {
        self.due = now + FIRST_PAUSE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_begun_is_ended_once() {
        let now = Instant::now();
        let mut end = EndOfInput::after(Some(b'e'), now);
        assert_eq!((end.due(), end.keys(now)), (now, b"\n\x04".as_slice()));
        assert_eq!((end.due(), end.keys(now)), (now + FIRST_PAUSE, b"\x04".as_slice()));
        for last in [None, Some(b'\n'), Some(b'\r')] {
            assert_eq!(EndOfInput::after(last, now).keys(now), b"\x04");
        }
    }

    #[test]
    fn it_is_pressed_less_often_with_time_and_never_not() {
        let now = Instant::now();
        let mut end = EndOfInput::after(None, now);
        for _ in 0..20 {
            end.keys(now);
        }
        assert_eq!(end.due(), now + LONGEST_PAUSE);
    }
}
