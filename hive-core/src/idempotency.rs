//! Idempotency keys: how a caller marks a request that may be sent more than once. Commands, jobs and kept answers share them.

use std::time::Duration;

use crate::access::Principal;
use crate::context::ServiceContext;
use crate::error::{IDEMPOTENCY_KEY, KeyConflict, MAX_IDEMPOTENCY_KEY};
use crate::store::IdempotencyKey;
use crate::vault::Vault;
use crate::{Error, Result};

/// How long an idempotency key counts.
const LIFETIME: Duration = Duration::from_hours(24);

/// What a key is for. Requests of two purposes are never the same, also where they look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyPurpose {
    /// A command, or a job.
    Command,
    /// A call whose answer is kept.
    Answer,
}

impl KeyPurpose {
    fn digest_purpose(self) -> &'static str {
        match self {
            Self::Command => "idempotency key",
            Self::Answer => "kept answer",
        }
    }
}

/// Checks that an idempotency key can be the value of a header.
pub(crate) fn check_key(key: &str) -> Result<()> {
    if (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Error::invalid(IDEMPOTENCY_KEY, format!("1 to {MAX_IDEMPOTENCY_KEY} visible ASCII characters, no spaces")))
}

/// Returns a caller's key as it is stored, with a digest of what makes the request the same.
pub(crate) fn stored_key(
    context: &ServiceContext,
    vault: &Vault,
    principal: &Principal,
    key: String,
    (purpose, request): (KeyPurpose, &[&[u8]]),
) -> Result<IdempotencyKey> {
    check_key(&key)?;
    let owner = principal.user().map_or_else(|| "system".to_owned(), |user| user.to_string());
    // A keyed digest, because the request holds what is sealed everywhere else. It covers the key as well, so that equal
    // requests of different keys do not show.
    let parts = [&[owner.as_bytes(), key.as_bytes()], request].concat();
    let body_hash = vault.digest(purpose.digest_purpose(), &parts);
    let expires_at = context.steady().plus(LIFETIME);
    Ok(IdempotencyKey { owner, key, body_hash, expires_at })
}

/// The error of a key that was used for another request, or for one that the caller may not see any more.
pub(crate) fn key_in_use() -> Error {
    Error::KeyConflict(KeyConflict::OtherRequest)
}
