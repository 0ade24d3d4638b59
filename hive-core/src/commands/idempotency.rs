//! Idempotency keys: how a caller marks the same request.

use std::time::Duration;

use serde_json::Value;

use super::Commands;
use crate::access::Principal;
use crate::commands::check_idempotency_key;
use crate::store::IdempotencyKey;
use crate::{Error, Result};

/// How long an idempotency key counts.
const LIFETIME: Duration = Duration::from_hours(24);

impl Commands {
    /// Returns a caller's key as it is stored, with a digest of what makes the request the same.
    pub(crate) fn idempotency_key(
        &self,
        principal: &Principal,
        key: Option<String>,
        request: &Value,
    ) -> Result<Option<IdempotencyKey>> {
        let Some(key) = key else { return Ok(None) };
        check_idempotency_key(&key)?;
        let owner = principal.user().map_or_else(|| "system".to_owned(), |user| user.to_string());
        // A keyed digest, because the request holds what is sealed everywhere else. It covers the key as well, so that equal
        // requests of different keys do not show.
        let request = request.to_string();
        let parts = [owner.as_bytes(), key.as_bytes(), request.as_bytes()];
        let body_hash = self.keys.vault.digest("idempotency key", &parts);
        let expires_at = self.context.steady().plus(LIFETIME);
        Ok(Some(IdempotencyKey { owner, key, body_hash, expires_at }))
    }
}

/// The error of a key that was used for another request, or for one that the caller may not see any more.
pub(crate) fn key_in_use() -> Error {
    Error::Conflict("the idempotency key was used for another request".into())
}
