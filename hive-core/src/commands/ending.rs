//! How commands end: in the store first, then for everybody who waits.

use std::sync::Arc;

use hive_wire::CommandId;
use hive_wire::agent::{ErrorBody, ToAgent, close};
use hive_wire::api::{AuditResult, CommandEnd, CommandStatus};
use serde_json::json;
use tokio::time::sleep;
use tracing::warn;

use super::in_flight::CommandMeta;
use super::links::CommandLink;
use super::payload::action_of;
use super::{CommandEvent, Commands};
use crate::audit::AuditDraft;
use crate::audit::draft::{Subject, draft};
use crate::retry::RETRY_INTERVAL;
use crate::store::{CommandOutcome, CommandRow};
use crate::{Error, Result};

impl Commands {
    /// The outcome of a command that its satellite did not report.
    fn unreported(&self, status: CommandStatus, error: Option<ErrorBody>) -> CommandOutcome {
        CommandOutcome {
            status,
            end: CommandEnd { error, ..CommandEnd::default() },
            finished_at: self.context.now(),
            output: Vec::new(),
        }
    }

    /// Ends a command without its satellite's report. False where it was queued, and has been handed over since its row was
    /// read.
    pub(super) async fn end_without_satellite(
        self: &Arc<Self>,
        row: &CommandRow,
        status: CommandStatus,
    ) -> Result<bool> {
        if row.status != CommandStatus::Queued {
            return self.end_unreported(row, status, None).await.map(|()| true);
        }
        let (id, meta) = (row.id, CommandMeta::from(row));
        let outcome = self.unreported(status, None);
        let records = self.records_of_end(id, &meta, &outcome);
        let is_first = self.store.command_finish_queued(id, outcome.clone(), records).await?;
        // It is not queued any more: somebody else ended it, or it was handed over. Only its row tells which.
        let has_ended = is_first || self.store.command_get(id).await?.is_none_or(|row| row.status.is_terminal());
        if has_ended {
            self.on_ended(id, &meta, outcome, is_first);
        }
        Ok(has_ended)
    }

    /// Ends a command, queued or handed over, without its satellite's report.
    pub(crate) async fn end_unreported(
        self: &Arc<Self>,
        row: &CommandRow,
        status: CommandStatus,
        error: Option<ErrorBody>,
    ) -> Result<()> {
        self.finish(row.id, &CommandMeta::from(row), self.unreported(status, error)).await
    }

    /// Gives a command its end. One that had ended before keeps that end.
    pub(super) async fn finish(
        self: &Arc<Self>,
        id: CommandId,
        meta: &CommandMeta,
        outcome: CommandOutcome,
    ) -> Result<()> {
        let records = self.records_of_end(id, meta, &outcome);
        let is_first = self.store.command_finish(id, outcome.clone(), records).await?;
        self.on_ended(id, meta, outcome, is_first);
        Ok(())
    }

    /// Stores a reported end while the storage is not reachable, beside the link, which goes on; then acknowledges it.
    pub(super) fn finish_later(
        self: &Arc<Self>,
        id: CommandId,
        meta: CommandMeta,
        outcome: CommandOutcome,
        link: CommandLink,
    ) {
        let commands = self.clone();
        self.context.spawn_until_shutdown(async move {
            loop {
                sleep(RETRY_INTERVAL).await;
                match commands.finish(id, &meta, outcome.clone()).await {
                    Ok(()) => break,
                    Err(Error::Unavailable(_)) => {}
                    // Waiting does not mend this. The satellite reports the result again with its next link.
                    Err(error) => {
                        warn!(command.id = %id, error = %error, "result not stored");
                        return link.handle.close(close::OVERLOADED, "the result cannot be stored");
                    }
                }
            }
            // Over a closed link it is lost: the satellite reports the result again with the next one.
            link.handle.send_best_effort(ToAgent::ResultAck { id });
        });
    }

    /// Removes a command that has ended since its row was read: nobody else would report that to those who wait for it here.
    pub(super) async fn remove_if_ended(&self, id: CommandId) -> Result<bool> {
        let has_ended = self.store.command_get(id).await?.is_none_or(|row| row.status.is_terminal());
        if has_ended {
            self.in_flight.end(id, None);
        }
        Ok(has_ended)
    }

    /// Notes that a command has ended in the store, by another process or with its job.
    pub(crate) fn on_ended_elsewhere(&self, id: CommandId) {
        self.in_flight.end(id, None);
    }

    /// The record of the job is the record of its commands.
    fn records_of_end(&self, id: CommandId, meta: &CommandMeta, outcome: &CommandOutcome) -> Vec<AuditDraft> {
        if meta.job.is_none() { vec![self.outcome_record(id, meta, outcome)] } else { Vec::new() }
    }

    fn outcome_record(&self, id: CommandId, meta: &CommandMeta, outcome: &CommandOutcome) -> AuditDraft {
        let action = action_of(&meta.command_type);
        let is_success = outcome.status == CommandStatus::Succeeded;
        let result = if is_success { AuditResult::Success } else { AuditResult::Failure };
        let subject = Subject::new(meta.satellite).of_team(meta.team);
        let details = json!({ "command_id": id, "status": outcome.status, "exit_code": outcome.end.exit_code });
        let draft = draft(&self.context, meta.actor.clone(), action, subject, details, result);
        let error = outcome.end.error.as_ref().map(|error| error.message.clone());
        draft.with_timestamp(outcome.finished_at).with_error(error)
    }

    /// Reports to everybody who waits that the store has an end of the command: this one, or one before it.
    fn on_ended(self: &Arc<Self>, id: CommandId, meta: &CommandMeta, outcome: CommandOutcome, is_first: bool) {
        if is_first {
            self.report_status(id, meta, outcome.status.clone(), outcome.end.exit_code);
        }
        match meta.job {
            Some(job) if is_first => {
                let (status, exit_code) = (outcome.status.clone(), outcome.end.exit_code);
                self.emit(&CommandEvent::Ended { job, id, status, exit_code });
            }
            job => self.emit_job_changed(job),
        }
        if is_first {
            // Whoever ended it first has counted it out: a later end must not do so again.
            let caller = meta.job.is_none().then_some(&*meta.actor.id);
            self.open.remove(meta.satellite, caller);
        }
        // A later end is not the end of the command: its followers read the first one from the store.
        self.in_flight.end(id, is_first.then_some(outcome));
        self.free_slot(meta.satellite, id);
    }
}
