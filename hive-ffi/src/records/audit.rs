//! The audit trail.

use std::time::SystemTime;

use hive_core::wire::api;

use super::convert::{enum_text, parse_id, system_time, timestamp};
use crate::HiveError;

/// One audit record.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct AuditEntry {
    /// Its place in the chain, from 1, without gaps.
    pub seq: u64,
    /// Its id.
    pub id: String,
    /// When.
    pub timestamp: SystemTime,
    /// `user`, `api_key`, `mcp`, `satellite` or `system`.
    pub actor_kind: String,
    /// The id of the user, key or satellite.
    pub actor_id: String,
    /// Its name, for people.
    pub actor_name: String,
    /// Where the call came from.
    pub actor_ip: Option<String>,
    /// What, such as `satellite.exec`.
    pub action: String,
    /// `satellite`, `command`, `registration_token` …
    pub target_kind: String,
    /// Its id.
    pub target_id: String,
    /// The team it belongs to.
    pub team_id: Option<String>,
    /// More, as JSON, secrets left out.
    pub details: String,
    /// `intent`, `success` or `failure`.
    pub result: String,
    /// Why it failed.
    pub error: Option<String>,
    /// SHA-256 of the record before, in hex.
    pub previous_hash: String,
    /// SHA-256 of `previous_hash` and the record's stored text, in hex.
    pub hash: String,
}

impl From<api::AuditEntry> for AuditEntry {
    fn from(entry: api::AuditEntry) -> Self {
        Self {
            seq: entry.seq,
            id: entry.id.to_string(),
            timestamp: system_time(entry.timestamp),
            actor_kind: entry.actor.kind,
            actor_id: entry.actor.id,
            actor_name: entry.actor.name,
            actor_ip: entry.actor.ip,
            action: entry.action,
            target_kind: entry.target.kind,
            target_id: entry.target.id,
            team_id: entry.team_id.map(|team| team.to_string()),
            details: entry.details.to_string(),
            result: enum_text(&entry.result),
            error: entry.error,
            previous_hash: entry.previous_hash,
            hash: entry.hash,
        }
    }
}

/// Which audit records are wanted. Everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct AuditFilter {
    /// Of this actor id or name.
    #[uniffi(default = None)]
    pub actor: Option<String>,
    /// Of this action.
    #[uniffi(default = None)]
    pub action: Option<String>,
    /// About the satellite with this id.
    #[uniffi(default = None)]
    pub satellite_id: Option<String>,
    /// Not before.
    #[uniffi(default = None)]
    pub since: Option<SystemTime>,
    /// Before.
    #[uniffi(default = None)]
    pub until: Option<SystemTime>,
}

impl TryFrom<AuditFilter> for api::AuditQuery {
    type Error = HiveError;

    fn try_from(filter: AuditFilter) -> Result<Self, HiveError> {
        let AuditFilter { actor, action, satellite_id, since, until } = filter;
        let satellite_id = satellite_id.map(|satellite| parse_id("satellite_id", &satellite)).transpose()?;
        Ok(Self { actor, action, satellite_id, since: since.map(timestamp), until: until.map(timestamp) })
    }
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct AuditVerification {
    /// Whether nothing is wrong.
    pub valid: bool,
    /// Records looked at.
    pub records: u64,
    /// The hash of the last record, in hex.
    pub head_hash: String,
    /// The key that signed the manifest, base64; none where the trail was read from the database.
    pub public_key: Option<String>,
    /// What is wrong, each a JSON object with its `fault`.
    pub faults: Vec<String>,
}

impl From<api::AuditVerification> for AuditVerification {
    fn from(found: api::AuditVerification) -> Self {
        let api::AuditVerification { valid, records, head_hash, public_key, faults } = found;
        let faults = faults.iter().map(|fault| serde_json::json!(fault).to_string()).collect();
        Self { valid, records, head_hash, public_key, faults }
    }
}
