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
    /// Returns an API key, which may be revoked, with its owner and their teams. It is one read, because every call with an API
    /// key needs all of it.
    async fn api_key_owner(&self, id: ApiKeyId) -> StoreResult<Option<ApiKeyOwner>>;
    /// Lists the API keys of a user, newest first.
    async fn api_key_list(&self, user: UserId) -> StoreResult<Vec<ApiKeyRow>>;
    /// Replaces the hash of an API key of a user, if it is neither revoked nor expired. Returns the key after the change. The
    /// audit record is written only then.
    async fn api_key_rotate(
        &self,
        id: ApiKeyId,
        user: UserId,
        hash: String,
        now: Timestamp,
        audit: AuditDraft,
    ) -> StoreResult<Option<ApiKeyRow>>;
    /// Revokes an API key of a user. False if there is none, or if it was revoked before.
    async fn api_key_revoke(&self, id: ApiKeyId, user: UserId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool>;
}

/// A stored API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// Its id.
    pub id: ApiKeyId,
    /// Its owner.
    pub user_id: UserId,
    /// Its name, for people.
    pub name: String,
    /// The argon2id hash of the secret.
    pub hash: String,
    /// The permissions to which it is limited.
    pub scopes: Option<BTreeSet<Permission>>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// An API key with its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyOwner {
    /// The key.
    pub key: ApiKeyRow,
    /// Its owner.
    pub user: User,
    /// The teams of the owner, and the owner's roles.
    pub teams: Vec<(TeamId, Role)>,
}
