//! Runs delivered commands: policy, journal, execution, result.
//!
//! The dispatcher does not depend on a link. A link asks it for [`RunningCommand`]s and learns of their progress from
//! the [`DirtySet`]. Without a link the commands continue.

mod concurrency;
mod running_command;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hive_wire::agent::{Channel, Command, CommandResult, ErrorBody, Payload, Received};
use hive_wire::api::CommandStatus;
use hive_wire::{CommandId, ErrorCode};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

use crate::clock;
use crate::config::{Account, AgentConfig};
use crate::dirty_set::DirtySet;
use crate::executors::process::{self, PipeDrain, ProcessOutcome, ProcessOutputs, Program, StopSignals};
use crate::executors::{self, unsupported};
use crate::identity::DataDir;
use crate::journal::{
    self, CommandLedger, DeliveryDecision, Journal, JournalFile, JournalRecord, OpenedJournal, PowerStart,
};
use crate::metrics::Counters;
use crate::policy::Policy;
use crate::process_tree;
use crate::random;
use crate::spool::{Spool, SpoolReader};
use crate::storage::disk::{self, DiskHealth};

use concurrency::{ConcurrencyClass, ConcurrencySlots};

pub(crate) use running_command::{ExecutionProgress, RunningCommand};

/// How long a stopping agent waits until its commands have ended.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Accepts commands and runs each at most once.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    state: Mutex<DispatcherState>,
    journal: Journal,
    spool: Spool,
    disk: Arc<DiskHealth>,
    /// Reads the output of background children of ended commands. Nothing waits for it.
    drain: PipeDrain,
    dirty: DirtySet<CommandId>,
    settings: DispatcherSettings,
    counters: Arc<Counters>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

#[derive(Debug)]
struct DispatcherState {
    ledger: CommandLedger,
    /// Commands that were delivered to this process and are not acknowledged yet.
    commands: HashMap<CommandId, Arc<RunningCommand>>,
    slots: ConcurrencySlots,
}

/// Whether a delivered command was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryOutcome {
    /// It is known here, and its progress is sent.
    Accepted,
    /// It cannot run now, and left no trace here.
    Busy,
}

#[derive(Debug)]
struct DispatcherSettings {
    policy: Policy,
    power_helper: Option<PathBuf>,
    account: Account,
    boot_id: Option<String>,
    max_running: usize,
}

impl Dispatcher {
    /// Opens the journal and the spool of the data directory.
    pub(crate) fn open(
        config: &AgentConfig,
        data: &DataDir,
        boot_id: Option<String>,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let OpenedJournal { mut file, records } = JournalFile::open(&data.join("journal.jsonl"))?;
        let now = clock::now();
        let mut ledger = CommandLedger::of_earlier_process(&records);
        // Before the file is rewritten, so that it does not keep what is no longer needed.
        ledger.prune(now);
        match file.start(&random::unique_id()?, &ledger.to_lines(now)?) {
            // The records stay as they are. The start id is written when the file is next rewritten.
            Err(error) if disk::is_disk_error(&error) => warn!("{}", data.disk().record_failure(journal::NAME, &error)),
            started => started?,
        }
        let spool = Spool::open(data.join("spool"), data.disk().clone())?;
        // A crash may leave output whose result was acknowledged.
        spool.sweep(|id| ledger.needs_output(id))?;
        Ok(Self {
            state: Mutex::new(DispatcherState {
                ledger,
                commands: HashMap::new(),
                slots: ConcurrencySlots::new(config.max_running),
            }),
            journal: Journal::start(file, data.disk().clone())?,
            spool,
            disk: data.disk().clone(),
            drain: PipeDrain::new(),
            dirty: DirtySet::default(),
            settings: DispatcherSettings {
                policy: config.policy.clone(),
                power_helper: config.power_helper.clone(),
                account: config.account_of_programs(),
                boot_id,
                max_running: config.max_running,
            },
            counters,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        })
    }

    /// Ends the processes of commands that an agent left running when it was killed: nothing enforces their timeouts,
    /// and they cannot be cancelled. Their outcome is reported as unknown only after that.
    pub(crate) async fn end_leftovers(&self) {
        let interrupted = self.state().ledger.interrupted();
        let ending = async {
            for id in interrupted {
                let count = process_tree::end_leftovers(process::marker(id)).await;
                if count > 0 {
                    warn!(command.id = %id, processes = count, "ended processes that a killed agent had left running");
                }
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, ending).await.is_err() {
            error!("some processes of a killed agent do not end");
        }
    }

    /// The journal's id, for the handshake.
    pub(crate) fn journal_id(&self) -> &str {
        self.journal.id()
    }

    /// The number of records ever appended to the journal, for the handshake.
    pub(crate) fn journal_position(&self) -> u64 {
        self.journal.position()
    }

    /// The start ids of the processes that wrote the journal, this process last, for the handshake.
    pub(crate) fn start_ids(&self) -> &[String] {
        self.journal.starts()
    }

    /// The id of the machine's boot, for the handshake.
    pub(crate) fn boot_id(&self) -> Option<&str> {
        self.settings.boot_id.as_deref()
    }

    /// Problems of this agent, as sentences for people.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.disk.problem().into_iter().collect()
    }

