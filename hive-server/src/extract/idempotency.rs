//! The `Idempotency-Key` header.

use axum::http::HeaderMap;
use hive_core::error::IDEMPOTENCY_KEY;

/// Returns the key. An invalid one is passed on, because the hive has the rules for it and refuses it.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Option<String> {
    headers.get(IDEMPOTENCY_KEY).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
