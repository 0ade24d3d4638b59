//! Lines out of chunks of bytes, with a limit on their length.

/// A line is longer than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line of more than {0} bytes")]
pub(super) struct LineTooLong(usize);

/// Splits a stream of bytes into lines that end with LF, CRLF or CR. The line ends are removed.
#[derive(Debug)]
pub(super) struct LineSplitter {
    pending: Vec<u8>,
    limit: usize,
    /// Whether the last byte was a CR. An LF after it belongs to the same line end.
    is_behind_cr: bool,
}

impl LineSplitter {
    pub(super) fn new(limit: usize) -> Self {
        Self { pending: Vec::new(), limit, is_behind_cr: false }
    }

    /// Accepts the next bytes and returns the lines that they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, LineTooLong> {
        let mut lines = Vec::new();
        let mut rest = bytes;
        while let Some((&first, behind)) = rest.split_first() {
            // A CR ends its line at once. Waiting for the LF would hold the last event back until the next one.
            if std::mem::take(&mut self.is_behind_cr) && first == b'\n' {
                rest = behind;
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let piece = &rest[..end.unwrap_or(rest.len())];
            // Checked before the bytes are copied, also for a line that has not ended yet.
            if self.pending.len() + piece.len() > self.limit {
                return Err(self.too_long());
            }
            self.pending.extend_from_slice(piece);
            let Some(end) = end else { break };
            lines.push(std::mem::take(&mut self.pending));
            self.is_behind_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
        }
        Ok(lines)
    }

    /// Returns the error for a line beyond the limit.
    pub(super) fn too_long(&self) -> LineTooLong {
        LineTooLong(self.limit)
    }

    /// Takes the bytes after the last line end.
    pub(super) fn take_rest(&mut self) -> Option<Vec<u8>> {
        Some(std::mem::take(&mut self.pending)).filter(|rest| !rest.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&str], expected: &[&str]) {
        let mut lines = LineSplitter::new(100);
        let mut got = Vec::new();
        for chunk in chunks {
            got.extend(lines.push(chunk.as_bytes()).unwrap());
        }
        let got: Vec<_> = got.into_iter().map(|line| String::from_utf8(line).unwrap()).collect();
        assert_eq!(got, expected, "of {chunks:?}");
    }

    #[test]
    fn lines_end_in_lf_crlf_or_cr() {
        check(&["a\nb\r\nc\rd"], &["a", "b", "c"]);
        check(&["a\r", "\nb\n"], &["a", "b"]);
        check(&["a\r", "b\n"], &["a", "b"]);
        check(&["\n\n"], &["", ""]);
        check(&["\r\r\n\n"], &["", "", ""]);
        check(&["a", "b", "c\n"], &["abc"]);
        check(&["", "a"], &[]);
    }

    #[test]
    fn a_line_has_a_bound() {
        let mut lines = LineSplitter::new(4);
        assert_eq!(lines.push(b"1234\n12"), Ok(vec![b"1234".to_vec()]));
        assert_eq!(lines.push(b"345"), Err(LineTooLong(4)));
    }
}
