//! Makes text from elsewhere harmless for a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character may move the cursor, colour, hide or reorder what stands around it.
fn is_harmful(c: char) -> bool {
    let is_invisible_or_reordering = matches!(c,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || is_invisible_or_reordering
}

/// The text with every harmful character written out, such as `\u{1b}`; tabs and line ends too.
pub(crate) fn cell(text: &str) -> Cow<'_, str> {
    escaped(text, is_harmful)
}

/// Like [`cell`], for a line of output: its tabs stay.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_harmful(c) && c != '\t')
}

/// Like [`line()`], for a message of several lines.
pub(crate) fn message(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_harmful(c) && !matches!(c, '\t' | '\n'))
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_escaped) {
        return text.into();
    }
    let mut harmless = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' if is_escaped(c) => harmless.push_str("\\n"),
            '\r' => harmless.push_str("\\r"),
            '\t' if is_escaped(c) => harmless.push_str("\\t"),
            c if is_escaped(c) => {
                let _ = write!(harmless, "\\u{{{:x}}}", u32::from(c));
            }
            c => harmless.push(c),
        }
    }
    harmless.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(cell(text), expected);
        assert!(!cell(text).chars().any(is_harmful));
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        check("\u{1b}[2J\u{1b}]0;title\u{7}", "\\u{1b}[2J\\u{1b}]0;title\\u{7}");
        check("a\rb\nc\td", "a\\rb\\nc\\td");
        check("\u{9b}31m", "\\u{9b}31m");
        check("\u{7f}\0", "\\u{7f}\\u{0}");
    }

    #[test]
    fn what_would_deceive_the_eye_is_written_out() {
        check("user\u{202e}nimda", "user\\u{202e}nimda");
        check("a\u{200b}b\u{2066}c\u{feff}", "a\\u{200b}b\\u{2066}c\\u{feff}");
    }

    #[test]
    fn ordinary_text_of_any_language_stays() {
        for text in ["web-server-01", "Zürich", "日本語", "👍", "\\u{1b}"] {
            check(text, text);
        }
    }

    #[test]
    fn a_line_keeps_its_tabs_and_nothing_else() {
        assert_eq!(line("a\tb\u{1b}[0m\r"), "a\tb\\u{1b}[0m\\r");
        assert_eq!(message("a\nb\u{1b}"), "a\nb\\u{1b}");
    }
}
