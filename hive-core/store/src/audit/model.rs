//! The records of the audit log.

use hive_wire::api::{Actor, AuditResult, AuditTarget};
use hive_wire::{AuditId, TeamId, Timestamp};
use serde_json::Value;

/// A record before it is appended to the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditDraft {
    /// Its id.
    pub id: AuditId,
    /// When it happened.
    pub timestamp: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done, such as `satellite.exec`.
    pub action: &'static str,
    /// To what it was done.
    pub target: AuditTarget,
    /// The team that may read the record.
    pub team_id: Option<TeamId>,
    /// Details, without secrets.
    pub details: Value,
    /// Whether it succeeded.
    pub result: AuditResult,
    /// The reason of a failure.
    pub error: Option<String>,
}

/// A stored record: its text and its hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its sequence number, from 1.
    pub seq: u64,
    /// Its canonical text, which the hash covers.
    pub record: String,
    /// The hash of the record before.
    pub previous_hash: String,
    /// Its hash.
    pub hash: String,
}
