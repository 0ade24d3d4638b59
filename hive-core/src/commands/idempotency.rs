//! The idempotency keys of commands and jobs.

use serde_json::Value;

use super::Commands;
use crate::Result;
use crate::access::Principal;
use crate::idempotency::{KeyPurpose, stored_key};
use crate::store::IdempotencyKey;

impl Commands {
    /// Returns a caller's key as it is stored, with a digest of what makes the request the same.
    pub(crate) fn idempotency_key(
        &self,
        principal: &Principal,
        key: Option<String>,
        request: &Value,
    ) -> Result<Option<IdempotencyKey>> {
        let Some(key) = key else { return Ok(None) };
        let request = request.to_string();
        let request = (KeyPurpose::Command, &[request.as_bytes()][..]);
        stored_key(&self.context, &self.keys.vault, principal, key, request).map(Some)
    }
}
