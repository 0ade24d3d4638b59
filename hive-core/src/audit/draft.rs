//! Drafts of audit records: who did what to what. All drafts of the hive are made here.

use hive_wire::api::{Actor, AuditResult};
use hive_wire::{AuditId, SatelliteId, TeamId};
use serde_json::Value;

use crate::access::Principal;
use crate::audit::{AuditAction, AuditDraft};
use crate::clock::ClockAndRng;
use crate::context::ServiceContext;
use crate::store::SatelliteRow;

/// What an audit record is about.
pub(crate) struct Subject {
    /// Its type, where the action has targets of several types.
    target_type: Option<&'static str>,
    id: String,
    team: Option<TeamId>,
}

impl Subject {
    /// The subject with this id, of the type that the action has.
    pub(crate) fn new(id: impl ToString) -> Self {
        Self { target_type: None, id: id.to_string(), team: None }
    }

    /// The subject with this id, of one of the types that the action has.
    pub(crate) fn of_type(target_type: &'static str, id: impl ToString) -> Self {
        Self { target_type: Some(target_type), ..Self::new(id) }
    }

    pub(crate) fn satellite(row: &SatelliteRow) -> Self {
        Self::new(row.id).of_team(row.team_id)
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
    action: AuditAction,
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
    action: AuditAction,
    subject: Subject,
    details: Value,
) -> AuditDraft {
    draft(context, principal.actor(), action, subject, details, AuditResult::Intent)
}

/// Drafts the record of a change that the hive made by itself, also while it has no services yet.
pub(crate) fn system_record(source: &ClockAndRng, action: AuditAction, subject: Subject, details: Value) -> AuditDraft {
    new_draft(source, Principal::system().actor(), action, subject, details)
}

/// Drafts a record.
pub(crate) fn draft(
    context: &ServiceContext,
    actor: Actor,
    action: AuditAction,
    subject: Subject,
    details: Value,
    result: AuditResult,
) -> AuditDraft {
    new_draft(context.source(), actor, action, subject, details).with_result(result)
}

fn new_draft(source: &ClockAndRng, actor: Actor, action: AuditAction, subject: Subject, details: Value) -> AuditDraft {
    let Subject { target_type, id, team } = subject;
    let draft = AuditDraft::new(AuditId::new(source.seed()), source.now(), actor, action, id);
    let draft = draft.with_team(team).with_details(details);
    match target_type {
        Some(target_type) => draft.with_target_type(target_type),
        None => draft,
    }
}

/// A satellite as an actor.
pub(crate) fn satellite_actor(id: SatelliteId) -> Actor {
    Actor { kind: "satellite".into(), id: id.to_string(), name: id.to_string(), ip: None }
}
