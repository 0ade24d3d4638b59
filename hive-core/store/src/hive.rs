//! The identity of the hive that owns a store.

use std::collections::BTreeMap;

use async_trait::async_trait;
use hive_wire::{HiveId, Timestamp};

use crate::StoreResult;
use crate::audit::AuditDraft;

/// The identity of the hive that owns a store.
#[async_trait]
pub trait HiveStore: Send + Sync {
    /// Returns the hive, or `None` if none was created yet.
    async fn hive_get(&self) -> StoreResult<Option<HiveRow>>;
    /// Stores this hive unless there is one, and returns the stored one. All concurrent callers get the same hive. Not audited:
    /// there is no actor yet.
    async fn hive_create(&self, hive: HiveRow) -> StoreResult<HiveRow>;
    /// Replaces the fingerprints of the keys.
    async fn hive_keys_set(&self, keys: Fingerprints, audit: AuditDraft) -> StoreResult<()>;
}

/// A hive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiveRow {
    /// Its id.
    pub id: HiveId,
    /// When it was created.
    pub created_at: Timestamp,
    /// The fingerprints of the keys that sealed and signed what is stored. A key without one is not checked.
    pub keys: Fingerprints,
}

/// Fingerprints of keys, by the names of their files.
pub type Fingerprints = BTreeMap<String, String>;
