//! The audit trail: who did what, to what, and how it went.
//!
//! Every record is chained to the one before by its hash, so that a record that was changed, removed, moved or slipped in
//! shows. The signed manifest of an export shows a tail that was cut.

pub mod chain;
mod export;
mod signer;

use async_trait::async_trait;
use hive_wire::api::{
    Actor, AuditEntry, AuditExportLine, AuditQuery, AuditResult, AuditTarget, AuditVerification, Page, PageRequest,
};
use hive_wire::{AuditId, TeamId, Timestamp};
use serde_json::Value;

use crate::{Result, Subscription};

pub(crate) use export::export_trail;
pub use export::{ExportError, read_export, verify_export};
pub use signer::AuditSigner;

/// A record before it has its place in the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditDraft {
    /// Its id.
    pub id: AuditId,
    /// When.
    pub timestamp: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What, such as `satellite.exec`.
    pub action: &'static str,
    /// To what.
    pub target: AuditTarget,
    /// The team it belongs to.
    pub team_id: Option<TeamId>,
    /// More, secrets left out.
    pub details: Value,
    /// How it went.
    pub result: AuditResult,
    /// Why it failed.
    pub error: Option<String>,
}

/// The audit trail as a service.
#[async_trait]
pub trait AuditLogger: Send + Sync {
    /// Appends a record of the caller's own. `action` is taken as it is; actor, time and place in the chain are not the
    /// caller's to choose.
    async fn log(&self, action: String, target: AuditTarget, details: Value) -> Result<AuditEntry>;

    /// Lists records, newest first.
    async fn query(&self, query: AuditQuery, page: PageRequest) -> Result<Page<AuditEntry>>;

    /// Returns a record; `None` where there is none, or the caller may not know of it.
    async fn entry(&self, id: AuditId) -> Result<Option<AuditEntry>>;

    /// Gives the whole trail and, as its last line, the signed manifest. A stream that ends without a manifest has failed.
    async fn export(&self) -> Result<Subscription<AuditExportLine>>;

    /// Checks the stored trail from its first record to its last.
    async fn verify(&self) -> Result<AuditVerification>;
}
