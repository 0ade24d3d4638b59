//! Why a call with an idempotency key is refused.

use hive_wire::api::ApiError;
use serde_json::{Value, json};

/// The header of an idempotency key.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The most characters of an idempotency key.
pub const MAX_IDEMPOTENCY_KEY: usize = 255;

/// Why a call with an idempotency key is neither carried out nor answered as before. Nothing was changed by the refused call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyConflict {
    /// Another call used the key, or a call whose result is hidden from the caller by now.
    #[error("the {IDEMPOTENCY_KEY} was used for another request")]
    OtherRequest,
    /// The first call still runs. The same call may be sent again.
    #[error(
        "the first request with this {IDEMPOTENCY_KEY} is still running; send it again in {} s",
        Self::RETRY_SECONDS
    )]
    InProgress,
    /// The first call was carried out, and its answer had a secret.
    #[error("{}", had_secret(id.as_deref()))]
    Secret {
        /// The id of what was made, where it has one.
        id: Option<String>,
    },
    /// The first call was carried out, and its answer is too large to be kept.
    #[error("the request with this {IDEMPOTENCY_KEY} was carried out; its answer was too large to be kept")]
    TooLarge,
    /// The server of the first call stopped in the middle of it.
    #[error(
        "the server stopped during the first request with this {IDEMPOTENCY_KEY}, which may have been carried out; look for \
         its effect before you send it with another key"
    )]
    OutcomeUnknown,
}

impl KeyConflict {
    /// After how many seconds a call whose first one still runs may be sent again.
    pub const RETRY_SECONDS: u64 = 1;

    /// The stable word for it, which is `details.reason` of the error.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::OtherRequest => "other_request",
            Self::InProgress => "in_progress",
            Self::Secret { .. } => "secret",
            Self::TooLarge => "too_large",
            Self::OutcomeUnknown => "outcome_unknown",
        }
    }

    pub(super) fn details(&self) -> Value {
        let mut details = json!({ "header": IDEMPOTENCY_KEY, "reason": self.as_str() });
        if let Self::Secret { id: Some(id) } = self {
            details["id"] = json!(id);
        }
        details
    }

    /// Reads an error that a remote hive sent; `None` for another conflict, or a reason of a later version.
    pub(super) fn from_wire(error: &ApiError) -> Option<Self> {
        let details = error.details.as_ref().filter(|details| details["header"] == IDEMPOTENCY_KEY)?;
        match details["reason"].as_str()? {
            "other_request" => Some(Self::OtherRequest),
            "in_progress" => Some(Self::InProgress),
            "secret" => Some(Self::Secret { id: details["id"].as_str().map(str::to_owned) }),
            "too_large" => Some(Self::TooLarge),
            "outcome_unknown" => Some(Self::OutcomeUnknown),
            _ => None,
        }
    }
}

fn had_secret(id: Option<&str>) -> String {
    let made = id.map(|id| format!(" for {id}")).unwrap_or_default();
    format!(
        "the request with this {IDEMPOTENCY_KEY} was carried out{made}; its answer had a secret, which is shown once"
    )
}
