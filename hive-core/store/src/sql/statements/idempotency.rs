//! Statements for idempotency keys.

pub(in crate::sql) const IDEMPOTENCY_PURGE: &str = "DELETE FROM idempotency_keys WHERE expires_at <= $1";
pub(in crate::sql) const IDEMPOTENCY_FIND: &str =
    "SELECT body_hash, command_ids, job_id FROM idempotency_keys WHERE owner = $1 AND key = $2";
pub(in crate::sql) const IDEMPOTENCY_INSERT: &str = "INSERT INTO idempotency_keys (owner, key, body_hash, command_ids, job_id, expires_at) VALUES ($1, $2, $3, $4, $5, $6)";
pub(in crate::sql) const IDEMPOTENCY_RELEASE: &str = "DELETE FROM idempotency_keys WHERE owner = $1 AND key = $2";
