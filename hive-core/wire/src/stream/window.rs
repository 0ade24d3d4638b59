//! How many bytes may be in flight to a reader.

use std::time::Duration;

use super::MAX_WINDOW;

/// The smallest window: two frames of a busy screen.
const MIN_WINDOW: u64 = 16 * 1024;
/// The window before anything was measured.
const FIRST_WINDOW: u64 = 64 * 1024;
/// The time in which all bytes in flight should arrive. After Ctrl-C, the prompt takes about that long to appear.
const PATIENCE: Duration = Duration::from_millis(500);
/// The shortest time that says something about a rate.
const SAMPLE: Duration = Duration::from_millis(50);

/// A window that fits the reader: what it reads in half a second, from 16 KiB to 1 MiB.
///
/// A fast reader gets a large window and is never waited for. A slow reader gets a small one, so that new output does
/// not queue behind output that it has not read. The caller gives times as durations since any fixed moment.
#[derive(Debug, Clone)]
pub struct Window {
    size: u64,
    sample: Option<Sample>,
}

/// A stretch of time in which the reader always had something to read.
#[derive(Debug, Clone, Copy)]
struct Sample {
    since: Duration,
    offset: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { size: FIRST_WINDOW, sample: None }
    }
}

impl Window {
    /// How many bytes may be under way.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Notes that the reader has read up to `read` of `produced` bytes.
    pub fn on_read(&mut self, now: Duration, read: u64, produced: u64) {
        let has_more_to_read = produced > read;
        let Some(sample) = self.sample else {
            self.sample = has_more_to_read.then_some(Sample { since: now, offset: read });
            return;
        };
        let took = now.saturating_sub(sample.since);
        let bytes = read.saturating_sub(sample.offset);
        // A whole window in less time than a sample takes is fast, whatever the exact rate.
        if took >= SAMPLE || bytes >= self.size {
            // No time at all would make the rate infinite.
            let rate = bytes as f64 / took.as_secs_f64().max(1e-6);
            let wanted = (rate * PATIENCE.as_secs_f64()) as u64;
            // Doubled at most: one short sample must not open the window all the way.
            self.size = wanted.clamp(MIN_WINDOW, MAX_WINDOW).min(self.size * 2);
            self.sample = has_more_to_read.then_some(Sample { since: now, offset: read });
        } else if !has_more_to_read {
            // What comes next is as fast as the program, and says nothing about the reader.
            self.sample = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader of so many bytes a second, who acknowledges every 8 KiB and always has more to read.
    fn after_a_while(bytes_per_second: f64) -> u64 {
        let mut window = Window::default();
        for n in 0..2_000u64 {
            let read = n * 8192;
            window.on_read(Duration::from_secs_f64(read as f64 / bytes_per_second), read, read + window.size());
        }
        window.size()
    }

    #[test]
    fn a_window_is_half_a_second_of_reading() {
        assert_eq!(after_a_while(80e6), MAX_WINDOW);
        assert_eq!(after_a_while(10e3), MIN_WINDOW);
        let modem = after_a_while(100e3);
        assert!((40_000..60_000).contains(&modem), "{modem}");
    }

    #[test]
    fn a_reader_who_has_read_everything_keeps_their_window() {
        let mut window = Window::default();
        for n in 1..100u64 {
            window.on_read(Duration::from_secs(n), n, n);
        }
        assert_eq!(window.size(), FIRST_WINDOW);
    }
}
