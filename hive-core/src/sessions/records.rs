//! What the audit trail says of terminals: who opened, saw, took and ended them, and never a byte of them.

use hive_wire::AuditId;
use hive_wire::api::{AuditResult, AuditTarget, EndReason, SessionEnd, SessionStatus};
use serde_json::{Value, json};

use super::live::LiveSession;
use crate::Result;
use crate::audit::AuditDraft;
use crate::hive::acting::Subject;
use crate::hive::{ActingHive, Hive};
use crate::store::SessionRow;

pub(super) fn subject(row: &SessionRow) -> Subject {
    Subject::new("session", row.id).of_team(row.team_id)
}

impl ActingHive {
    /// Records that a viewer takes the keyboard from another.
    pub(super) async fn record_take(&self, session: &LiveSession) -> Result<()> {
        if let Some(row) = self.hive.store().session_get(session.id).await? {
            let details = json!({ "satellite_id": row.satellite_id });
            let record = self.record("session.take_control", subject(&row), details);
            self.hive.store().audit_append(record).await?;
        }
        Ok(())
    }
}

impl Hive {
    /// Drafts the record that a terminal was opened, as its creator's deed.
    pub(super) fn opened_record(&self, row: &SessionRow) -> AuditDraft {
        self.session_record(row, "session.create", json!({ "satellite_id": row.satellite_id }), AuditResult::Success)
    }

    /// Drafts the record of how a terminal ended: of one that never was there, as the outcome of its creation.
    pub(super) fn ended_record(&self, row: &SessionRow, end: &SessionEnd, output: Option<u64>) -> AuditDraft {
        let is_failure = row.status == SessionStatus::Starting || end.reason == EndReason::Lost;
        let (action, result) = match (&row.status, is_failure) {
            (SessionStatus::Starting, _) => ("session.create", AuditResult::Failure),
            (_, true) => ("session.end", AuditResult::Failure),
            (_, false) => ("session.end", AuditResult::Success),
        };
        let details = json!({
            "satellite_id": row.satellite_id,
            "reason": end.reason,
            "exit_code": end.exit_code,
            "output_bytes": output,
        });
        let error = end.error.as_ref().map(|error| error.message.clone());
        AuditDraft { error, ..self.session_record(row, action, details, result) }
    }

    fn session_record(
        &self,
        row: &SessionRow,
        action: &'static str,
        details: Value,
        result: AuditResult,
    ) -> AuditDraft {
        AuditDraft {
            id: AuditId::new(self.source().seed()),
            timestamp: self.source().now(),
            actor: row.actor.clone(),
            action,
            target: AuditTarget { kind: "session".into(), id: row.id.to_string() },
            team_id: row.team_id,
            details,
            result,
            error: None,
        }
    }
}
