//! Output of satellites on our terminal: whole lines, made harmless.

use crate::escape;

/// The most bytes of a line that is held back for its end.
const MAX_PENDING: usize = 16 * 1024;

/// One output.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes and gives the lines that they end, ready to be written.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        let mut text = String::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.pending.len() > MAX_PENDING {
                text += &self.take();
            }
        }
        text
    }

    /// Gives what was never ended by a line end.
    pub(crate) fn take_rest(&mut self) -> String {
        if self.pending.is_empty() { String::new() } else { self.take() }
    }

    fn take(&mut self) -> String {
        let line = std::mem::take(&mut self.pending);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        format!("{}\n", escape::line(&String::from_utf8_lossy(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&str], expected: &str) {
        let mut lines = Lines::default();
        let mut text: String = chunks.iter().map(|chunk| lines.push(chunk.as_bytes())).collect();
        text += &lines.take_rest();
        assert_eq!(text, expected, "of {chunks:?}");
    }

    #[test]
    fn every_line_is_whole() {
        check(&["a\nb\n"], "a\nb\n");
        check(&["a", "b\r\nc"], "ab\nc\n");
        check(&["\n"], "\n");
        check(&[], "");
    }

    #[test]
    fn a_satellite_cannot_speak_for_another() {
        check(&["\rother: lie\u{1b}[1A\n"], "\\rother: lie\\u{1b}[1A\n");
        check(&["a\u{2028}b\u{85}c\n"], "a\\u{2028}b\\u{85}c\n");
    }

    #[test]
    fn a_line_without_an_end_is_not_held_back_forever() {
        let mut lines = Lines::default();
        assert!(!lines.push(&vec![b'x'; MAX_PENDING + 1]).is_empty());
        assert_eq!(lines.take_rest(), "");
    }
}