    /// The commands with progress.
    pub(crate) fn dirty(&self) -> &DirtySet<CommandId> {
        &self.dirty
    }

    /// Returns a command that was delivered and is not acknowledged yet.
    pub(crate) fn command(&self, id: CommandId) -> Option<Arc<RunningCommand>> {
        self.state().commands.get(&id).cloned()
    }

    /// Returns all of them.
    pub(crate) fn commands(&self) -> Vec<Arc<RunningCommand>> {
        self.state().commands.values().cloned().collect()
    }

    /// Opens a reader of a command's output.
    pub(crate) fn reader(&self, id: CommandId, channel: Channel) -> SpoolReader {
        self.spool.reader(id, channel)
    }

    /// How many commands may run at the same time, for the handshake and the heartbeat. Power commands do not count.
    pub(crate) fn capacity(&self) -> u32 {
        u32::try_from(self.settings.max_running).unwrap_or(u32::MAX)
    }

    /// Accepts a command that was delivered, for the first time or again, and marks it in the dirty set. `time_left` is
    /// how long it may still be started, where that is known here.
    pub(crate) fn deliver(self: &Arc<Self>, command: Command, time_left: Option<Duration>) -> DeliveryOutcome {
        if self.stopping.is_cancelled() {
            // The server delivers it again after the restart.
            return DeliveryOutcome::Accepted;
        }
        let id = command.id;
        // The lock covers decision and insertion: a command that is delivered twice must not start twice.
        let started = {
            let mut state = self.state();
            match state.commands.get(&id) {
                Some(_) => None,
                None => match self.admit(&mut state, &command, time_left) {
                    Some(admitted) => Some(admitted),
                    None => return DeliveryOutcome::Busy,
                },
            }
        };
        if let Some((running, Some(started))) = started {
            let dispatcher = Arc::clone(self);
            self.tasks.spawn(async move { dispatcher.run_command(running, command.payload, started).await });
        }
        // Also for a command that is known already: the link sends its acknowledgement again.
        self.dirty.mark(id);
        DeliveryOutcome::Accepted
    }

