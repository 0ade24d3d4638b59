//! What callers may ask of the audit log.

use async_trait::async_trait;
use hive_wire::AuditId;
use hive_wire::api::{
    AuditEntry, AuditExportLine, AuditQuery, AuditSort, AuditTarget, AuditVerification, Page, PageRequest,
};
use serde_json::Value;

use crate::{Result, Subscription};

/// The audit log as a service.
#[async_trait]
pub trait AuditLogger: Send + Sync {
    /// Appends a record of the caller's own. `action` is taken as it is; actor, time and place in the chain are not the
    /// caller's to choose.
    async fn log(&self, action: String, target: AuditTarget, details: Value) -> Result<AuditEntry>;

    /// Lists records, newest first.
    async fn query(&self, query: AuditQuery, page: PageRequest<AuditSort>) -> Result<Page<AuditEntry>>;

    /// Returns a record; `None` where there is none, or the caller may not know of it.
    async fn get(&self, id: AuditId) -> Result<Option<AuditEntry>>;

    /// Gives the whole log and, as its last line, the signed manifest. A stream that ends without a manifest has failed.
    async fn export(&self) -> Result<Subscription<AuditExportLine>>;

    /// Checks the stored log from its first record to its last.
    async fn verify(&self) -> Result<AuditVerification>;
}
