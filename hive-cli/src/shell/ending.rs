//! What ends a session whose keyboard is a pipe or a file, once that has ended.
//!
//! A terminal has no end of input, only a key for it, and that counts for whoever reads at that moment: a program that
//! was just started may never see it. So it is pressed again until the session has ended.

use std::time::Duration;

use tokio::time::Instant;

/// The key that ends the input.
const END_OF_INPUT: u8 = 0x04;
/// When it is pressed again, at first.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest time until it is pressed again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// When to press the key.
#[derive(Debug)]
pub(super) struct EndOfInput {
    /// Whether what was typed ends within a line.
    is_in_line: bool,
    pause: Duration,
    due: Instant,
}

impl EndOfInput {
    /// The input has ended behind this byte.
    pub(super) fn behind(last: Option<u8>, now: Instant) -> Self {
        let is_in_line = last.is_some_and(|last| !matches!(last, b'\n' | b'\r' | END_OF_INPUT));
        Self { is_in_line, pause: FIRST_PAUSE, due: now }
    }

    /// When the next key is to be pressed.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// The keys that are to be pressed now: a line that was begun is ended first, as a shell that reads a file does.
    pub(super) fn keys(&mut self, now: Instant) -> &'static [u8] {
        self.due = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        if std::mem::take(&mut self.is_in_line) { b"\n\x04" } else { b"\x04" }
    }

    /// Looks again soon: no keys can be pressed now.
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
        let mut end = EndOfInput::behind(Some(b'e'), now);
        assert_eq!((end.due(), end.keys(now)), (now, b"\n\x04".as_slice()));
        assert_eq!((end.due(), end.keys(now)), (now + FIRST_PAUSE, b"\x04".as_slice()));
        for last in [None, Some(b'\n'), Some(b'\r')] {
            assert_eq!(EndOfInput::behind(last, now).keys(now), b"\x04");
        }
    }

    #[test]
    fn it_is_pressed_less_often_with_time_and_never_not() {
        let now = Instant::now();
        let mut end = EndOfInput::behind(None, now);
        for _ in 0..20 {
            end.keys(now);
        }
        assert_eq!(end.due(), now + LONGEST_PAUSE);
    }
}
