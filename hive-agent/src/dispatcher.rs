//! Runs delivered commands: policy, journal, execution, result.
//!
//! The dispatcher does not depend on a link. A link asks it for [`RunningCommand`]s and learns of their progress from
//! the [`DirtySet`]. Without a link the commands continue.

mod admission;
mod concurrency;
mod execution;
mod running_command;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hive_wire::CommandId;
use hive_wire::agent::{Channel, Command, Received};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::clock;
use crate::config::{Account, AgentConfig};
use crate::dirty_set::DirtySet;
use crate::executors::process::{self, PipeDrain, UnkilledCommands};
use crate::identity::DataDir;
use crate::journal::{self, CommandLedger, Journal, JournalFile, OpenedJournal};
use crate::metrics::Counters;
use crate::policy::Policy;
use crate::process_tree;
use crate::random;
use crate::spool::{Spool, SpoolReader};
use crate::storage::disk::{self, DiskHealth};
use crate::storage::disk_thread::DiskThread;
use crate::system_error;

use admission::AdmissionStep;
use concurrency::ConcurrencySlots;

pub(crate) use running_command::{ExecutionProgress, RunningCommand};

/// How long a stopping agent waits until its commands have ended.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a check of the disk may take. A disk that takes longer is reported as a problem.
const DISK_TIMEOUT: Duration = Duration::from_secs(1);

/// Accepts commands and runs each at most once.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    state: Mutex<DispatcherState>,
    journal: Journal,
    spool: Spool,
    disk: Arc<DiskHealth>,
    disk_thread: DiskThread,
    /// Reads the output of background children of ended commands. Nothing waits for it.
    drain: PipeDrain,
    /// What could not be killed of ended commands.
    unkilled: UnkilledCommands,
    dirty: Arc<DirtySet<CommandId>>,
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
        let disk_thread = DiskThread::start()?;
        let spool = Spool::open(data.join("spool"), data.disk().clone(), disk_thread.clone())?;
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
            disk_thread,
            drain: PipeDrain::new(),
            unkilled: UnkilledCommands::default(),
            dirty: Arc::default(),
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

    /// Problems of this agent, as sentences for people. Returns after [`DISK_TIMEOUT`] at the latest.
    pub(crate) async fn problems(&self) -> Vec<String> {
        let disk = self.disk.clone();
        let check = self.disk_thread.run(move || Ok(disk.problem()));
        let problem = match tokio::time::timeout(DISK_TIMEOUT, check).await {
            // The only error is a thread that has ended.
            Ok(checked) => checked.unwrap_or_default(),
            Err(_) => Some(self.disk.not_responding()),
        };
        problem.into_iter().chain(self.unkilled.problem()).collect()
    }

    /// Runs a task of the link. A stopping agent waits for it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
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

    /// Opens a reader of a command's output, which holds one of `slots` for each chunk that was read and not taken. The
    /// command is marked in the dirty set when a chunk can be taken.
    pub(crate) fn reader(&self, id: CommandId, channel: Channel, slots: Arc<Semaphore>) -> SpoolReader {
        self.spool.reader(id, channel, slots, self.dirty.clone())
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
        let admitted = {
            let mut state = self.state();
            match state.commands.get(&id) {
                Some(_) => None,
                None => match self.admit(&mut state, &command, time_left) {
                    Some(admitted) => Some(admitted),
                    None => return DeliveryOutcome::Busy,
                },
            }
        };
        let dispatcher = Arc::clone(self);
        match admitted {
            Some((running, AdmissionStep::Run(started))) => {
                self.tasks.spawn(async move { dispatcher.run_command(running, command.payload, started).await });
            }
            Some((running, AdmissionStep::ReportStored(result))) => {
                self.tasks.spawn(async move { dispatcher.report_stored(&running, result).await });
            }
            Some((_, AdmissionStep::Reported)) | None => {}
        }
        // Also for a command that is known already: the link sends its acknowledgement again.
        self.dirty.mark(id);
        DeliveryOutcome::Accepted
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
                dispatcher.spool.remove(id).await;
            }
            if let Some(record) = record {
                dispatcher.write(&record).await;
                dispatcher.compact_if_large().await;
            }
        });
        true
    }

    /// Accepts no more commands, ends the running ones, and waits until their ends are on disk.
    pub(crate) async fn stop(&self) {
        self.stopping.cancel();
        // `wait` below returns only for a closed tracker.
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
            error!("the journal cannot be written: {}", system_error::text(&error));
        }
    }

    fn state(&self) -> MutexGuard<'_, DispatcherState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
