//! Cursors: the place in a list behind which the next part begins, as a text for callers.
//!
//! A cursor has the sort value and the id of a row that its caller has seen, and the digest of the list, its filter and its order.
//! It grants nothing: whoever makes one up gets rows of the list that they may see anyway.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::store::{KeyKind, SortKey};
use crate::{Error, Result};

/// The form of the bytes of a cursor.
const VERSION: u8 = 1;
/// The most bytes of a cursor that is looked at. Sort values are names and times.
const MAX_LEN: usize = 2048;
const DIGEST_LEN: usize = 8;

/// The digest of a list, its filter and its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListDigest([u8; DIGEST_LEN]);

impl ListDigest {
    pub(super) fn of(list: &impl Serialize, sort: &str) -> Result<Self> {
        let text = serde_json::to_vec(&(list, sort)).map_err(Error::internal)?;
        let mut digest = [0; DIGEST_LEN];
        digest.copy_from_slice(&Sha256::digest(text)[..DIGEST_LEN]);
        Ok(Self(digest))
    }
}

/// Returns the cursor behind a row.
pub(super) fn encode(digest: ListDigest, key: &SortKey) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(digest.0);
    bytes.extend(serde_json::to_vec(key).expect("a key is a text or a number, and an id"));
    BASE64URL_NOPAD.encode(&bytes)
}

/// Returns the key in a cursor for the list with this digest, whose column is of this kind.
pub(super) fn decode(text: &str, digest: ListDigest, kind: KeyKind) -> Result<SortKey> {
    let refused = |rule: &str| Error::invalid("cursor", rule);
    let unknown = || refused("must be the next_cursor of an answer");
    // Before it is decoded, which costs as much as it is long.
    if text.len() > MAX_LEN {
        return Err(unknown());
    }
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| unknown())?;
    let (version, rest) = bytes.split_first().ok_or_else(unknown)?;
    if *version != VERSION {
        return Err(refused("is of another version of the hive; begin the list again"));
    }
    let (of, key) = rest.split_at_checked(DIGEST_LEN).ok_or_else(unknown)?;
    // A cursor of another filter would leave rows out without anybody noticing.
    if of != digest.0 {
        return Err(refused("belongs to another list, filter or sort; send it with the parameters of its answer"));
    }
    let key: SortKey = serde_json::from_slice(key).map_err(|_| unknown())?;
    // The database would fail on a text where it compares numbers.
    if kind.takes(&key) { Ok(key) } else { Err(unknown()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest() -> ListDigest {
        ListDigest::of(&("satellites", ["web"]), "name").unwrap()
    }

    fn rule(text: &str, kind: KeyKind) -> String {
        match decode(text, digest(), kind) {
            Err(Error::InvalidInput { field, rule }) if field == "cursor" => rule,
            other => panic!("{text} gave {other:?}"),
        }
    }

    #[test]
    fn a_cursor_is_for_its_list_filter_and_sort() {
        let key = SortKey::text("web-1", "sat_1");
        let same = |list: &(&str, [&str; 1]), sort: &str| ListDigest::of(list, sort).unwrap() == digest();
        assert!(same(&("satellites", ["web"]), "name"));
        assert!(!same(&("groups", ["web"]), "name"));
        assert!(!same(&("satellites", ["db"]), "name"));
        assert!(!same(&("satellites", ["web"]), "-name"));
        let other = encode(ListDigest::of(&"other", "name").unwrap(), &key);
        assert!(rule(&other, KeyKind::Text).contains("filter or sort"));
    }

    #[test]
    fn what_no_hive_has_given_is_refused() {
        let good = encode(digest(), &SortKey::number(7, "sat_1"));
        assert!(decode(&good, digest(), KeyKind::Number).is_ok());
        let of_bytes = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        // Version and digest alone.
        let without_key = BASE64URL_NOPAD.decode(good.as_bytes()).unwrap()[..9].to_vec();
        for bad in [String::new(), "!".into(), format!("{good}="), "A".repeat(MAX_LEN + 4), of_bytes(&without_key)] {
            assert!(rule(&bad, KeyKind::Number).contains("next_cursor"), "{bad}");
        }
        assert!(rule(&good, KeyKind::Text).contains("next_cursor"), "a number where the column has texts");
        assert!(rule(&of_bytes(&[2, 0]), KeyKind::Number).contains("version"));
    }

    proptest! {
        #[test]
        fn a_cursor_reads_back(value: Option<i64>, id: String) {
            let key = SortKey { value: value.map(crate::store::SortValue::Number), id };
            let text = encode(digest(), &key);
            // No id of a hive is that long.
            prop_assume!(text.len() <= MAX_LEN);
            prop_assert_eq!(decode(&text, digest(), KeyKind::OptionalNumber).unwrap(), key);
        }

        #[test]
        fn no_text_is_more_than_refused(text: String, bytes: Vec<u8>) {
            drop(decode(&text, digest(), KeyKind::Text));
            let mut made_up = vec![VERSION];
            // With the right digest, so that the key behind it is read.
            made_up.extend(digest().0);
            made_up.extend(bytes);
            drop(decode(&BASE64URL_NOPAD.encode(&made_up), digest(), KeyKind::Text));
        }
    }
}
