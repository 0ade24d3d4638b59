//! Encodes output as the inside of a JSON string, in pieces. The pieces together are what the whole output would give.

use data_encoding::BASE64;
use hive_core::wire::api::OutputEncoding;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Encodes the pieces of one output.
#[derive(Debug)]
pub(super) struct OutputEncoder {
    encoding: OutputEncoding,
    /// Bytes that cannot be encoded yet: the beginning of a UTF-8 character or of a base64 group.
    incomplete: Vec<u8>,
}

impl OutputEncoder {
    pub(super) fn new(encoding: OutputEncoding) -> Self {
        Self { encoding, incomplete: Vec::new() }
    }

    /// Encodes the next bytes, as far as they are complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.incomplete);
        all.extend_from_slice(bytes);
        let (text, used) = match self.encoding {
            OutputEncoding::Lossy => {
                let (text, used) = lossy(&all);
                (escape(&text), used)
            }
            OutputEncoding::Base64 => {
                // Three bytes give four characters without padding, which may only stand at the end.
                let used = all.len() / 3 * 3;
                (BASE64.encode(&all[..used]), used)
            }
        };
        self.incomplete = all.split_off(used);
        text
    }

    /// Encodes what is left at the end of the output.
    pub(super) fn finish(&mut self) -> String {
        let rest = std::mem::take(&mut self.incomplete);
        match self.encoding {
            OutputEncoding::Lossy => escape(&String::from_utf8_lossy(&rest)),
            OutputEncoding::Base64 => BASE64.encode(&rest),
        }
    }
}

/// Decodes all bytes but an incomplete last character, and returns how many these are. Invalid bytes are replaced.
fn lossy(bytes: &[u8]) -> (String, usize) {
    let mut text = String::with_capacity(bytes.len());
    let mut used = 0;
    loop {
        match str::from_utf8(&bytes[used..]) {
            Ok(valid) => {
                text.push_str(valid);
                return (text, bytes.len());
            }
            Err(error) => {
                let valid = &bytes[used..used + error.valid_up_to()];
                text.push_str(&String::from_utf8_lossy(valid));
                used += valid.len();
                // No length: the bytes may become a character with the next piece.
                let Some(invalid) = error.error_len() else { return (text, used) };
                text.push('\u{fffd}');
                used += invalid;
            }
        }
    }
}

/// Escapes text for the inside of a JSON string (RFC 8259, section 7).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|char: char| matches!(char, '"' | '\\' | '\0'..='\u{1f}')) {
        let (plain, special) = rest.split_at(at);
        escaped.push_str(plain);
        match special.as_bytes()[0] {
            b'\n' => escaped.push_str("\\n"),
            b'\r' => escaped.push_str("\\r"),
            b'\t' => escaped.push_str("\\t"),
            0x08 => escaped.push_str("\\b"),
            0x0c => escaped.push_str("\\f"),
            control @ 0..0x20 => {
                let digits = [control >> 4, control & 0xf].map(|digit| char::from(HEX[usize::from(digit)]));
                escaped.push_str("\\u00");
                escaped.extend(digits);
            }
            printable => escaped.extend(['\\', char::from(printable)]),
        }
        rest = &special[1..];
    }
    escaped.push_str(rest);
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(encoding: OutputEncoding, pieces: &[&[u8]]) -> String {
        let mut encoder = OutputEncoder::new(encoding);
        let mut all: String = pieces.iter().map(|piece| encoder.push(piece)).collect();
        all += &encoder.finish();
        all
    }

    fn check(bytes: &[u8], cut: usize) {
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        let lossy = encoded(OutputEncoding::Lossy, &[first, second]);
        let expected = serde_json::to_string(&String::from_utf8_lossy(bytes)).unwrap();
        assert_eq!(format!("\"{lossy}\""), expected, "{bytes:?} cut at {cut}");
        assert_eq!(encoded(OutputEncoding::Base64, &[first, second]), BASE64.encode(bytes));
    }

    #[test]
    fn a_cut_within_a_character_changes_nothing() {
        let text = "a\"\\\u{1b}\0\nä€\u{1f44d}".as_bytes();
        for cut in 0..=text.len() {
            check(text, cut);
        }
    }

    #[test]
    fn invalid_utf8_is_replaced_as_in_one_piece() {
        for bytes in [&b"\xff\xfe"[..], b"a\xe2\x82", b"\xe2\x82a", b"\xf0\x9f\x91", b"\xc3", b""] {
            for cut in 0..=bytes.len() {
                check(bytes, cut);
            }
        }
    }

    #[test]
    fn control_characters_are_escaped_as_by_serde_json() {
        let text: String = ('\0'..'\u{80}').collect();
        check(text.as_bytes(), 40);
    }

    proptest! {
        #[test]
        fn pieces_give_the_same_as_the_whole(bytes: Vec<u8>, cut in 0usize..64) {
            check(&bytes, cut);
        }
    }
}
