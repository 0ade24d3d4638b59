//! Where the audit log is kept.

use async_trait::async_trait;
use hive_wire::AuditId;
use hive_wire::api::{AuditEntry, AuditQuery, AuditVerification};

use super::{AuditDraft, AuditLine};
use crate::access::Sight;
use crate::{StoreResult, Window};

/// The audit trail.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// Appends a record that goes with no other change.
    async fn audit_append(&self, draft: AuditDraft) -> StoreResult<AuditEntry>;
    /// Lists records in sight, newest first, and how many there are.
    async fn audit_list(
        &self,
        query: &AuditQuery,
        sight: &Sight,
        window: Window,
    ) -> StoreResult<(Vec<AuditEntry>, u64)>;
    /// Returns a record in sight.
    async fn audit_get(&self, id: AuditId, sight: &Sight) -> StoreResult<Option<AuditEntry>>;
    /// Returns up to `limit` records as they are stored, from `first_seq` on, in order.
    async fn audit_lines(&self, first_seq: u64, limit: u32) -> StoreResult<Vec<AuditLine>>;
    /// Checks the whole stored chain.
    async fn audit_verify(&self) -> StoreResult<AuditVerification>;
}
