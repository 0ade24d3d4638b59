//! The audit log, its export, and the result of a verification.

use serde::{Deserialize, Serialize};

use crate::open::open_tagged;
use crate::open_enum;
use crate::{AuditId, SatelliteId, TeamId, Timestamp};

/// The actor of an audited action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Actor {
    /// `user`, `api_key`, `mcp`, `satellite` or `system`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The id of the user, key or satellite.
    pub id: String,
    /// A name to show to people.
    pub name: String,
    /// The address of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
}

/// The target of an audited action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditTarget {
    /// `satellite`, `command`, `registration_token` …
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$"))]
    pub id: String,
}

open_enum! {
    /// The result of an audited action.
    pub enum AuditResult {
        /// The action begins. Its effect is outside of the database, and a record of the outcome follows.
        Intent = "intent",
        /// The action was done.
        Success = "success",
        /// The action was refused, or failed.
        Failure = "failure",
    }
}

/// One audit record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Its position in the chain, from 1, without gaps.
    pub seq: u64,
    /// Its id.
    pub id: AuditId,
    /// When it happened.
    pub timestamp: Timestamp,
    /// The actor.
    pub actor: Actor,
    /// The action, such as `satellite.exec`.
    pub action: String,
    /// The target.
    pub target: AuditTarget,
    /// The team it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
    /// Further details, without secrets.
    pub details: serde_json::Value,
    /// The result.
    pub result: AuditResult,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// SHA-256 of the record before, in hex; 64 zeros in front of the first.
    pub previous_hash: String,
    /// SHA-256 of `previous_hash` and the record's stored text, in hex.
    pub hash: String,
}

/// A filter of audit records. All conditions that are set must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct AuditQuery {
    /// Only records of the actor with this id or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Only records of this action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only records about this satellite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub satellite_id: Option<SatelliteId>,
    /// Only records at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only records before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Only the record at this position of the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// A line of an exported audit log. The last line is the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum AuditExportLine {
    /// A record.
    Record {
        /// Its position in the chain.
        seq: u64,
        /// The hash of the record before, in hex.
        previous_hash: String,
        /// Its hash, in hex.
        hash: String,
        /// The stored text, as it was hashed.
        record: String,
    },
    /// The signed manifest of the file.
    Manifest {
        /// The manifest's text, as it was signed.
        manifest: String,
        /// The Ed25519 signature of that text, base64.
        signature: String,
    },
}

/// The manifest of an exported file: what the file contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditManifest {
    /// 1.
    pub version: u32,
    /// The first record; 0 where there is none.
    pub first_seq: u64,
    /// The last record; 0 where there is none.
    pub last_seq: u64,
    /// The hash of the last record, in hex.
    pub head_hash: String,
    /// When the file was written.
    pub exported_at: Timestamp,
    /// The signing key, base64.
    pub public_key: String,
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditVerification {
    /// Whether there is no fault.
    pub valid: bool,
    /// The number of checked records.
    pub records: u64,
    /// The hash of the last record, in hex.
    pub head_hash: String,
    /// The key that signed the manifest, base64; none if the audit log was read from the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// The faults.
    pub faults: Vec<ChainFault>,
}

/// A fault in a chain of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "fault", rename_all = "snake_case", remote = "Self")]
pub enum ChainFault {
    /// The record's text is not what was hashed.
    Changed {
        /// The record.
        seq: u64,
    },
    /// Records are missing, and no signed checkpoint says that they were pruned.
    Removed {
        /// The first missing one.
        first: u64,
        /// The last missing one.
        last: u64,
    },
    /// The record is not at its position.
    Reordered {
        /// The record.
        seq: u64,
    },
    /// The record is not part of the chain.
    Inserted {
        /// The position that it claims.
        seq: u64,
    },
    /// The file ends before the last record its manifest names.
    TailCut {
        /// The last record there is.
        last_seq: u64,
        /// The last record there should be.
        expected: u64,
    },
    /// There is no manifest, so a cut tail cannot be seen.
    ManifestMissing,
    /// The manifest's signature is not that of the key.
    ManifestForged,
    /// The record claims to be a checkpoint of a pruned log, and its signature is not valid.
    CheckpointForged {
        /// The record.
        seq: u64,
    },
    /// A line is no record.
    Unreadable {
        /// Which line, from 1.
        line: u64,
    },
    /// A fault of a later version.
    #[serde(skip)]
    Unknown(serde_json::Value),
}

open_tagged!(ChainFault, "fault");
