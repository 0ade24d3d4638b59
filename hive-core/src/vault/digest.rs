//! Keyed digests, by which secrets are compared. Without the key ring, a secret cannot be guessed from its digest.

use data_encoding::HEXLOWER;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Vault;

/// Separates the keys of digests from other uses of the keys in the ring.
const CONTEXT: &[u8] = b"satellite-hive digest v1\0";

impl Vault {
    /// Returns the HMAC-SHA-256 of `parts` in hex. Its key is derived for `purpose` from the ring's oldest key. A rotation
    /// does not change that key, so that digests from before and after it can be compared.
    ///
    /// Digests are stored and recorded in place of secrets. A plain hash would not do: a short secret could be found by
    /// trying all values.
    pub fn digest(&self, purpose: &str, parts: &[&[u8]]) -> String {
        let (_, oldest) = self.keys.first_key_value().expect("the current key is in the ring");
        // A key of its own for each purpose: equal secrets of two purposes must not be recognisable as equal.
        let key = Zeroizing::new(mac(&oldest[..], &[CONTEXT, purpose.as_bytes()]));
        HEXLOWER.encode(&mac(&key[..], parts))
    }
}

/// Returns the MAC of the parts, each with its length in front. Bytes that move from one part to the next change the MAC.
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
