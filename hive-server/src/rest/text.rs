//! Output as the inside of a JSON string, piece by piece: what comes out is what the whole output at once would give.

use data_encoding::BASE64;
use hive_core::wire::api::OutputEncoding;

/// Turns the pieces of one output into text.
#[derive(Debug)]
pub(super) struct TextPieces {
    encoding: OutputEncoding,
    /// The beginning of what cannot be written before more is here: a letter in UTF-8, a group of base64.
    rest: Vec<u8>,
}

impl TextPieces {
    pub(super) fn new(encoding: OutputEncoding) -> Self {
        Self { encoding, rest: Vec::new() }
    }

    /// Takes the next bytes and gives what can be written by now.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        let (text, used) = match self.encoding {
            OutputEncoding::Lossy => lossy(&all),
            OutputEncoding::Base64 => {
                let whole = all.len() / 3 * 3;
                (BASE64.encode(&all[..whole]), whole)
            }
        };
        self.rest = all.split_off(used);
        escaped(&text)
    }

    /// Gives what is left at the end.
    pub(super) fn finish(&mut self) -> String {
        let rest = std::mem::take(&mut self.rest);
        match self.encoding {
            OutputEncoding::Lossy => escaped(&String::from_utf8_lossy(&rest)),
            OutputEncoding::Base64 => BASE64.encode(&rest),
        }
    }
}

/// The text of all bytes but a last letter that is not complete, and how many these are.
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
                let Some(wrong) = error.error_len() else { return (text, used) };
                text.push('\u{fffd}');
                used += wrong;
            }
        }
    }
}

/// The text as it stands between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let inside = quoted.strip_prefix('"').and_then(|quoted| quoted.strip_suffix('"'));
    inside.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(encoding: OutputEncoding, pieces: &[&[u8]]) -> String {
        let mut text = TextPieces::new(encoding);
        let mut all: String = pieces.iter().map(|piece| text.push(piece)).collect();
        all += &text.finish();
        all
    }

    fn check(bytes: &[u8], cut: usize) {
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        let lossy = written(OutputEncoding::Lossy, &[first, second]);
        let read: String = serde_json::from_str(&format!("\"{lossy}\"")).expect("the inside of a JSON string");
        assert_eq!(read, String::from_utf8_lossy(bytes), "{bytes:?} cut at {cut}");
        assert_eq!(written(OutputEncoding::Base64, &[first, second]), BASE64.encode(bytes));
    }

    #[test]
    fn a_cut_in_a_letter_changes_nothing() {
        let text = "a\"\\\u{1b}\0\nä€\u{1f44d}".as_bytes();
        for cut in 0..=text.len() {
            check(text, cut);
        }
    }

    #[test]
    fn what_is_no_text_is_replaced_as_in_one_piece() {
        for bytes in [&b"\xff\xfe"[..], b"a\xe2\x82", b"\xe2\x82a", b"\xf0\x9f\x91", b"\xc3", b""] {
            for cut in 0..=bytes.len() {
                check(bytes, cut);
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_are_the_whole(bytes: Vec<u8>, cut in 0usize..64) {
            check(&bytes, cut);
        }
    }
}