    /// Decides about a command that is new to this process. Returns it, with the record of its start if it is to run;
    /// `None` where it cannot run now, in which case no trace of it stays here.
    fn admit(
        &self,
        state: &mut DispatcherState,
        command: &Command,
        time_left: Option<Duration>,
    ) -> Option<(Arc<RunningCommand>, Option<JournalRecord>)> {
        let id = command.id;
        let decision = match state.ledger.decide(id, command.expires_in_ms, self.boot_id()) {
            // The server knows of a start that is not in this journal, so another journal recorded it.
            DeliveryDecision::Run | DeliveryDecision::Expired if command.started => DeliveryDecision::Unknown,
            decision => decision,
        };
        let progress = match decision {
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
                    return Some((command, Some(started)));
                }
                Some(refusal) => not_run(id, CommandStatus::Failed, Some(refusal)),
            },
            DeliveryDecision::Expired => not_run(id, CommandStatus::Expired, None),
            DeliveryDecision::Unknown => self.with_stored_output(id, not_run(id, CommandStatus::OutcomeUnknown, None)),
            DeliveryDecision::Answer(result) => {
                let result = Some(result);
                self.with_stored_output(id, ExecutionProgress { result, ..ExecutionProgress::default() })
            }
            // A running command is in `commands` and was found there before.
            DeliveryDecision::Reattach => not_run(id, CommandStatus::OutcomeUnknown, None),
        };
        Some((Self::insert(state, command, progress), None))
    }

    /// Adds the output that an earlier process left in the spool.
    fn with_stored_output(&self, id: CommandId, progress: ExecutionProgress) -> ExecutionProgress {
        ExecutionProgress { is_started: true, produced: self.spool.stored_len(id), ..progress }
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

    /// Journals the start, runs the command, journals the end.
    async fn run_command(self: Arc<Self>, command: Arc<RunningCommand>, payload: Payload, started: JournalRecord) {
        let outcome = if let Err(cause) = self.journal.append_durably(&started).await {
            error!(command.id = %command.id, error = %cause, "cannot journal a command; it is not run");
            let message = self.disk.record_failure(journal::NAME, &cause);
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
            self.execute(&command, &payload).await
        };
        let is_power = matches!(payload, Payload::Power(_));
        if is_power && self.stopping.is_cancelled() && outcome.status == CommandStatus::Cancelled {
            // The shutdown that stops this agent may be the one the command has issued. The next boot decides.
            return;
        }
        self.finish(&command, outcome, ConcurrencyClass::of(&payload)).await;
    }

    async fn execute(&self, command: &Arc<RunningCommand>, payload: &Payload) -> ProcessOutcome {
        let spec = executors::exec_spec(payload, self.settings.power_helper.as_deref());
        let program = match spec.and_then(|spec| Program::of_spec(command.id, &spec, &self.settings.account)) {
            Ok(program) => program,
            Err(error) => return ProcessOutcome::without_run(CommandStatus::Failed, Some(error)),
        };
        let outputs = ProcessOutputs {
            stdout: self.spool.writer(command.id, Channel::Stdout),
            stderr: self.spool.writer(command.id, Channel::Stderr),
            drain: &self.drain,
            on_growth: |channel, len| self.report_growth(command, channel, len),
        };
        let stop = StopSignals { cancel: command.cancel.clone(), shutdown: self.stopping.clone() };
        process::run(program, outputs, &stop).await
    }

    fn report_growth(&self, command: &RunningCommand, channel: Channel, len: u64) {
        command.update(|progress| match channel {
            Channel::Stdout => progress.produced.stdout = len,
            Channel::Stderr => progress.produced.stderr = len,
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
        self.write(&finished).await;
    }

    /// Cancels a command if it is still running.
    pub(crate) fn cancel(&self, id: CommandId) {
        if let Some(command) = self.command(id) {
            command.cancel.cancel();
        }
    }

    /// Forgets a command whose result the server has stored. Returns false, and does nothing, for a command that has
    /// not ended.
    pub(crate) fn acknowledge(self: &Arc<Self>, id: CommandId) -> bool {
        let (record, produced) = {
            let mut state = self.state();
            if state.commands.get(&id).is_some_and(|command| !command.has_ended()) {
                return false;
            }
            // An acknowledgement may arrive twice, over two links.
            let Some(command) = state.commands.remove(&id) else { return true };
            let record = state.ledger.acknowledgement(id);
            if let Some(record) = &record {
                state.ledger.apply(record);
            }
            (record, command.progress().produced)
        };
        let dispatcher = Arc::clone(self);
        self.tasks.spawn(async move {
            // Most commands write no output and have no file to remove.
            if produced != Received::default() {
                dispatcher.spool.remove(id);
            }
            if let Some(record) = record {
                dispatcher.write(&record).await;
                dispatcher.compact_if_large().await;
            }
        });
        true
    }

    async fn write(&self, record: &JournalRecord) {
        if let Err(error) = self.journal.append(record).await {
            error!(%error, "cannot write the journal");
        }
    }

    async fn compact_if_large(&self) {
        if self.journal.needs_compacting() {
            self.compact().await;
        }
    }

    async fn compact(&self) {
        let content = || {
            let now = clock::now();
            let mut state = self.state();
            state.ledger.prune(now);
            state.ledger.to_lines(now)
        };
        if let Err(error) = self.journal.compact(content).await {
            error!(%error, "cannot rewrite the journal");
        }
    }

    /// Accepts no more commands, ends the running ones, and waits until their ends are on disk.
    pub(crate) async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        let running = self.commands().iter().filter(|command| !command.has_ended()).count();
        if running > 0 {
            info!(running, "ending the running commands");
        }
        if tokio::time::timeout(STOP_TIMEOUT, self.tasks.wait()).await.is_err() {
            error!("some commands do not end; the satellite stops without them");
        }
        // Ends are written in the background; the process exits after this.
        if let Err(error) = self.journal.flush().await {
            error!(%error, "cannot write the journal");
        }
    }

    fn state(&self) -> MutexGuard<'_, DispatcherState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The progress of a command that is not run.
fn not_run(id: CommandId, status: CommandStatus, error: Option<ErrorBody>) -> ExecutionProgress {
    let result = CommandResult {
        id,
        status,
        exit_code: None,
        duration_ms: 0,
        sent: Received::default(),
        truncated: false,
        error,
    };
    ExecutionProgress { result: Some(result), ..ExecutionProgress::default() }
}

#[cfg(test)]
mod tests;
