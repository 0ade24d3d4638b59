//! The answers of calls with an idempotency key that give no command and no job: kept, so that the same call gets the same answer.

use async_trait::async_trait;
use bytes::Bytes;
use hive_wire::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{IdempotencyKey, StoreResult};

/// Kept answers. Their keys and those of commands and jobs are one namespace. Nothing here is audited: the calls are.
#[async_trait]
pub trait AnswerStore: Send + Sync {
    /// Claims a key for a call that is about to run. Of all calls with a key that is free, at most one gets `New`.
    async fn answer_claim(&self, claim: AnswerClaim) -> StoreResult<AnswerClaimOutcome>;
    /// Moves the lease of a call that runs forward. False, and nothing is changed, if its answer is stored or its key is free.
    async fn answer_renew(&self, owner: &str, key: &str, leased_until: Timestamp) -> StoreResult<bool>;
    /// Stores the answer of a call. False, and nothing is changed, if there is one, or if its key is free.
    async fn answer_keep(&self, owner: &str, key: &str, answer: StoredAnswer) -> StoreResult<bool>;
    /// Frees the key of a call that runs. False, and nothing is changed, if its answer is stored.
    async fn answer_release(&self, owner: &str, key: &str) -> StoreResult<bool>;
}

/// A key that a call is about to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerClaim {
    /// The key, with the digest of the call.
    pub key: IdempotencyKey,
    /// The operation that is called.
    pub route: String,
    /// When it is called, by the steady clock.
    pub now: Timestamp,
    /// Until when the call counts as running.
    pub leased_until: Timestamp,
}

/// The outcome of claiming a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerClaimOutcome {
    /// The key was free, and is the call's now.
    New,
    /// The same call used it before.
    Existing(AnswerRow),
    /// Another call used it before.
    Conflict,
}

/// A call that has used a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerRow {
    /// Until when it counts as running.
    pub leased_until: Timestamp,
    /// Its answer; `None` where it runs, or its server died before it had one.
    pub answer: Option<StoredAnswer>,
}

/// What is kept of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredAnswer {
    /// All of it.
    Whole(WholeAnswer),
    /// That there was one: it is too large to be kept.
    TooLarge,
    /// That it had a secret, which is shown once.
    Secret {
        /// The id of what was made, where it has one.
        id: Option<String>,
    },
}

/// An answer as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeAnswer {
    /// The status.
    pub status: u16,
    /// The headers that belong to it, by their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// A stored answer without its body, as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum AnswerColumn {
    Whole { status: u16, headers: Vec<(String, String)> },
    TooLarge,
    Secret { id: Option<String> },
}

impl StoredAnswer {
    /// Splits an answer into its columns.
    pub(crate) fn into_columns(self) -> (AnswerColumn, Option<Bytes>) {
        match self {
            Self::Whole(WholeAnswer { status, headers, body }) => (AnswerColumn::Whole { status, headers }, Some(body)),
            Self::TooLarge => (AnswerColumn::TooLarge, None),
            Self::Secret { id } => (AnswerColumn::Secret { id }, None),
        }
    }

    /// Joins the columns of an answer.
    pub(crate) fn from_columns(answer: AnswerColumn, body: Option<Bytes>) -> Self {
        match answer {
            AnswerColumn::Whole { status, headers } => {
                Self::Whole(WholeAnswer { status, headers, body: body.unwrap_or_default() })
            }
            AnswerColumn::TooLarge => Self::TooLarge,
            AnswerColumn::Secret { id } => Self::Secret { id },
        }
    }
}
