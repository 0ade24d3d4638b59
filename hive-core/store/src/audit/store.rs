//! The storage of the audit log.

use async_trait::async_trait;
use hive_wire::AuditId;
use hive_wire::api::{AuditEntry, AuditQuery, AuditSort, AuditVerification};

use super::{AuditDraft, AuditHead, AuditRecord};
use crate::access::VisibleScope;
use crate::{RowRange, StoreResult};

/// The audit log.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Appends a record without another change.
    async fn audit_append(&self, draft: AuditDraft) -> StoreResult<AuditEntry>;
    /// Lists the records in visible, and returns the total, counted up to one more than [`MAX_COUNTED`](crate::MAX_COUNTED).
    async fn audit_list(
        &self,
        query: &AuditQuery,
        visible: &VisibleScope,
        range: RowRange<AuditSort>,
    ) -> StoreResult<(Vec<AuditEntry>, u64)>;
    /// Returns a record in visible.
    async fn audit_get(&self, id: AuditId, visible: &VisibleScope) -> StoreResult<Option<AuditEntry>>;
    /// Returns up to `limit` stored records in order, from number `first_seq` on.
    async fn audit_records(&self, first_seq: u64, limit: u32) -> StoreResult<Vec<AuditRecord>>;
    /// Returns the last record. It reads one row, however long the log is.
    async fn audit_head(&self) -> StoreResult<Option<AuditHead>>;
    /// Verifies the whole stored chain. A pruned log begins at a checkpoint ([`AuditCheckpoint`](super::AuditCheckpoint)), which
    /// must be signed with the public key in base64. Without a key, any key is accepted.
    async fn audit_verify(&self, public_key: Option<&str>) -> StoreResult<AuditVerification>;
}
