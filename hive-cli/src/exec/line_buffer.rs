//! Splits the output of a satellite into whole lines with harmful characters escaped.

use crate::escape;

/// The most bytes of a line that are held back until its end.
const MAX_PENDING: usize = 16 * 1024;

/// The unfinished line of one output.
#[derive(Debug, Default)]
pub(crate) struct LineBuffer {
    pending: Vec<u8>,
}

impl LineBuffer {
    /// Takes the next bytes and returns the lines that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        let mut text = String::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(part);
            if part.ends_with(b"\n") || self.pending.len() > MAX_PENDING {
                text += &self.take();
            }
        }
        text
    }

    /// Returns the last line, where it has no line end.
    pub(crate) fn take_rest(&mut self) -> String {
        if self.pending.is_empty() { String::new() } else { self.take() }
    }

    fn take(&mut self) -> String {
        let line = std::mem::take(&mut self.pending);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        // CR LF is one line end. Escaped, the CR would stand at the end of each line.
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // Decoded line by line: the bytes of one character may come in two chunks.
        format!("{}\n", escape::line(&String::from_utf8_lossy(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&str], expected: &str) {
        let mut lines = LineBuffer::default();
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
        let mut lines = LineBuffer::default();
        assert!(!lines.push(&vec![b'x'; MAX_PENDING + 1]).is_empty());
        assert_eq!(lines.take_rest(), "");
    }
}
