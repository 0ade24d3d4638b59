//! The audit trail, its exported file and what a verification finds.

use serde::{Deserialize, Serialize};

use crate::open::open_tagged;
use crate::open_enum;
use crate::{AuditId, SatelliteId, TeamId, Timestamp};

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `user`, `api_key`, `mcp`, `satellite` or `system`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The id of the user, key or satellite.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// Where the call came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
}

/// What it was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditTarget {
    /// `satellite`, `command`, `registration_token` …
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
}

open_enum! {
    /// What a record says of the action.
    pub enum AuditResult {
        /// It is about to be done: an effect outside of the database follows, and then an outcome.
        Intent = "intent",
        /// It was done.
        Success = "success",
        /// It was refused or failed.
        Failure = "failure",
    }
}

/// One audit record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its place in the chain, from 1, without gaps.
    pub seq: u64,
    /// Its id.
    pub id: AuditId,
    /// When.
    pub timestamp: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What, such as `satellite.exec`.
    pub action: String,
    /// To what.
    pub target: AuditTarget,
    /// The team it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
    /// More, secrets left out.
    pub details: serde_json::Value,
    /// How it went.
    pub result: AuditResult,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// SHA-256 of the record before, in hex; 64 zeros in front of the first.
    pub previous_hash: String,
    /// SHA-256 of `previous_hash` and the record's stored text, in hex.
    pub hash: String,
}

/// Which audit records are wanted. Everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditQuery {
    /// Of this actor id or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Of this action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// About this satellite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub satellite_id: Option<SatelliteId>,
    /// Not before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// One line of an exported trail. The last line is the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AuditExportLine {
    /// A record.
    Record {
        /// Its place in the chain.
        seq: u64,
        /// The hash of the record before, in hex.
        previous_hash: String,
        /// Its hash, in hex.
        hash: String,
        /// The stored text, as it was hashed.
        record: String,
    },
    /// What the file holds, signed.
    Manifest {
        /// The manifest's text, as it was signed.
        manifest: String,
        /// The Ed25519 signature of that text, base64.
        signature: String,
    },
}

/// What an exported file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditVerification {
    /// Whether nothing is wrong.
    pub valid: bool,
    /// Records looked at.
    pub records: u64,
    /// The hash of the last record, in hex.
    pub head_hash: String,
    /// The key that signed the manifest, base64; none where the trail was read from the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// What is wrong.
    pub faults: Vec<ChainFault>,
}

/// Something wrong with a chain of records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", remote = "Self")]
pub enum ChainFault {
    /// The record's text is not what was hashed.
    Changed {
        /// Which record.
        seq: u64,
    },
    /// Records are missing.
    Removed {
        /// The first missing one.
        first: u64,
        /// The last missing one.
        last: u64,
    },
    /// The record stands at another place than its own.
    Reordered {
        /// Which record.
        seq: u64,
    },
    /// The record is not part of the chain.
    Inserted {
        /// Where it claims to be.
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
    /// A line is no record.
    Unreadable {
        /// Which line, from 1.
        line: u64,
    },
    /// Something that this version does not know.
    #[serde(skip)]
    Unknown(serde_json::Value),
}

open_tagged!(ChainFault, "fault");
