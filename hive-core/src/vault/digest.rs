//! Keyed digests: they tell equal secrets from different ones, and cannot be guessed at without the key ring.

use data_encoding::HEXLOWER;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Vault;

/// Separates the keys of digests from whatever else a key of the ring may come to be used for.
const CONTEXT: &[u8] = b"satellite-hive digest v1\0";

impl Vault {
    /// Returns the HMAC-SHA-256 of `parts` in hex, with a key for `purpose` that is derived from the ring's oldest key: a
    /// rotation leaves that key where it is, so that digests of before and after it can be compared.
    ///
    /// A plain hash of something short can be found by trying all values. This is what is stored or recorded of secrets
    /// instead.
    pub fn digest(&self, purpose: &str, parts: &[&[u8]]) -> String {
        let (_, oldest) = self.keys.first_key_value().expect("the current key is in the ring");
        let key = Zeroizing::new(mac(&oldest[..], &[CONTEXT, purpose.as_bytes()]));
        HEXLOWER.encode(&mac(&key[..], parts))
    }
}

/// The length of each part stands before it, so that what moves from one part to the next shows.
fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ClockAndRng;

    #[test]
    fn a_digest_depends_on_key_purpose_and_every_part() {
        let source = ClockAndRng::default();
        let vault = Vault::generate(&source);
        let digest = vault.digest("a", &[b"one", b"two"]);
        assert_eq!(digest, vault.digest("a", &[b"one", b"two"]));
        assert_ne!(digest, Vault::generate(&source).digest("a", &[b"one", b"two"]));
        assert_ne!(digest, vault.digest("b", &[b"one", b"two"]));
        assert_ne!(digest, vault.digest("a", &[b"onet", b"wo"]));
        assert_ne!(digest, vault.digest("a", &[b"onetwo"]));
    }

    #[test]
    fn a_digest_survives_a_rotation_and_a_restart() {
        let source = ClockAndRng::default();
        let mut vault = Vault::generate(&source);
        let digest = vault.digest("a", &[b"one"]);
        vault.rotate(&source);
        assert_eq!(vault.digest("a", &[b"one"]), digest);
        assert_eq!(Vault::from_text(&vault.to_text()).unwrap().digest("a", &[b"one"]), digest);
    }
}
