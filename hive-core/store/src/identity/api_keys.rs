//! Users' API keys.

use std::collections::BTreeSet;

use async_trait::async_trait;
use hive_wire::api::{ApiKeySort, User};
use hive_wire::{ApiKeyId, TeamId, Timestamp, UserId};

use super::losses::Losses;
use crate::access::{Permission, Role};
use crate::audit::AuditDraft;
use crate::row_order::{SortKey, row_orders};
use crate::{RowRange, StoreResult};

/// Users' API keys.
#[async_trait]
pub trait ApiKeyStore: Send + Sync {
    /// Stores an API key.
    async fn api_key_create(&self, key: ApiKeyRow, audit: AuditDraft) -> StoreResult<()>;
    /// Returns an API key, which may be revoked, with its owner and their teams. It is one read, because every call with an API
    /// key needs all of it.
    async fn api_key_owner(&self, id: ApiKeyId) -> StoreResult<Option<ApiKeyOwner>>;
    /// Lists the API keys of a user, and returns the total, counted up to one more than [`MAX_COUNTED`](crate::MAX_COUNTED).
    async fn api_key_list(&self, user: UserId, range: RowRange<ApiKeySort>) -> StoreResult<(Vec<ApiKeyRow>, u64)>;
    /// Replaces the hash of an API key of a user, if it is neither revoked nor expired. Returns the key after the change. The
    /// audit record is written only then. Without an overlap, an earlier one ends too.
    async fn api_key_rotate(
        &self,
        id: ApiKeyId,
        user: UserId,
        rotation: KeyRotation,
        audit: AuditDraft,
    ) -> StoreResult<Option<ApiKeyRow>>;
    /// Revokes an API key of a user with all that was made with it: other keys, unused registration tokens and queued commands.
    /// `None` if there is no such key, or if it was revoked before. The audit record is written only otherwise.
    async fn api_key_revoke(
        &self,
        id: ApiKeyId,
        user: UserId,
        now: Timestamp,
        audit: AuditDraft,
    ) -> StoreResult<Option<Losses>>;
    /// Stores when API keys were last used. It is not audited. An earlier time changes nothing.
    async fn api_key_note_used(&self, uses: Vec<(ApiKeyId, Timestamp)>) -> StoreResult<()>;
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
    /// The key with which it was created.
    pub parent: Option<ApiKeyId>,
    /// The secret before the last rotation, as long as it goes on.
    pub previous: Option<PreviousKey>,
    /// The permissions to which it is limited.
    pub scopes: Option<BTreeSet<Permission>>,
    /// The tags of which a satellite has to have one.
    pub satellite_tags: Option<BTreeSet<String>>,
    /// The networks from which it may be used, in CIDR notation.
    pub addresses: Option<Vec<String>>,
    /// The most calls in a minute.
    pub rate_per_minute: Option<u32>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, as far as it was stored.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// The secret of an API key before its last rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousKey {
    /// The argon2id hash of the secret.
    pub hash: String,
    /// Until when it is accepted.
    pub until: Timestamp,
}

/// The rotation of an API key.
#[derive(Debug, Clone)]
pub struct KeyRotation {
    /// The argon2id hash of the new secret.
    pub hash: String,
    /// Until when the secret before is accepted; `None` for no longer.
    pub overlap_until: Option<Timestamp>,
    /// The time of the rotation.
    pub now: Timestamp,
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

row_orders! {
    ApiKeySort of ApiKeyRow {
        CreatedAt: Number, |row| SortKey::time(row.created_at, row.id);
        Name: Text, |row| SortKey::text(&row.name, row.id);
        LastUsedAt: OptionalNumber, |row| SortKey::time(row.last_used_at, row.id);
    }
}
