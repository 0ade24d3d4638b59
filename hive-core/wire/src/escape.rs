//! Text from elsewhere, made harmless where it is shown: on a terminal, in a line of a log, in a JSON document.
//!
//! Names, errors and causes come from satellites, from callers and from other servers. A control character in them moves
//! a cursor or forges a line; a bidirectional one shows a text as another.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write};
use std::io;

/// Whether a character may move the cursor, end a line, or colour, hide or reorder what stands around it.
pub fn is_harmful(c: char) -> bool {
    let is_invisible_or_reordering = matches!(c,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || is_invisible_or_reordering
}

/// Returns the text on one line, with every harmful character written out, such as `\n` and `\u{1b}`.
pub fn text(text: &str) -> Cow<'_, str> {
    text_but(text, |_| false)
}

/// Like [`text()`], with the characters left as they are that `is_kept` names.
pub fn text_but(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|c| is_harmful(c) && !is_kept(c)) {
        return text.into();
    }
    let mut harmless = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !is_harmful(c) || is_kept(c) => harmless.push(c),
            '\n' => harmless.push_str("\\n"),
            '\r' => harmless.push_str("\\r"),
            '\t' => harmless.push_str("\\t"),
            c => push_format(&mut harmless, format_args!("\\u{{{:x}}}", u32::from(c))),
        }
    }
    harmless.into()
}

/// Returns a JSON document with every harmful character of its strings written out, such as `\u202e`. It says the same.
///
/// A serializer has written out those below U+0020 already; what is left of them stands between the values.
pub fn json(document: &str) -> Cow<'_, str> {
    // Control characters below U+0020 are escaped by any serializer (RFC 8259, section 7). What is left of them is
    // white space.
    let is_raw = |c: char| is_harmful(c) && c >= '\u{7f}';
    if !document.chars().any(is_raw) {
        return document.into();
    }
    let mut harmless = String::with_capacity(document.len() + 16);
    for c in document.chars() {
        if is_raw(c) {
            // A character beyond U+FFFF takes two escapes (RFC 8259, section 7).
            for unit in c.encode_utf16(&mut [0; 2]) {
                push_format(&mut harmless, format_args!("\\u{unit:04x}"));
            }
        } else {
            harmless.push(c);
        }
    }
    harmless.into()
}

/// Returns an error and its causes on one line. Some errors repeat their cause in their own text; it appears once.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let (mut line, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        let words = error.to_string();
        // Many errors print their cause themselves.
        if !line.ends_with(&words) {
            line = format!("{line}: {words}");
        }
        cause = error.source();
    }
    text(&line.replace('\n', " ")).into_owned()
}

fn push_format(to: &mut String, text: fmt::Arguments<'_>) {
    to.write_fmt(text).expect("a string takes everything");
}

/// Writes one field of a line of a log for people: `name=value`, or the value alone where it is the message.
///
/// # Errors
/// Whatever the writer says.
pub fn log_field(to: &mut impl Write, name: &str, value: &dyn fmt::Debug, is_styled: bool) -> fmt::Result {
    match name {
        "message" => {}
        _ if is_styled => write!(to, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?,
        _ => write!(to, "{name}=")?,
    }
    write!(Escaping(to), "{value:?}")
}

/// Passes text on with every harmful character written out.
struct Escaping<'w, W>(&'w mut W);

impl<W: Write> Write for Escaping<'_, W> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.0.write_str(&text(piece))
    }
}

/// A writer of JSON lines that writes out every harmful character, as [`json`] does. Each call must bring whole characters:
/// what is no UTF-8 is replaced.
#[derive(Debug)]
pub struct JsonLines<W>(pub W);

impl<W: io::Write> io::Write for JsonLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(json(&String::from_utf8_lossy(bytes)).as_bytes())?;
        // The caller counts its own bytes. The escaped text is longer.
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(text("a\rb\nc\td\u{1b}[2J\u{7f}\u{9b}31m"), "a\\rb\\nc\\td\\u{1b}[2J\\u{7f}\\u{9b}31m");
        assert_eq!(text("user\u{202e}nimda"), "user\\u{202e}nimda");
        assert_eq!(text_but("a\tb\n", |c| c == '\t'), "a\tb\\n");
        assert_eq!(text("Zürich 日本語 👍"), "Zürich 日本語 👍");
    }

    #[test]
    fn a_document_says_the_same_without_them() {
        let document = serde_json::json!({ "\u{9b}": "\u{7f}\u{202e}\u{e0041}\n" }).to_string();
        assert_eq!(json(&document), r#"{"\u009b":"\u007f\u202e\udb40\udc41\n"}"#);
    }

    #[test]
    fn a_field_of_a_log_stays_on_its_line() {
        let field = |name, value: &dyn fmt::Debug| {
            let mut line = String::new();
            log_field(&mut line, name, value, false).unwrap();
            line
        };
        assert_eq!(field("message", &format_args!("gone\r\nINFO forged")), "gone\\r\\nINFO forged");
        assert_eq!(field("error", &format_args!("\u{1b}[2K")), "error=\\u{1b}[2K");
        assert_eq!(field("name", &"a\u{202e}b"), "name=\"a\\u{202e}b\"");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Link(&'static str, #[source] Option<Box<Self>>);

    fn check_chain(chain: &[&'static str], expected: &str) {
        let error = chain.iter().rev().fold(None, |cause, words| Some(Box::new(Link(words, cause)))).unwrap();
        assert_eq!(error_chain(error.as_ref()), expected);
    }

    #[test]
    fn an_error_chain_names_every_cause_once() {
        check_chain(&["cannot start"], "cannot start");
        check_chain(&["cannot start", "no disk", "it is\nfull"], "cannot start: no disk: it is full");
        check_chain(&["cannot start: no disk", "no disk", "it is full"], "cannot start: no disk: it is full");
    }

    /// Text in which the characters in question are frequent.
    fn hostile() -> impl Strategy<Value = String> {
        let odd =
            prop::sample::select(vec!['\r', '\n', '\u{1b}', '\u{7f}', '\u{9b}', '\u{202e}', '\u{2066}', '"', '\\']);
        prop::collection::vec(prop_oneof![odd, any::<char>()], 0..40).prop_map(|all| all.into_iter().collect())
    }

    proptest! {
        #[test]
        fn no_text_forges_a_line_or_moves_a_cursor(given in hostile()) {
            prop_assert!(!text(&given).chars().any(is_harmful));
            let mut line = String::new();
            log_field(&mut line, "error", &format_args!("{given}"), false).unwrap();
            prop_assert!(!line.chars().any(is_harmful));
        }

        #[test]
        fn every_document_reads_as_before(given in hostile()) {
            let document = serde_json::json!({ given.clone(): [given] });
            let mut written = Vec::new();
            io::Write::write_all(&mut JsonLines(&mut written), document.to_string().as_bytes()).unwrap();
            let written = String::from_utf8(written).unwrap();
            prop_assert!(!written.chars().any(is_harmful));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), document);
        }
    }
}
