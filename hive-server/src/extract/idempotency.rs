//! The header by which a caller marks the same request again.

use axum::http::HeaderMap;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What cannot be read is left for the hive to refuse.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Option<String> {
    headers.get(IDEMPOTENCY_KEY).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
