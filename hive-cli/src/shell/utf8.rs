//! Keeps the characters of a session's output whole, so that no notice stands within one.
//!
//! The first bytes of a character are held back until the rest is there. Output in another encoding than UTF-8 is not
//! held back, because what looks like the first byte may be a whole character there.

use bytes::{Bytes, BytesMut};

/// The bytes of an unfinished character at the end of the output.
#[derive(Debug, Default)]
pub(super) struct Utf8Buffer {
    held: Bytes,
    /// Whether the last bytes beyond ASCII were not UTF-8.
    is_other_encoding: bool,
}

impl Utf8Buffer {
    /// Takes output and returns the part that can be shown now.
    pub(super) fn feed(&mut self, bytes: Bytes) -> Bytes {
        // Nearly always nothing is held, and the bytes are passed on without a copy.
        let all = if self.held.is_empty() { bytes } else { joined(&std::mem::take(&mut self.held), &bytes) };
        let mut complete = all;
        if let Some(start) = self.unfinished(&complete) {
            self.held = complete.split_off(start);
        }
        complete
    }

    /// Returns the bytes that are held back.
    pub(super) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.held)
    }

    /// Returns where the unfinished character begins that is to be held back.
    fn unfinished(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut start = 0;
        for chunk in bytes.utf8_chunks() {
            if !chunk.valid().is_ascii() {
                self.is_other_encoding = false;
            }
            start += chunk.valid().len();
            let rest = &bytes[start..];
            if !rest.is_empty() && str::from_utf8(rest).is_err_and(|error| is_beginning(error, rest)) {
                return (!self.is_other_encoding).then_some(start);
            }
            self.is_other_encoding |= !chunk.invalid().is_empty();
            start += chunk.invalid().len();
        }
        None
    }
}

/// Whether these bytes are the beginning of one character and nothing else.
fn is_beginning(error: std::str::Utf8Error, bytes: &[u8]) -> bool {
    // `error_len` is none where the input ends within a character that may still become valid.
    error.valid_up_to() == 0 && error.error_len().is_none() && bytes.len() < 4
}

fn joined(held: &Bytes, bytes: &Bytes) -> Bytes {
    let mut all = BytesMut::with_capacity(held.len() + bytes.len());
    all.extend_from_slice(held);
    all.extend_from_slice(bytes);
    all.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]], expected: &[&[u8]]) {
        let mut characters = Utf8Buffer::default();
        let shown: Vec<_> = pieces.iter().map(|piece| characters.feed(Bytes::copy_from_slice(piece))).collect();
        assert_eq!(shown, expected, "{pieces:?}");
    }

    #[test]
    fn a_character_is_shown_when_it_is_whole() {
        check(&[b"a\xe2\x82", b"\xac b"], &[b"a", b"\xe2\x82\xac b"]);
        check(&[b"\xf0", b"\x9f", b"\x91\x8d"], &[b"", b"", b"\xf0\x9f\x91\x8d"]);
        check(&[b"plain", b"\x1b[1m"], &[b"plain", b"\x1b[1m"]);
    }

    #[test]
    fn what_is_no_utf_8_is_not_held_for_ever() {
        check(&[b"caf\xe9", b" x", b"caf\xe9", b"."], &[b"caf", b"\xe9 x", b"caf\xe9", b"."]);
        check(&[b"\xe9!", "ü".as_bytes(), b"\xc3", b"\xbc"], &[b"\xe9!", "ü".as_bytes(), b"", "ü".as_bytes()]);
    }

    #[test]
    fn nothing_is_lost_however_it_is_cut() {
        let text = "a€👍 é\u{1b}[0m".as_bytes();
        for cut in 0..=text.len() {
            let mut characters = Utf8Buffer::default();
            let mut shown = characters.feed(Bytes::copy_from_slice(&text[..cut])).to_vec();
            assert!(str::from_utf8(&shown).is_ok(), "cut at {cut}");
            shown.extend_from_slice(&characters.feed(Bytes::copy_from_slice(&text[cut..])));
            assert_eq!((shown.as_slice(), characters.take().len()), (text, 0), "cut at {cut}");
        }
    }
}
