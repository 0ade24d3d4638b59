//! The audit log.

use std::time::SystemTime;

use hive_core::wire::api;

use super::convert::{enum_text, parse_id, system_time, timestamp};
use super::{Json, JsonObject};
use crate::HiveError;

/// One audit record.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct AuditEntry {
    /// Its position in the chain, from 1, without gaps.
    pub seq: u64,
    /// Its id.
    pub id: String,
    /// The time of the action.
    pub timestamp: SystemTime,
    /// The kind of the actor: `user`, `api_key`, `mcp`, `satellite` or `system`.
    pub actor_kind: String,
    /// The id of the user, key or satellite.
    pub actor_id: String,
    /// The name of the actor.
    pub actor_name: String,
    /// The address that the call came from.
    pub actor_ip: Option<String>,
    /// The action, such as `satellite.exec`.
    pub action: String,
    /// The kind of the target: `satellite`, `command`, `registration_token` …
    pub target_kind: String,
    /// The id of the target.
    pub target_id: String,
    /// The id of the team that it belongs to.
    pub team_id: Option<String>,
    /// Details of the action, without secrets.
    pub details: Json,
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
            // Actor and target are flat here, because a record of three texts is of no use alone.
            actor_kind: entry.actor.kind,
            actor_id: entry.actor.id,
            actor_name: entry.actor.name,
            actor_ip: entry.actor.ip,
            action: entry.action,
            target_kind: entry.target.kind,
            target_id: entry.target.id,
            team_id: entry.team_id.map(|team| team.to_string()),
            details: Json::of(&entry.details),
            result: enum_text(&entry.result),
            error: entry.error,
            previous_hash: entry.previous_hash,
            hash: entry.hash,
        }
    }
}

/// Which audit records to return. All given conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct AuditFilter {
    /// Only of this actor, by its id or name.
    #[uniffi(default = None)]
    pub actor: Option<String>,
    /// Only of this action.
    #[uniffi(default = None)]
    pub action: Option<String>,
    /// Only about the satellite with this id.
    #[uniffi(default = None)]
    pub satellite_id: Option<String>,
    /// Only from this time on.
    #[uniffi(default = None)]
    pub since: Option<SystemTime>,
    /// Only before this time.
    #[uniffi(default = None)]
    pub until: Option<SystemTime>,
}

impl TryFrom<AuditFilter> for api::AuditQuery {
    type Error = HiveError;

    fn try_from(filter: AuditFilter) -> Result<Self, HiveError> {
        let AuditFilter { actor, action, satellite_id, since, until } = filter;
        let satellite_id = satellite_id.map(|satellite| parse_id("satellite_id", &satellite)).transpose()?;
        let [since, until] = [since, until].map(|time| time.map(timestamp));
        Ok(Self { actor, action, satellite_id, since, until, seq: None })
    }
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct AuditVerification {
    /// Whether the records are complete and unchanged.
    pub valid: bool,
    /// The number of records that were checked.
    pub records: u64,
    /// The hash of the last record, in hex.
    pub head_hash: String,
    /// The key that signed the manifest, base64; none for the stored log.
    pub public_key: Option<String>,
    /// What is wrong, each with its `fault`.
    pub faults: Vec<JsonObject>,
}

impl From<api::AuditVerification> for AuditVerification {
    fn from(found: api::AuditVerification) -> Self {
        let api::AuditVerification { valid, records, head_hash, public_key, faults } = found;
        let faults = faults.iter().map(JsonObject::of).collect();
        Self { valid, records, head_hash, public_key, faults }
    }
}
