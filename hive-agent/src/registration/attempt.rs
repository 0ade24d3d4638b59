//! The id of a registration attempt. It is sent with the token, so that the server answers a repeated registration
//! again.
//!
//! It is stored beside the key until the registration succeeds: after a power loss the same id is sent.

use std::fs;
use std::io;
use std::path::Path;

use crate::random;
use crate::storage::files;

/// Returns the id of an attempt that has not ended, or creates one.
pub(crate) fn begin(path: &Path) -> io::Result<String> {
    let is_word = |text: &String| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    // A damaged file counts as none: the worst case is one more registration.
    if let Some(attempt) = fs::read_to_string(path).ok().filter(is_word) {
        return Ok(attempt);
    }
    let attempt = random::unique_id()?;
    files::write_atomically(path, attempt.as_bytes())?;
    Ok(attempt)
}

/// Ends the attempt, because the satellite has its key. A file that cannot be removed does no harm: the next token is
/// another one.
pub(crate) fn end(path: &Path) {
    drop(fs::remove_file(path));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_has_one_word_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registration.attempt");
        let first = begin(&path).unwrap();
        assert_eq!(begin(&path).unwrap(), first);
        end(&path);
        assert_ne!(begin(&path).unwrap(), first);
        fs::write(&path, "damaged").unwrap();
        assert_eq!(begin(&path).unwrap().len(), 32);
    }
}
