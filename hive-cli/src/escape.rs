//! Escapes text from a hive or a satellite, so that it cannot control the terminal.

use std::borrow::Cow;

use hive_core::wire::escape::{text, text_but};

/// Escapes every harmful character, such as `\u{1b}`; tabs and line ends too.
pub(crate) fn cell(of: &str) -> Cow<'_, str> {
    text(of)
}

/// Like [`cell`], for a line of output: its tabs stay.
pub(crate) fn line(of: &str) -> Cow<'_, str> {
    text_but(of, |c| c == '\t')
}

/// Like [`line()`], for a message of several lines.
pub(crate) fn message(of: &str) -> Cow<'_, str> {
    text_but(of, |c| matches!(c, '\t' | '\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_core::wire::escape::is_harmful;

    fn check(text: &str, expected: &str) {
        assert_eq!(cell(text), expected);
        assert!(!cell(text).chars().any(is_harmful));
    }

    #[test]
    fn control_characters_are_escaped() {
        check("\u{1b}[2J\u{1b}]0;title\u{7}", "\\u{1b}[2J\\u{1b}]0;title\\u{7}");
        check("a\rb\nc\td", "a\\rb\\nc\\td");
        check("\u{9b}31m", "\\u{9b}31m");
        check("\u{7f}\0", "\\u{7f}\\u{0}");
    }

    #[test]
    fn invisible_and_bidirectional_characters_are_escaped() {
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
