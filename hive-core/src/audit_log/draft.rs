//! Drafts of audit records: who did what to what.

use hive_wire::api::{Actor, AuditResult, AuditTarget};
use hive_wire::{AuditId, SatelliteId, TeamId};
use serde_json::Value;

use crate::access::Principal;
use crate::audit::AuditDraft;
use crate::context::ServiceContext;
use crate::store::SatelliteRow;

/// What an audit record is about.
pub(crate) struct Subject {
    kind: &'static str,
    id: String,
    team: Option<TeamId>,
}

impl Subject {
    pub(crate) fn new(kind: &'static str, id: impl ToString) -> Self {
        Self { kind, id: id.to_string(), team: None }
    }

    pub(crate) fn satellite(row: &SatelliteRow) -> Self {
        Self::new("satellite", row.id).of_team(row.team_id)
    }

    /// The same, of a team: its members may read the record.
    pub(crate) fn of_team(mut self, team: Option<TeamId>) -> Self {
        self.team = team;
        self
    }
}

/// Drafts the record of a change that the principal made in the store.
pub(crate) fn record(
    context: &ServiceContext,
    principal: &Principal,
    action: &'static str,
    subject: Subject,
    details: Value,
) -> AuditDraft {
    draft(context, principal.actor(), action, subject, details, AuditResult::Success)
}

/// Drafts the record of something that the principal asks for and that reaches beyond the store. Its outcome gets a record of
/// its own.
pub(crate) fn intent(
    context: &ServiceContext,
    principal: &Principal,
    action: &'static str,
    subject: Subject,
    details: Value,
) -> AuditDraft {
    draft(context, principal.actor(), action, subject, details, AuditResult::Intent)
}

/// Drafts a record.
pub(crate) fn draft(
    context: &ServiceContext,
    actor: Actor,
    action: &'static str,
    subject: Subject,
    details: Value,
    result: AuditResult,
) -> AuditDraft {
    AuditDraft {
        id: AuditId::new(context.seed()),
        timestamp: context.now(),
        actor,
        action,
        target: AuditTarget { kind: subject.kind.into(), id: subject.id },
        team_id: subject.team,
        details,
        result,
        error: None,
    }
}

/// A satellite as an actor.
pub(crate) fn satellite_actor(id: SatelliteId) -> Actor {
    Actor { kind: "satellite".into(), id: id.to_string(), name: id.to_string(), ip: None }
}
