//! Whether the text of a command begins with a prefix of the policy.

/// Compares the command with and without the program's directory.
pub(super) fn is_blocked_by(text: &str, prefix: &str) -> bool {
    let ends_word = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'));
    let program_end = text.find(ends_word).unwrap_or(text.len());
    // `/bin/rm` must be blocked by `rm`, and by `/bin/rm` as well.
    let without_directory = text[..program_end].rfind('/').map_or(text, |slash| &text[slash + 1..]);
    begins_with(text, prefix, ends_word) || begins_with(without_directory, prefix, ends_word)
}

/// Whether the text begins with the prefix, and the prefix ends with a whole word.
pub(super) fn begins_with(text: &str, prefix: &str, ends_word: impl Fn(char) -> bool) -> bool {
    let prefix = prefix.trim_start();
    let Some(rest) = text.strip_prefix(prefix) else { return false };
    let prefix_ends_word = prefix.ends_with(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')));
    // An empty prefix would match every command.
    !prefix.is_empty() && (prefix_ends_word || rest.chars().next().is_none_or(ends_word))
}
