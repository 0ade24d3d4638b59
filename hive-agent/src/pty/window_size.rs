//! The size of a session's window, and when the program is notified of it.

use std::time::Duration;

use hive_wire::api::{MAX_SCREEN, Size};
use tokio::time::Instant;

/// How long a redraw shows another size. The program draws its screen again when it changes.
const REDRAW_PAUSE: Duration = Duration::from_millis(20);

/// A size and the change that is still to be set on the PTY. Of several changes in a row only the last one is set.
#[derive(Debug)]
pub(crate) struct WindowSize {
    size: Size,
    next: PendingSize,
}

#[derive(Debug)]
enum PendingSize {
    None,
    /// The size.
    Current,
    /// Another size first, because the kernel does not notify the program of the same one.
    Redraw,
    /// The size, a moment after the other one.
    CurrentAt(Instant),
}

impl WindowSize {
    /// A window of this size, which the PTY already has.
    pub(crate) fn new(size: Size) -> Self {
        Self { size: clamped(size), next: PendingSize::None }
    }

    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// Changes the size. With `redraw` the program is notified even if the size stays the same.
    pub(crate) fn resize(&mut self, size: Size, redraw: bool) {
        let size = clamped(size);
        if size != self.size {
            self.size = size;
            self.next = PendingSize::Current;
        // A pending change redraws the screen anyway.
        } else if redraw && matches!(self.next, PendingSize::None) {
            self.next = PendingSize::Redraw;
        }
    }

    /// Takes the size to set now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Size> {
        let (size, next) = match self.next {
            PendingSize::Current => (self.size, PendingSize::None),
            PendingSize::CurrentAt(at) if at <= now => (self.size, PendingSize::None),
            PendingSize::Redraw => (self.redraw_size(), PendingSize::CurrentAt(now + REDRAW_PAUSE)),
            PendingSize::None | PendingSize::CurrentAt(_) => return None,
        };
        self.next = next;
        Some(size)
    }

    /// When to call [`next`](Self::next) again.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        match self.next {
            PendingSize::CurrentAt(at) => Some(at),
            PendingSize::None | PendingSize::Current | PendingSize::Redraw => None,
        }
    }

    fn redraw_size(&self) -> Size {
        let Size { cols, rows } = self.size;
        // One row less, or one more where there is only one.
        Size { cols, rows: if rows > 1 { rows - 1 } else { rows + 1 } }
    }
}

fn clamped(Size { cols, rows }: Size) -> Size {
    Size { cols: cols.clamp(1, MAX_SCREEN), rows: rows.clamp(1, MAX_SCREEN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(cols: u16, rows: u16) -> Size {
        Size { cols, rows }
    }

    #[test]
    fn of_a_storm_of_sizes_the_last_one_counts() {
        let (mut screen, now) = (WindowSize::new(size(80, 24)), Instant::now());
        for cols in 1..100 {
            screen.resize(size(cols, 24), false);
        }
        assert_eq!((screen.next(now), screen.next(now)), (Some(size(99, 24)), None));
    }

    #[test]
    fn the_same_size_is_no_news() {
        let (mut screen, now) = (WindowSize::new(size(80, 24)), Instant::now());
        screen.resize(size(80, 24), false);
        assert_eq!(screen.next(now), None);
    }

    #[test]
    fn a_redraw_shows_another_size_for_a_moment() {
        let (mut screen, now) = (WindowSize::new(size(80, 24)), Instant::now());
        screen.resize(size(80, 24), true);
        assert_eq!((screen.next(now), screen.next(now)), (Some(size(80, 23)), None));
        let at = screen.next_at().unwrap();
        assert_eq!((screen.next(at), screen.next(at), screen.next_at()), (Some(size(80, 24)), None, None));
        assert_eq!(screen.size(), size(80, 24), "nobody is told of the other one");
    }

    #[test]
    fn a_change_amid_a_redraw_ends_it() {
        let (mut screen, now) = (WindowSize::new(size(80, 1)), Instant::now());
        screen.resize(size(80, 1), true);
        assert_eq!(screen.next(now), Some(size(80, 2)));
        screen.resize(size(90, 1), true);
        assert_eq!((screen.next(now), screen.next_at()), (Some(size(90, 1)), None));
    }

    #[test]
    fn a_screen_has_a_possible_size() {
        let mut screen = WindowSize::new(size(0, 0));
        assert_eq!(screen.size(), size(1, 1));
        screen.resize(size(u16::MAX, u16::MAX), false);
        assert_eq!(screen.size(), size(MAX_SCREEN, MAX_SCREEN));
    }
}
