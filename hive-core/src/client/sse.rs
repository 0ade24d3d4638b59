//! Server-sent events (HTML standard, section 9.2.6, "Interpreting an event stream"). Ids and retry times are skipped, because
//! a stream that breaks off is not resumed.

use super::lines::{LineSplitter, LineTooLong};

/// The data of one event. The event's name is skipped, because the data contains it.
pub(super) type Data = String;

/// Parses events out of chunks of bytes.
#[derive(Debug)]
pub(super) struct Parser {
    lines: LineSplitter,
    limit: usize,
    data: String,
    has_data: bool,
}

impl Parser {
    /// Creates a parser for events of at most `limit` bytes of data.
    pub(super) fn new(limit: usize) -> Self {
        Self { lines: LineSplitter::new(limit), limit, data: String::new(), has_data: false }
    }

    /// Accepts the next bytes and returns the data of the events that they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Data>, LineTooLong> {
        let mut events = Vec::new();
        for line in self.lines.push(bytes)? {
            if line.is_empty() {
                events.extend(self.take_event());
            } else if let Some(value) = data_of(&line) {
                self.append(value)?;
            }
        }
        Ok(events)
    }

    fn append(&mut self, value: &[u8]) -> Result<(), LineTooLong> {
        // The limit of a line does not limit an event, which may have any number of lines.
        if self.data.len() + value.len() > self.limit {
            return Err(self.lines.too_long());
        }
        // Several `data` lines are one text with line feeds between them.
        if self.has_data {
            self.data.push('\n');
        }
        self.has_data = true;
        self.data.push_str(&String::from_utf8_lossy(value));
        Ok(())
    }

    fn take_event(&mut self) -> Option<Data> {
        let data = std::mem::take(&mut self.data);
        // An event without a `data` line, such as a comment that keeps the connection alive, is none.
        std::mem::take(&mut self.has_data).then_some(data)
    }
}

/// Returns the value of a `data` line; `None` for other fields and comments.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    // The stream may begin with a byte order mark.
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    let value = match line.strip_prefix(b"data")? {
        [] => &[],
        [b':', value @ ..] => value,
        _ => return None,
    };
    // One space after the colon is not part of the value. Further ones are.
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&str], expected: &[&str]) {
        let mut parser = Parser::new(64);
        let got: Vec<_> = chunks.iter().flat_map(|chunk| parser.push(chunk.as_bytes()).unwrap()).collect();
        assert_eq!(got, expected, "of {chunks:?}");
    }

    #[test]
    fn events_are_told_apart() {
        check(&["data: a\n\ndata:b\n\n"], &["a", "b"]);
        check(&["event: exit\ndata: {}\nid: 7\n\n"], &["{}"]);
        check(&["data: a\r\ndata: b\r\n\r\n"], &["a\nb"]);
        check(&["data\n\n"], &[""]);
        check(&["data:  two spaces\n\n"], &[" two spaces"]);
    }

    #[test]
    fn what_is_no_data_gives_no_event() {
        check(&[": keep-alive\n\n", "\n\n", "event: ping\n\n", "database: x\n\n"], &[]);
        check(&["data: never ended\n"], &[]);
    }

    #[test]
    fn chunks_may_be_cut_anywhere() {
        let text = "event: output\ndata: {\"x\":\"ä\"}\n\ndata: 2\n\n";
        let mut parser = Parser::new(64);
        let got: Vec<_> = text.as_bytes().iter().flat_map(|byte| parser.push(&[*byte]).unwrap()).collect();
        assert_eq!(got, ["{\"x\":\"ä\"}", "2"]);
    }

    #[test]
    fn an_event_has_a_bound() {
        assert!(Parser::new(8).push(b"data: 123456789").is_err());
        let mut parser = Parser::new(16);
        assert!(
            parser.push(b"data: 1234567890\ndata: 1234567890\n").is_err(),
            "its lines are short, but together too long"
        );
    }
}
