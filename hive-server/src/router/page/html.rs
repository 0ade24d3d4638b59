//! Text as HTML.

use std::fmt::Write;

/// Escapes a text for elements and attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Writes the part of Markdown that descriptions use: paragraphs, lists, and code in backticks.
pub(super) fn markdown(text: &str) -> String {
    let mut html = String::new();
    for block in text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
        if block.lines().all(|line| line.starts_with("- ")) {
            html.push_str("<ul>");
            for line in block.lines() {
                let _ = write!(html, "<li>{}</li>", inline(&line[2..]));
            }
            html.push_str("</ul>\n");
        } else {
            let _ = writeln!(html, "<p>{}</p>", inline(block));
        }
    }
    html
}

/// Code spans are every second part of a text that is split at backticks.
pub(super) fn inline(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let part = |(number, part): (usize, &str)| match number % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    };
    parts.map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_paragraphs_lists_and_code() {
        let check = |text, expected| assert_eq!(markdown(text), expected);
        check("One `two` <b>.", "<p>One <code>two</code> &lt;b&gt;.</p>\n");
        check("Words:\n\n- `a`: A.\n- b", "<p>Words:</p>\n<ul><li><code>a</code>: A.</li><li>b</li></ul>\n");
        check("", "");
    }
}
