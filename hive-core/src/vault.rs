//! Encryption of stored secrets that are needed again: environment values, standard input, upstream credentials.
//!
//! A sealed text is base64 of `version 1 | key id | nonce | XChaCha20-Poly1305 ciphertext and tag`. The associated data
//! binds it to its row: a sealed value that is moved to another row does not open. Old keys stay in the ring, to open what
//! they sealed. New text is sealed with the current key. `digest` is for secrets that are only compared.

use std::collections::BTreeMap;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::clock::ClockAndRng;

mod digest;

const VERSION: u8 = 1;
const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 24;
/// Version byte and key id.
const HEADER_LEN: usize = 1 + 4;

/// Why a sealed text does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// It is not a sealed text, or one of a newer version.
    #[error("not a sealed text of a known version")]
    Malformed,
    /// Its key is not in the ring.
    #[error("sealed with key {0}, which is not in the key ring")]
    UnknownKey(u32),
    /// It was changed, or belongs to another row.
    #[error("the sealed text was changed or belongs elsewhere")]
    Forged,
}

/// The text is not a key ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key ring")]
pub struct InvalidKeyRing;

type VaultKey = Zeroizing<[u8; KEY_LEN]>;

/// A key ring that seals and opens.
pub struct Vault {
    current: u32,
    keys: BTreeMap<u32, VaultKey>,
}

/// The key ring in the form of its file: keys in base64, by their ids.
#[derive(Serialize, Deserialize)]
struct KeyRing {
    current: u32,
    keys: BTreeMap<u32, String>,
}

impl Drop for KeyRing {
    fn drop(&mut self) {
        self.keys.values_mut().for_each(Zeroize::zeroize);
    }
}

impl Vault {
    /// Creates a vault with one fresh key.
    pub fn generate(source: &ClockAndRng) -> Self {
        Self { current: 1, keys: BTreeMap::from([(1, Zeroizing::new(source.random()))]) }
    }

    /// Adds a fresh key and seals with it from now on. What older keys sealed still opens.
    pub fn rotate(&mut self, source: &ClockAndRng) {
        // An id is never used again: text that names it would be opened with the wrong key.
        self.current = self.keys.last_key_value().map_or(1, |(newest, _)| newest + 1);
        self.keys.insert(self.current, Zeroizing::new(source.random()));
    }

    /// Seals `plaintext` for the row that `aad` names.
    pub fn seal(&self, source: &ClockAndRng, aad: &[u8], plaintext: &[u8]) -> String {
        // 192 random bits do not repeat, so that processes with the same key need no common counter. This is why it is
        // XChaCha20 and not ChaCha20, whose nonce has 96 bits.
        let nonce: [u8; NONCE_LEN] = source.random();
        let header = header(self.current);
        let key = self.keys.get(&self.current).expect("the current key is in the ring");
        let ciphertext = cipher(key)
            .encrypt(&XNonce::from(nonce), Payload { msg: plaintext, aad: &bound(header, aad) })
            .expect("a plaintext in memory is below the cipher's limit");
        BASE64.encode(&[&header[..], &nonce[..], &ciphertext[..]].concat())
    }

    /// Opens a text that was sealed for the row that `aad` names.
    pub fn open(&self, aad: &[u8], sealed: &str) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let bytes = BASE64.decode(sealed.as_bytes()).map_err(|_| VaultError::Malformed)?;
        let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(VaultError::Malformed)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or(VaultError::Malformed)?;
        let [VERSION, kid @ ..] = *header else {
            return Err(VaultError::Malformed);
        };
        let kid = u32::from_be_bytes(kid);
        let key = self.keys.get(&kid).ok_or(VaultError::UnknownKey(kid))?;
        cipher(key)
            .decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: &bound(*header, aad) })
            .map(Zeroizing::new)
            .map_err(|_| VaultError::Forged)
    }

    /// Returns the first key of the ring. It identifies the vault, because a rotation does not change it.
    pub(crate) fn oldest_key(&self) -> &[u8] {
        self.keys.first_key_value().map_or(&[], |(_, key)| &key[..])
    }

    /// Returns the key ring as text, for its file.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        let keys = self.keys.iter().map(|(kid, key)| (*kid, BASE64.encode(&key[..]))).collect();
        let ring = KeyRing { current: self.current, keys };
        Zeroizing::new(serde_json::to_string(&ring).expect("a key ring is plain data"))
    }

    /// Reads a key ring's text.
    pub(crate) fn from_text(text: &str) -> Result<Self, InvalidKeyRing> {
        let ring: KeyRing = serde_json::from_str(text).map_err(|_| InvalidKeyRing)?;
        let keys =
            ring.keys.iter().map(|(kid, key)| Ok((*kid, decode_key(key)?))).collect::<Result<BTreeMap<_, _>, _>>()?;
        if keys.contains_key(&ring.current) { Ok(Self { current: ring.current, keys }) } else { Err(InvalidKeyRing) }
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("current", &self.current).field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

fn cipher(key: &VaultKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&**key).into())
}

