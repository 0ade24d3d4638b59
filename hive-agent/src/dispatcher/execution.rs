//! Runs an admitted command: records its start, starts its process, records its end.

use std::sync::Arc;

use futures_util::future::join;
use hive_wire::agent::{Channel, CommandResult, ErrorBody, Payload};
use hive_wire::api::CommandStatus;
use hive_wire::{CommandId, ErrorCode};
use tokio::sync::oneshot;
use tracing::{debug, error};

use super::concurrency::ConcurrencyClass;
use super::{Dispatcher, RunningCommand};
use crate::clock;
use crate::executors;
use crate::executors::process::{
    self, PreparedProgram, ProcessOutcome, ProcessOutputs, Program, StartCondition, StopSignals,
};
use crate::journal::{self, JournalRecord};
use crate::system_error;

impl Dispatcher {
    /// Journals the start, runs the command, journals the end.
    pub(super) async fn run_command(
        self: Arc<Self>,
        command: Arc<RunningCommand>,
        payload: Payload,
        started: JournalRecord,
    ) {
        // The program is prepared while the record is written. It starts only after that, and then at once: the thread of
        // the journal gives the permit to the thread that starts programs.
        let (give_permit, permit) = oneshot::channel();
        let condition = StartCondition { permit, cancel: command.cancel.clone() };
        let recording = self.journal.append_start(&started, give_permit);
        let (recorded, prepared) = join(recording, self.prepare(command.id, &payload, condition)).await;
        let outcome = if let Err(cause) = recorded {
            let message = self.disk.record_failure(journal::NAME, &cause);
            error!(command.id = %command.id, "a command is not run, because its start cannot be recorded: {message}");
            let refusal = ErrorBody { code: ErrorCode::Unavailable, message };
            ProcessOutcome::without_run(CommandStatus::Failed, Some(refusal))
        } else {
            debug!(command.id = %command.id, kind = command.kind.as_str(), "command started");
            // Read after the sync, so that it includes the record of this start.
            let position = self.journal.position();
            command.update(|progress| {
                progress.is_started = true;
                progress.journal_position = Some(position);
            });
            self.dirty.mark(command.id);
            match prepared {
                Ok(program) => self.execute(&command, program).await,
                Err(error) => ProcessOutcome::without_run(CommandStatus::Failed, Some(error)),
            }
        };
        let is_power = matches!(payload, Payload::Power(_));
        if is_power && self.stopping.is_cancelled() && outcome.status == CommandStatus::Cancelled {
            // The shutdown that stops this agent may be the one the command has issued. The next boot decides.
            return;
        }
        self.finish(&command, outcome, ConcurrencyClass::of(&payload)).await;
    }

    async fn prepare(
        &self,
        id: CommandId,
        payload: &Payload,
        condition: StartCondition,
    ) -> Result<PreparedProgram, ErrorBody> {
        let spec = executors::exec_spec(payload, self.settings.power_helper.as_deref())?;
        Ok(process::prepare(Program::of_spec(id, &spec, &self.settings.account)?, condition).await)
    }

    async fn execute(&self, command: &Arc<RunningCommand>, program: PreparedProgram) -> ProcessOutcome {
        let outputs = ProcessOutputs {
            stdout: self.spool.writer(command.id, Channel::Stdout),
            stderr: self.spool.writer(command.id, Channel::Stderr),
            drain: &self.drain,
            unkilled: &self.unkilled,
            on_growth: |channel, len| self.report_growth(command, channel, len),
        };
        let stop = StopSignals { cancel: command.cancel.clone(), shutdown: self.stopping.clone() };
        process::run(program, outputs, &stop).await
    }

    fn report_growth(&self, command: &RunningCommand, channel: Channel, len: u64) {
        command.update(|progress| match channel {
            Channel::Stdout => progress.produced.stdout = len,
            Channel::Stderr => progress.produced.stderr = len,
            // This agent writes only the outputs that it knows.
            Channel::Unknown(_) => {}
        });
        self.dirty.mark(command.id);
    }

    async fn finish(&self, command: &RunningCommand, outcome: ProcessOutcome, class: ConcurrencyClass) {
        self.counters.command_ended(&outcome.status, outcome.duration);
        let result = CommandResult {
            id: command.id,
            status: outcome.status,
            exit_code: outcome.exit_code,
            duration_ms: outcome.duration.as_millis() as u64,
            sent: outcome.output_len,
            truncated: outcome.is_truncated,
            error: outcome.error,
        };
        debug!(command.id = %command.id, status = result.status.as_str(), "command ended");
        let finished = JournalRecord::Finished { at: clock::now(), result: result.clone() };
        {
            let mut state = self.state();
            state.ledger.apply(&finished);
            // Released together with the ledger's update: a command that is delivered now sees both or neither.
            state.slots.release(class);
        }
        // The result is sent before it is written: one that is lost with this process is reported as unknown.
        command.update(|progress| progress.result = Some(result));
        self.dirty.mark(command.id);
        // The link sends the result first; the thread of the journal would compete with it for a processor.
        tokio::task::yield_now().await;
        self.write(&finished).await;
    }

    pub(super) async fn write(&self, record: &JournalRecord) {
        if let Err(error) = self.journal.append(record).await {
            error!("the journal cannot be written: {}", system_error::text(&error));
        }
    }

    pub(super) async fn compact_if_large(&self) {
        if self.journal.needs_compacting() {
            self.compact().await;
        }
    }

    pub(super) async fn compact(&self) {
        let content = || {
            let now = clock::now();
            let mut state = self.state();
            state.ledger.prune(now);
            state.ledger.to_lines(now)
        };
        if let Err(error) = self.journal.compact(content).await {
            error!("the journal cannot be rewritten: {}", system_error::text(&error));
        }
    }
}
