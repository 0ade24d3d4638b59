//! The audit records of sessions: who opened, viewed, took over and ended them. They contain no input and no output.

use hive_wire::api::{AuditResult, EndReason, SessionEnd, SessionStatus};
use hive_wire::ui::UiEvent;
use serde_json::json;

use super::Sessions;
use super::live::LiveSession;
use crate::Result;
use crate::access::Principal;
use crate::audit::draft::{Subject, draft, record};
use crate::audit::{AuditAction, AuditDraft};
use crate::store::SessionRow;

pub(super) fn subject(row: &SessionRow) -> Subject {
    Subject::new(row.id).of_team(row.team_id)
}

impl Sessions {
    /// Reports to those who follow the hive that a session was opened.
    pub(super) fn report_started(&self, row: &SessionRow) {
        let SessionRow { id, satellite_id, created_at, .. } = *row;
        let event = UiEvent::SessionStarted { session_id: id, satellite_id, created_at };
        self.events.note_session(id, satellite_id, row.team_id, event);
    }

    /// Reports to those who follow the hive that a session has ended.
    pub(super) fn report_ended(&self, row: &SessionRow, end: &SessionEnd) {
        let SessionEnd { reason, exit_code, error } = end.clone();
        let event = UiEvent::SessionEnded { session_id: row.id, reason, exit_code, error };
        self.events.note_session(row.id, row.satellite_id, row.team_id, event);
    }

    /// Records that a viewer takes the keyboard from another.
    pub(super) async fn record_take(&self, principal: &Principal, session: &LiveSession) -> Result<()> {
        // The row gives the team, by which readers of the audit log are limited.
        if let Some(row) = self.store.session_get(session.id).await? {
            let details = json!({ "satellite_id": row.satellite_id });
            let record = record(&self.context, principal, AuditAction::SessionTakeControl, subject(&row), details);
            self.audit.audit_append(record).await?;
        }
        Ok(())
    }

    /// Drafts the record that a session was opened, with its creator as the actor.
    pub(super) fn opened_record(&self, row: &SessionRow) -> AuditDraft {
        let details = json!({ "satellite_id": row.satellite_id });
        let (actor, result) = (row.actor.clone(), AuditResult::Success);
        draft(&self.context, actor, AuditAction::SessionCreate, subject(row), details, result)
    }

    /// Drafts the record of a session's end. For a session that never started, it is the outcome of its creation.
    pub(super) fn ended_record(&self, row: &SessionRow, end: &SessionEnd, output: Option<u64>) -> AuditDraft {
        let is_failure = row.status == SessionStatus::Starting || end.reason == EndReason::Lost;
        let (action, result) = match (&row.status, is_failure) {
            (SessionStatus::Starting, _) => (AuditAction::SessionCreate, AuditResult::Failure),
            (_, true) => (AuditAction::SessionEnd, AuditResult::Failure),
            (_, false) => (AuditAction::SessionEnd, AuditResult::Success),
        };
        let details = json!({
            "satellite_id": row.satellite_id,
            "reason": end.reason,
            "exit_code": end.exit_code,
            "output_bytes": output,
        });
        let error = end.error.as_ref().map(|error| error.message.clone());
        let draft = draft(&self.context, row.actor.clone(), action, subject(row), details, result);
        draft.with_error(error)
    }
}
