//! Which hive a store is of.

use std::collections::BTreeMap;

use async_trait::async_trait;
use hive_wire::{HiveId, Timestamp};

use crate::StoreResult;
use crate::audit::AuditDraft;

/// Which hive it is.
#[async_trait]
pub trait HiveStore: Send + Sync {
    /// Returns the hive; `None` where none was created yet.
    async fn hive_get(&self) -> StoreResult<Option<HiveRow>>;
    /// Makes the store this hive's, unless it is one's already. Returns whose it is: however many callers come at once, all
    /// get the same. Not audited: there is nobody yet.
    async fn hive_create(&self, hive: HiveRow) -> StoreResult<HiveRow>;
    /// Notes that other keys belong to the hive from now on.
    async fn hive_keys_set(&self, keys: Fingerprints, audit: AuditDraft) -> StoreResult<()>;
}

/// A hive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiveRow {
    /// Its id.
    pub id: HiveId,
    /// When it was made.
    pub created_at: Timestamp,
    /// The keys that sealed and signed what is stored. A key that is not in it is not checked.
    pub keys: Fingerprints,
}

/// By the name of each key file, what tells its key from others.
pub type Fingerprints = BTreeMap<String, String>;
