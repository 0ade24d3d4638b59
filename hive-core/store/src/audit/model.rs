//! The records of the audit log.

use hive_wire::api::{Actor, AuditResult, AuditTarget};
use hive_wire::{AuditId, TeamId, Timestamp};
use serde_json::Value;

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

/// An audit record as it is stored: the text and what chains it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Its place.
    pub seq: u64,
    /// The stored canonical text, as it was hashed.
    pub record: String,
    /// The hash of the record before.
    pub previous_hash: String,
    /// Its hash.
    pub hash: String,
}
