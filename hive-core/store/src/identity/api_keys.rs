//! Users' API keys.

use std::collections::BTreeSet;

use async_trait::async_trait;
use hive_wire::api::User;
use hive_wire::{ApiKeyId, TeamId, Timestamp, UserId};

use crate::StoreResult;
use crate::access::{Permission, Role};
use crate::audit::AuditDraft;

/// Users' API keys.
#[async_trait]
pub trait ApiKeyStore: Send + Sync {
    /// Stores an API key.
    async fn api_key_create(&self, key: ApiKeyRow, audit: AuditDraft) -> StoreResult<()>;
    /// Returns an API key, revoked or not, with its owner and the owner's teams: all that a call needs, in one read.
    async fn api_key_owner(&self, id: ApiKeyId) -> StoreResult<Option<ApiKeyOwner>>;
    /// Lists a user's API keys, newest first.
    async fn api_key_list(&self, user: UserId) -> StoreResult<Vec<ApiKeyRow>>;
    /// Gives a user's API key that is neither revoked nor expired another secret, by its hash; the one before is dead.
    /// Returns the key as it is now; the record is written only then.
    async fn api_key_rotate(
        &self,
        id: ApiKeyId,
        user: UserId,
        hash: String,
        now: Timestamp,
        audit: AuditDraft,
    ) -> StoreResult<Option<ApiKeyRow>>;
    /// Revokes a user's API key. False where there is none, or it was revoked before.
    async fn api_key_revoke(&self, id: ApiKeyId, user: UserId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool>;
}

/// A user's API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose.
    pub user_id: UserId,
    /// What it is for.
    pub name: String,
    /// The argon2id hash of the secret.
    pub hash: String,
    /// What it is limited to.
    pub scopes: Option<BTreeSet<Permission>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// An API key and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyOwner {
    /// The key.
    pub key: ApiKeyRow,
    /// Its owner.
    pub user: User,
    /// The owner's teams, and what they are there.
    pub teams: Vec<(TeamId, Role)>,
}
