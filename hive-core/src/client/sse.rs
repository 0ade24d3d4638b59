//! Server-sent events (HTML standard, section 9.2.6, "Interpreting an event stream"). Retry times are skipped, because a stream
//! that breaks off is not resumed here.

use super::lines::{LineSplitter, LineTooLong};

/// One block of lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// The name of the event.
    pub(super) name: Option<String>,
    /// The id that was sent last, with this block or before. It may come without an event.
    pub(super) id: Option<String>,
    /// The data of the event; none where the block is no event.
    pub(super) data: Option<String>,
}

/// Parses blocks out of chunks of bytes.
#[derive(Debug)]
pub(super) struct Parser {
    lines: LineSplitter,
    limit: usize,
    block: Block,
    last_id: Option<String>,
}

impl Parser {
    /// Creates a parser for events of at most `limit` bytes of data.
    pub(super) fn new(limit: usize) -> Self {
        Self { lines: LineSplitter::new(limit), limit, block: Block::default(), last_id: None }
    }

    /// Accepts the next bytes and returns the blocks that they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Block>, LineTooLong> {
        let mut blocks = Vec::new();
        for line in self.lines.push(bytes)? {
            if line.is_empty() {
                blocks.extend(self.take_block());
                continue;
            }
            let (field, value) = split(&line);
            match field {
                b"data" => self.append(value)?,
                b"event" => self.block.name = Some(text(value)),
                b"id" => self.block.id = Some(text(value)),
                _ => {}
            }
        }
        Ok(blocks)
    }

    /// The block that ends here; none where it has neither data nor an id.
    fn take_block(&mut self) -> Option<Block> {
        let Block { name, id, data } = std::mem::take(&mut self.block);
        if data.is_none() && id.is_none() {
            return None;
        }
        self.last_id = id.or(self.last_id.take());
        Some(Block { name, id: self.last_id.clone(), data })
    }

    fn append(&mut self, value: &[u8]) -> Result<(), LineTooLong> {
        // The limit of a line does not limit an event, which may have any number of lines.
        let length = self.block.data.as_ref().map_or(0, String::len);
        if length + value.len() > self.limit {
            return Err(self.lines.too_long());
        }
        match &mut self.block.data {
            None => self.block.data = Some(text(value)),
            // Several `data` lines are one text with line feeds between them.
            Some(data) => {
                data.push('\n');
                data.push_str(&String::from_utf8_lossy(value));
            }
        }
        Ok(())
    }
}

/// The field of a line and its value. A comment is a line without the name of a field.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    // The stream may begin with a byte order mark.
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return (line, &[]) };
    // One space after the colon is not part of the value. Further ones are.
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_of(parser: &mut Parser, chunk: &[u8]) -> Vec<String> {
        parser.push(chunk).unwrap().into_iter().filter_map(|block| block.data).collect()
    }

    fn check(chunks: &[&str], expected: &[&str]) {
        let mut parser = Parser::new(64);
        let got: Vec<_> = chunks.iter().flat_map(|chunk| data_of(&mut parser, chunk.as_bytes())).collect();
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
    fn an_event_has_a_name_and_an_id_and_an_id_may_come_alone() {
        let block = |name: Option<&str>, id: Option<&str>, data: Option<&str>| Block {
            name: name.map(Into::into),
            id: id.map(Into::into),
            data: data.map(Into::into),
        };
        let check = |text: &str, expected: &[Block]| {
            assert_eq!(Parser::new(64).push(text.as_bytes()).unwrap(), expected, "{text:?}");
        };
        check("id: 1-2\nevent: resync\ndata: {}\n\n", &[block(Some("resync"), Some("1-2"), Some("{}"))]);
        check("id: 1-2\n\ndata: a\n\n", &[block(None, Some("1-2"), None), block(None, Some("1-2"), Some("a"))]);
        check("data: a\n\nevent: ping\n\n", &[block(None, None, Some("a"))]);
        check(": hello\n\n\n\nretry: 1\n\n", &[]);
    }

    #[test]
    fn chunks_may_be_cut_anywhere() {
        let text = "event: output\ndata: {\"x\":\"ä\"}\n\ndata: 2\n\n";
        let mut parser = Parser::new(64);
        let got: Vec<_> = text.as_bytes().iter().flat_map(|byte| data_of(&mut parser, &[*byte])).collect();
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
