//! Hashes of keys, in memory that each thread keeps.
//!
//! A hash needs 256 KiB. Thousands of satellites authenticate after a restart, and buffers of that size between their small
//! allocations would leave holes that the allocator keeps: three times the memory of the links themselves.

use std::cell::RefCell;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};

/// The bytes of a hash.
const LEN: usize = Params::DEFAULT_OUTPUT_LEN;

thread_local! {
    static MEMORY: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// For 32 random bytes: m = 256 KiB, t = 1.
fn params() -> Params {
    Params::new(256, 1, 1, None).expect("the parameters are in range")
}

/// Hashes the secret of a key.
pub(super) fn hash(secret: &str, salt: &[u8; 16]) -> String {
    let params = params();
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).expect("the parameters are in range"),
        salt: Some(Salt::new(salt).expect("the salt has a length argon2 takes")),
        hash: Some(Output::new(&compute(params, secret, salt)).expect("the hash has a length argon2 gives")),
    };
    hash.to_string()
}

/// Whether `secret` is behind `hash`; `None` for a hash of other parameters than those of a key.
pub(super) fn verify(secret: &str, hash: &str) -> Option<bool> {
    let PasswordHash { algorithm, version, params: stored, salt, hash } = PasswordHash::new(hash).ok()?;
    let params = params();
    let is_of_key = algorithm == Algorithm::Argon2id.ident()
        && version == Some(Version::V0x13.into())
        && stored == ParamsString::try_from(&params).ok()?;
    let (salt, expected) = salt.zip(hash).filter(|(_, hash)| is_of_key && hash.len() == LEN)?;
    // `Output` is compared in constant time.
    Some(Output::new(&compute(params, secret, &salt)).is_ok_and(|hash| hash == expected))
}

fn compute(params: Params, secret: &str, salt: &[u8]) -> [u8; LEN] {
    let mut hash = [0; LEN];
    MEMORY.with_borrow_mut(|memory| {
        memory.resize(params.block_count(), Block::new());
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let computed = argon2.hash_password_into_with_memory(secret.as_bytes(), salt, &mut hash, memory.as_mut_slice());
        computed.expect("secret, salt and hash have lengths argon2 takes");
    });
    hash
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::{PasswordHasher, PasswordVerifier};

    use super::*;

    #[test]
    fn a_hash_is_that_of_argon2() {
        for (secret, salt) in [("one", [1; 16]), ("two", [2; 16]), ("one", [3; 16])] {
            let ours = hash(secret, &salt);
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params());
            let theirs: PasswordHash = argon2.hash_password_with_salt(secret.as_bytes(), &salt).unwrap();
            assert_eq!(ours, theirs.to_string());
            assert_eq!((verify(secret, &ours), verify("three", &ours)), (Some(true), Some(false)));
            assert!(Argon2::default().verify_password(secret.as_bytes(), &theirs).is_ok());
        }
    }

    #[test]
    fn another_kind_of_hash_is_not_verified_here() {
        let larger = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(512, 1, 1, None).unwrap());
        let larger: PasswordHash = larger.hash_password_with_salt(b"one", &[1; 16]).unwrap();
        for other in ["", "$argon2id$", "$argon2id$v=19$m=256,t=1,p=1$c2FsdHNhbHQ", &larger.to_string()] {
            assert_eq!(verify("one", other), None, "{other}");
        }
    }
}
