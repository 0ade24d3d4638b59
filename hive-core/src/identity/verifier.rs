//! Hashes of passwords and of keys.
//!
//! Both are argon2id. A password gets the parameters OWASP recommends, on a bounded pool. A key carries 256 bits of its
//! own, so cheap parameters serve, and a key that was verified once is remembered by its SHA-256: thousands of
//! satellites come back after a restart within seconds.

use std::collections::HashSet;
use std::sync::Mutex;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::authentication::VerifyMode;
use super::key_hash;
use crate::clock::ClockAndRng;
use crate::sync::lock;
use crate::{Error, Result};

/// Passwords that are hashed at the same time, 19 MiB and one core each: strangers must not be able to take all cores.
const PASSWORDS_AT_ONCE: usize = 1;
/// Logins that may wait for their turn; more are told to come back.
const PASSWORDS_WAITING: usize = 16;
/// Verified keys that are remembered; then all are forgotten and verified anew.
const REMEMBERED: usize = 1 << 17;

/// Verifies secrets against their hashes.
pub(crate) struct CredentialVerifier {
    remembered: Mutex<HashSet<[u8; 32]>>,
    running: Semaphore,
    waiting: Semaphore,
}

impl Default for CredentialVerifier {
    fn default() -> Self {
        Self {
            remembered: Mutex::default(),
            running: Semaphore::new(PASSWORDS_AT_ONCE),
            waiting: Semaphore::new(PASSWORDS_WAITING),
        }
    }
}

impl CredentialVerifier {
    /// Whether `secret` is the key behind `hash`, as far as the mode allows to tell.
    pub(crate) fn is_key(&self, secret: &str, hash: &str, mode: VerifyMode) -> bool {
        let fingerprint = fingerprint(secret, hash);
        if lock(&self.remembered).contains(&fingerprint) {
            return true;
        }
        // A hash of other parameters is one of an earlier version.
        let is_key =
            mode == VerifyMode::Full && key_hash::verify(secret, hash).unwrap_or_else(|| matches(secret, hash));
        if is_key {
            // Locked a second time: the hash is not computed under the lock, which all callers need.
            let mut remembered = lock(&self.remembered);
            if remembered.len() >= REMEMBERED {
                remembered.clear();
            }
            remembered.insert(fingerprint);
        }
        is_key
    }

    /// Whether `password` is the one behind `hash`. Without a hash it takes as long and says no, so that the time does not
    /// tell whether a user exists.
    pub(crate) async fn is_password(&self, password: String, hash: Option<String>) -> Result<bool> {
        // Held until the end, so that running and waiting ones count together.
        let _place = self.waiting.try_acquire().map_err(|_| Error::RateLimited { retry_after_seconds: 1 })?;
        let _turn = self.running.acquire().await.map_err(Error::internal)?;
        let verify = move || {
            if let Some(hash) = hash {
                return matches(&password, &hash);
            }
            drop(hash_with(&password_params(), &password, &[0; 16]));
            false
        };
        // It computes for tens of milliseconds, which would block the other tasks of this thread.
        tokio::task::spawn_blocking(verify).await.map_err(Error::internal)
    }
}

/// Hashes the random secret of a key.
pub(crate) fn hash_key(secret: &str, source: &ClockAndRng) -> String {
    key_hash::hash(secret, &source.random())
}

/// Hashes a password.
pub(crate) async fn hash_password(password: String, source: &ClockAndRng) -> Result<String> {
    let salt = source.random::<16>();
    tokio::task::spawn_blocking(move || hash_with(&password_params(), &password, &salt)).await.map_err(Error::internal)
}

fn fingerprint(secret: &str, hash: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    // The length marks where the hash ends and the secret begins: no other pair gives the same bytes.
    digest.update((hash.len() as u64).to_be_bytes());
    digest.update(hash);
    digest.update(secret);
    digest.finalize().into()
}

fn matches(secret: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(secret.as_bytes(), &hash).is_ok())
}

fn hash_with(params: &Params, secret: &str, salt: &[u8]) -> String {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let hash: PasswordHash =
        argon2.hash_password_with_salt(secret.as_bytes(), salt).expect("the salt has a length argon2 takes");
    hash.to_string()
}

/// OWASP's: m = 19 MiB, t = 2.
fn password_params() -> Params {
    Params::new(19 * 1024, 2, 1, None).expect("the parameters are in range")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_verified_and_remembered_only_with_its_own_hash() {
        let source = ClockAndRng::default();
        let (one, two) = (hash_key("secret-one", &source), hash_key("secret-two", &source));
        let verifier = CredentialVerifier::default();
        for _ in 0..2 {
            assert!(verifier.is_key("secret-one", &one, VerifyMode::Full));
            assert!(!verifier.is_key("secret-one", &two, VerifyMode::Full));
            assert!(!verifier.is_key("secret-two", &one, VerifyMode::Full));
        }
        assert!(verifier.is_key("secret-one", &one, VerifyMode::CachedOnly));
        assert!(!verifier.is_key("secret-two", &two, VerifyMode::CachedOnly), "it was never verified");
        assert!(one.starts_with("$argon2id$v=19$m=256,t=1,p=1$"), "{one}");
    }

    #[tokio::test]
    async fn a_password_is_verified() {
        let hash = hash_password("correct horse".into(), &ClockAndRng::default()).await.unwrap();
        let verifier = CredentialVerifier::default();
        assert!(verifier.is_password("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!verifier.is_password("wrong horse".into(), Some(hash)).await.unwrap());
        assert!(!verifier.is_password("nobody".into(), None).await.unwrap());
    }
}
