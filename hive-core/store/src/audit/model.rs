//! The records of the audit log.

use hive_wire::api::{Actor, AuditResult, AuditTarget};
use hive_wire::{AuditId, TeamId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::AuditAction;

/// A record before it is appended to the chain.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AuditDraft {
    /// Its id.
    pub id: AuditId,
    /// When it happened.
    pub timestamp: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: AuditAction,
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

impl AuditDraft {
    /// Drafts the record of an action that succeeded, without details and readable by no team. The type of the target is the usual
    /// one of the action.
    pub fn new(
        id: AuditId,
        timestamp: Timestamp,
        actor: Actor,
        action: AuditAction,
        target_id: impl Into<String>,
    ) -> Self {
        let target = AuditTarget { kind: action.target_types()[0].into(), id: target_id.into() };
        Self {
            id,
            timestamp,
            actor,
            action,
            target,
            team_id: None,
            details: Value::Object(Map::new()),
            result: AuditResult::Success,
            error: None,
        }
    }

    /// Sets the type of the target, of an action that has several.
    ///
    /// # Panics
    /// In a debug build if the action has no targets of this type.
    #[must_use]
    pub fn with_target_type(mut self, target_type: &str) -> Self {
        debug_assert!(self.action.target_types().contains(&target_type), "{} has no target {target_type}", self.action);
        self.target.kind = target_type.into();
        self
    }

    /// Sets the time.
    #[must_use]
    pub fn with_timestamp(self, timestamp: Timestamp) -> Self {
        Self { timestamp, ..self }
    }

    /// Sets the team whose members may read the record.
    #[must_use]
    pub fn with_team(self, team_id: Option<TeamId>) -> Self {
        Self { team_id, ..self }
    }

    /// Sets the details.
    #[must_use]
    pub fn with_details(self, details: Value) -> Self {
        Self { details, ..self }
    }

    /// Sets the result.
    #[must_use]
    pub fn with_result(self, result: AuditResult) -> Self {
        Self { result, ..self }
    }

    /// Sets the reason of a failure.
    #[must_use]
    pub fn with_error(self, error: Option<String>) -> Self {
        Self { error, ..self }
    }
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

/// The last record of the audit log: with it, a log that has lost its end is detected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Its sequence number.
    pub seq: u64,
    /// Its hash.
    pub hash: String,
}
