//! Decides about a delivered command that is new to this process.

use std::sync::Arc;
use std::time::Duration;

use hive_wire::CommandId;
use hive_wire::agent::{Command, CommandResult, ErrorBody, Payload, Received};
use hive_wire::api::CommandStatus;

use super::concurrency::ConcurrencyClass;
use super::{Dispatcher, DispatcherState, ExecutionProgress, RunningCommand};
use crate::clock;
use crate::executors::unsupported;
use crate::journal::{DeliveryDecision, JournalRecord, PowerStart};

/// What follows for a command that is new to this process.
pub(super) enum AdmissionStep {
    /// It is run, after this record of its start is on disk.
    Run(JournalRecord),
    /// An earlier process ended it with this result, and may have left output.
    ReportStored(CommandResult),
    /// Its result is known.
    Reported,
}

impl Dispatcher {
    /// Decides about a command that is new to this process. Returns it; `None` where it cannot run now, in which case
    /// no trace of it stays here.
    pub(super) fn admit(
        &self,
        state: &mut DispatcherState,
        command: &Command,
        time_left: Option<Duration>,
    ) -> Option<(Arc<RunningCommand>, AdmissionStep)> {
        let id = command.id;
        let decision = match state.ledger.decide(id, command.expires_in_ms, self.boot_id()) {
            // The server knows of a start that is not in this journal, so another journal recorded it.
            DeliveryDecision::Run | DeliveryDecision::Expired if command.started => DeliveryDecision::Unknown,
            decision => decision,
        };
        let result = match decision {
            DeliveryDecision::Run => match self.refusal(&command.payload) {
                None => {
                    // Checked after the policy: a refusal needs no time limit.
                    let time_left = time_left?;
                    if !state.slots.acquire(ConcurrencyClass::of(&command.payload)) {
                        return None;
                    }
                    let started = self.start_record(command, time_left);
                    // In memory before it is on disk, so that a second delivery finds it.
                    state.ledger.apply(&started);
                    let command = Self::insert(state, command, ExecutionProgress::default());
                    return Some((command, AdmissionStep::Run(started)));
                }
                Some(refusal) => not_run(id, CommandStatus::Failed, Some(refusal)),
            },
            DeliveryDecision::Expired => not_run(id, CommandStatus::Expired, None),
            DeliveryDecision::Unknown => {
                let result = not_run(id, CommandStatus::OutcomeUnknown, None);
                return Some(Self::with_stored_output(state, command, result));
            }
            DeliveryDecision::Answer(result) => return Some(Self::with_stored_output(state, command, result)),
            // A running command is in `commands` and was found there before.
            DeliveryDecision::Reattach => not_run(id, CommandStatus::OutcomeUnknown, None),
        };
        let progress = ExecutionProgress { result: Some(result), ..ExecutionProgress::default() };
        Some((Self::insert(state, command, progress), AdmissionStep::Reported))
    }

    /// A command of an earlier process. It has not ended before the length of its output is known.
    fn with_stored_output(
        state: &mut DispatcherState,
        command: &Command,
        result: CommandResult,
    ) -> (Arc<RunningCommand>, AdmissionStep) {
        let command = Self::insert(state, command, ExecutionProgress::default());
        (command, AdmissionStep::ReportStored(result))
    }

    /// Reports a command of an earlier process, with the output that this left in the spool.
    pub(super) async fn report_stored(&self, command: &RunningCommand, result: CommandResult) {
        let produced = self.spool.stored_len(command.id).await;
        command.update(|progress| {
            *progress =
                ExecutionProgress { is_started: true, produced, result: Some(result), ..ExecutionProgress::default() };
        });
        self.dirty.mark(command.id);
    }

    fn insert(state: &mut DispatcherState, command: &Command, progress: ExecutionProgress) -> Arc<RunningCommand> {
        let command = Arc::new(RunningCommand::new(command.id, command.payload.command_type(), clock::now(), progress));
        state.commands.insert(command.id, command.clone());
        command
    }

    /// The reason why a command is refused before its start.
    fn refusal(&self, payload: &Payload) -> Option<ErrorBody> {
        match payload {
            Payload::Unknown { command_type, .. } => Some(unsupported::refusal(command_type)),
            Payload::Exec(_) | Payload::Power(_) => self.settings.policy.check(payload).err(),
        }
    }

    fn start_record(&self, command: &Command, time_left: Duration) -> JournalRecord {
        let power = match &command.payload {
            Payload::Power(spec) => {
                Some(PowerStart { action: spec.action.clone(), boot_id: self.settings.boot_id.clone() })
            }
            Payload::Exec(_) | Payload::Unknown { .. } => None,
        };
        JournalRecord::Started { id: command.id, expires_at: clock::now().plus(time_left), power }
    }
}

/// The result of a command that is not run.
fn not_run(id: CommandId, status: CommandStatus, error: Option<ErrorBody>) -> CommandResult {
    CommandResult { id, status, exit_code: None, duration_ms: 0, sent: Received::default(), truncated: false, error }
}
