//! Statements for kept answers.

// An answer stays as it is: what changes a call that runs leaves one that has its answer alone.
pub(in crate::sql) const ANSWER_GET: &str =
    "SELECT leased_until, answer, body FROM stored_answers WHERE owner = $1 AND key = $2";
pub(in crate::sql) const ANSWER_CLEAR: &str = "DELETE FROM stored_answers WHERE owner = $1 AND key = $2";
pub(in crate::sql) const ANSWER_INSERT: &str =
    "INSERT INTO stored_answers (owner, key, route, leased_until, expires_at) VALUES ($1, $2, $3, $4, $5)";
pub(in crate::sql) const ANSWER_RENEW: &str =
    "UPDATE stored_answers SET leased_until = $3 WHERE owner = $1 AND key = $2 AND answer IS NULL";
pub(in crate::sql) const ANSWER_KEEP: &str =
    "UPDATE stored_answers SET answer = $3, body = $4 WHERE owner = $1 AND key = $2 AND answer IS NULL";
pub(in crate::sql) const ANSWER_RELEASE: &str =
    "DELETE FROM stored_answers WHERE owner = $1 AND key = $2 AND answer IS NULL";
// A key may have been claimed again since its answer expired.
pub(in crate::sql) const ANSWER_KEYS_PRUNE: &str = "DELETE FROM idempotency_keys WHERE expires_at <= $1 \
     AND (owner, key) IN (SELECT owner, key FROM stored_answers WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
pub(in crate::sql) const ANSWER_PRUNE: &str = "DELETE FROM stored_answers WHERE (owner, key) IN \
     (SELECT owner, key FROM stored_answers WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