fn header(kid: u32) -> [u8; HEADER_LEN] {
    let [a, b, c, d] = kid.to_be_bytes();
    [VERSION, a, b, c, d]
}

/// Returns the associated data: the header and the row, so that neither the key, the version nor the row can be changed.
fn bound(header: [u8; HEADER_LEN], aad: &[u8]) -> Vec<u8> {
    [&header[..], aad].concat()
}

fn decode_key(text: &str) -> Result<VaultKey, InvalidKeyRing> {
    let bytes = Zeroizing::new(BASE64.decode(text.as_bytes()).map_err(|_| InvalidKeyRing)?);
    bytes[..].try_into().map(Zeroizing::new).map_err(|_| InvalidKeyRing)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 1, sealed with the key of 32 bytes `0x07`, key id 1, for `command cmd_1`.
    const GOLDEN: &str = include_str!("vault/golden_v1.txt");

    fn vault() -> Vault {
        Vault { current: 1, keys: BTreeMap::from([(1, Zeroizing::new([7; KEY_LEN]))]) }
    }

    fn seal(plaintext: &[u8]) -> String {
        vault().seal(&ClockAndRng::default(), b"command cmd_1", plaintext)
    }

    #[test]
    fn what_was_sealed_opens_at_its_place_only() {
        let sealed = seal(b"hunter2");
        assert_eq!(vault().open(b"command cmd_1", &sealed).unwrap()[..], b"hunter2"[..]);
        assert_eq!(vault().open(b"command cmd_2", &sealed), Err(VaultError::Forged));
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        assert_ne!(seal(b"hunter2"), seal(b"hunter2"));
    }

    #[test]
    fn any_changed_bit_shows() {
        let bytes = BASE64.decode(seal(b"x").as_bytes()).unwrap();
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            assert!(vault().open(b"command cmd_1", &BASE64.encode(&changed)).is_err(), "byte {position}");
        }
        for length in 0..bytes.len() {
            assert!(vault().open(b"command cmd_1", &BASE64.encode(&bytes[..length])).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn after_a_rotation_old_and_new_text_open() {
        let source = ClockAndRng::default();
        let mut rotated = vault();
        let old = rotated.seal(&source, b"a", b"old");
        rotated.rotate(&source);
        let new = rotated.seal(&source, b"a", b"new");
        let reread = Vault::from_text(&rotated.to_text()).unwrap();
        assert_eq!(reread.open(b"a", &old).unwrap()[..], b"old"[..]);
        assert_eq!(reread.open(b"a", &new).unwrap()[..], b"new"[..]);
        assert_eq!(vault().open(b"a", &new), Err(VaultError::UnknownKey(2)));
    }

    #[test]
    fn text_of_version_1_still_opens() {
        assert_eq!(vault().open(b"command cmd_1", GOLDEN.trim_end()).unwrap()[..], b"sealed by version 1"[..]);
    }

    #[test]
    fn a_damaged_key_ring_is_refused() {
        for bad in ["", "{}", r#"{"current":1,"keys":{}}"#, r#"{"current":1,"keys":{"1":"AAAA"}}"#] {
            assert_eq!(Vault::from_text(bad).err(), Some(InvalidKeyRing), "{bad}");
        }
    }

    #[test]
    fn keys_are_never_printed() {
        let printed = format!("{:?}", vault());
        assert!(!printed.contains("7, 7") && !printed.contains("BwcH"), "{printed}");
    }
}
