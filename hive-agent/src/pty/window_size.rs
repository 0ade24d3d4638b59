//! The size of a terminal, and when its program is told.

use std::time::Duration;

use hive_wire::api::{MAX_SCREEN, Size};
use tokio::time::Instant;

/// How long a program sees another size before it sees its own again, so that it draws its screen anew.
const NUDGE: Duration = Duration::from_millis(20);

/// A size, and what the program is still to be told of it. Of many changes in a row, the last one counts.
#[derive(Debug)]
pub(crate) struct Screen {
    size: Size,
    next: Next,
}

#[derive(Debug)]
enum Next {
    Nothing,
    /// The size.
    Tell,
    /// Another size: the kernel keeps the same one to itself.
    Nudge,
    /// The size, a moment after a nudge.
    TellAt(Instant),
}

impl Screen {
    /// A screen of this size, of which the program knows.
    pub(crate) fn new(size: Size) -> Self {
        Self { size: possible(size), next: Next::Nothing }
    }

    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// Changes the size; with `redraw`, the program is told even of the same one.
    pub(crate) fn resize(&mut self, size: Size, redraw: bool) {
        let size = possible(size);
        if size != self.size {
            self.size = size;
            self.next = Next::Tell;
        } else if redraw && matches!(self.next, Next::Nothing) {
            self.next = Next::Nudge;
        }
    }

    /// Takes the size to set now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Size> {
        let (size, next) = match self.next {
            Next::Tell => (self.size, Next::Nothing),
            Next::TellAt(at) if at <= now => (self.size, Next::Nothing),
            Next::Nudge => (self.nudged(), Next::TellAt(now + NUDGE)),
            Next::Nothing | Next::TellAt(_) => return None,
        };
        self.next = next;
        Some(size)
    }

    /// When to ask again.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        match self.next {
            Next::TellAt(at) => Some(at),
            Next::Nothing | Next::Tell | Next::Nudge => None,
        }
    }

    fn nudged(&self) -> Size {
        let Size { cols, rows } = self.size;
        Size { cols, rows: if rows > 1 { rows - 1 } else { rows + 1 } }
    }
}

fn possible(Size { cols, rows }: Size) -> Size {
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
        let (mut screen, now) = (Screen::new(size(80, 24)), Instant::now());
        for cols in 1..100 {
            screen.resize(size(cols, 24), false);
        }
        assert_eq!((screen.next(now), screen.next(now)), (Some(size(99, 24)), None));
    }

    #[test]
    fn the_same_size_is_no_news() {
        let (mut screen, now) = (Screen::new(size(80, 24)), Instant::now());
        screen.resize(size(80, 24), false);
        assert_eq!(screen.next(now), None);
    }

    #[test]
    fn a_redraw_shows_another_size_for_a_moment() {
        let (mut screen, now) = (Screen::new(size(80, 24)), Instant::now());
        screen.resize(size(80, 24), true);
        assert_eq!((screen.next(now), screen.next(now)), (Some(size(80, 23)), None));
        let at = screen.next_at().unwrap();
        assert_eq!((screen.next(at), screen.next(at), screen.next_at()), (Some(size(80, 24)), None, None));
        assert_eq!(screen.size(), size(80, 24), "nobody is told of the other one");
    }

    #[test]
    fn a_change_amid_a_redraw_ends_it() {
        let (mut screen, now) = (Screen::new(size(80, 1)), Instant::now());
        screen.resize(size(80, 1), true);
        assert_eq!(screen.next(now), Some(size(80, 2)));
        screen.resize(size(90, 1), true);
        assert_eq!((screen.next(now), screen.next_at()), (Some(size(90, 1)), None));
    }

    #[test]
    fn a_screen_has_a_possible_size() {
        let mut screen = Screen::new(size(0, 0));
        assert_eq!(screen.size(), size(1, 1));
        screen.resize(size(u16::MAX, u16::MAX), false);
        assert_eq!(screen.size(), size(MAX_SCREEN, MAX_SCREEN));
    }
}
