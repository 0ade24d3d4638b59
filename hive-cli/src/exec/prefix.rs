//! Output of several satellites on one terminal: whole lines, each behind its satellite's name, made harmless.

use crate::escape;

/// The most bytes of a line that is held back for its end.
const MAX_PENDING: usize = 16 * 1024;

/// One output of one satellite.
#[derive(Debug)]
pub(crate) struct Prefixer {
    name: String,
    pending: Vec<u8>,
}

impl Prefixer {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: escape::cell(name).into_owned(), pending: Vec::new() }
    }

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
        format!("{}: {}\n", self.name, escape::line(&String::from_utf8_lossy(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&str], expected: &str) {
        let mut prefixer = Prefixer::new("web");
        let mut text: String = chunks.iter().map(|chunk| prefixer.push(chunk.as_bytes())).collect();
        text += &prefixer.take_rest();
        assert_eq!(text, expected, "of {chunks:?}");
    }

    #[test]
    fn every_line_stands_behind_the_name() {
        check(&["a\nb\n"], "web: a\nweb: b\n");
        check(&["a", "b\r\nc"], "web: ab\nweb: c\n");
        check(&["\n"], "web: \n");
        check(&[], "");
    }

    #[test]
    fn a_satellite_cannot_speak_for_another() {
        check(&["\rother: lie\u{1b}[1A\n"], "web: \\rother: lie\\u{1b}[1A\n");
        check(&["a\u{2028}b\u{85}c\n"], "web: a\\u{2028}b\\u{85}c\n");
    }

    #[test]
    fn a_line_without_an_end_is_not_held_back_forever() {
        let mut prefixer = Prefixer::new("web");
        assert!(!prefixer.push(&vec![b'x'; MAX_PENDING + 1]).is_empty());
        assert_eq!(prefixer.take_rest(), "");
    }
}
