//! What happens to a delivered command: policy, journal, execution, result. It knows no link: whichever is up asks for
//! [`Job`]s and reads their progress from the [`Board`], and without one the commands run on.

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
use crate::config::{Account, Config};
use crate::dirty_set::Board;
use crate::executors::power;
use crate::executors::process::{self, Drain, Outcome, Outputs, Program, Stop};
use crate::identity::DataDir;
use crate::journal::{self, Decision, Journal, JournalFile, Ledger, Opened, PowerStart, Record};
use crate::metrics::Counters;
use crate::policy::Policy;
use crate::process_tree;
use crate::random;
use crate::spool::{Reader, Spool};
use crate::storage::disk::{self, Disk};

use concurrency::{Class, Places};

pub(crate) use running_command::{Job, Progress};

/// How long a stopping agent waits for its commands to be gone.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Takes commands and runs each at most once.
#[derive(Debug)]
pub(crate) struct Dispatch {
    state: Mutex<State>,
    journal: Journal,
    spool: Spool,
    disk: Arc<Disk>,
    /// Reads what background children of ended commands still say. They are not waited for.
    drain: Drain,
    board: Board<CommandId>,
    rules: Rules,
    counters: Arc<Counters>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

#[derive(Debug)]
struct State {
    ledger: Ledger,
    /// Delivered to this process, and not yet acknowledged.
    jobs: HashMap<CommandId, Arc<Job>>,
    places: Places,
}

/// What became of a command that was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It has a job.
    Taken,
    /// It cannot run now. It left no trace here.
    Busy,
}

#[derive(Debug)]
struct Rules {
    policy: Policy,
    power_helper: Option<PathBuf>,
    account: Account,
    boot_id: Option<String>,
    max_running: usize,
}

impl Dispatch {
    /// Reads what an earlier process left in the data directory.
    pub(crate) fn open(
        config: &Config,
        data: &DataDir,
        boot_id: Option<String>,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let Opened { mut file, records } = JournalFile::open(&data.join("journal.jsonl"))?;
        let now = clock::now();
        let mut ledger = Ledger::of_earlier_process(&records);
        ledger.prune(now);
        match file.start(&random::unique_id()?, &ledger.to_lines(now)?) {
            // The records stay as they are, and the start is written with the next whole file.
            Err(error) if disk::is_disk_error(&error) => warn!("{}", data.disk().failed(journal::NAME, &error)),
            started => started?,
        }
        let spool = Spool::open(data.join("spool"), data.disk().clone())?;
        spool.sweep(|id| ledger.wants_output(id))?;
        Ok(Self {
            state: Mutex::new(State { ledger, jobs: HashMap::new(), places: Places::new(config.max_running) }),
            journal: Journal::start(file, data.disk().clone())?,
            spool,
            disk: data.disk().clone(),
            drain: Drain::new(),
            board: Board::default(),
            rules: Rules {
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

    /// Ends what is left of commands that were running when an earlier process was killed: nobody sees to their time any
    /// more, nor can they be cancelled. Only then are they said to be of unknown outcome.
    pub(crate) async fn end_leftovers(&self) {
        let interrupted = self.state().ledger.interrupted();
        let ending = async {
            for id in interrupted {
                let count = process_tree::end_leftovers(process::marker(id)).await;
                if count > 0 {
                    warn!(command.id = %id, processes = count, "ended what an agent that was killed had left running");
                }
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, ending).await.is_err() {
            error!("some processes of an agent that was killed do not end");
        }
    }

    /// Names the journal, for the handshake.
    pub(crate) fn journal_id(&self) -> &str {
        self.journal.id()
    }

    /// How many records were ever appended to the journal, for the handshake.
    pub(crate) fn journal_position(&self) -> u64 {
        self.journal.position()
    }

    /// The start ids of the processes that wrote the journal, this one last, for the handshake.
    pub(crate) fn start_ids(&self) -> &[String] {
        self.journal.starts()
    }

    /// Names the boot, for the handshake.
    pub(crate) fn boot_id(&self) -> Option<&str> {
        self.rules.boot_id.as_deref()
    }

    /// What is wrong with this agent, as a person is told.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.disk.problem().into_iter().collect()
    }

    /// Where jobs that come further are marked.
    pub(crate) fn board(&self) -> &Board<CommandId> {
        &self.board
    }

    /// A command that was delivered and not yet acknowledged.
    pub(crate) fn job(&self, id: CommandId) -> Option<Arc<Job>> {
        self.state().jobs.get(&id).cloned()
    }

    /// All of them.
    pub(crate) fn jobs(&self) -> Vec<Arc<Job>> {
        self.state().jobs.values().cloned().collect()
    }

    /// Where a command's output is read.
    pub(crate) fn reader(&self, id: CommandId, channel: Channel) -> Reader {
        self.spool.reader(id, channel)
    }

    /// Commands this satellite runs at the same time, for the handshake and the heartbeat. Changes of power do not count.
    pub(crate) fn capacity(&self) -> u32 {
        u32::try_from(self.rules.max_running).unwrap_or(u32::MAX)
    }

    /// Takes a command, for the first time or again. Its job is there at once and is marked on the board. `time_left` says
    /// how long it may still be started, where that is known here.
    pub(crate) fn deliver(self: &Arc<Self>, command: Command, time_left: Option<Duration>) -> Delivery {
        if self.stopping.is_cancelled() {
            // It comes again after the restart.
            return Delivery::Taken;
        }
        let id = command.id;
        let started = {
            let mut state = self.state();
            match state.jobs.get(&id) {
                Some(_) => None,
                None => match self.admit(&mut state, &command, time_left) {
                    Some(admitted) => Some(admitted),
                    None => return Delivery::Busy,
                },
            }
        };
        if let Some((job, Some(started))) = started {
            let dispatch = Arc::clone(self);
            self.tasks.spawn(async move { dispatch.carry_out(job, command.payload, started).await });
        }
        self.board.mark(id);
        Delivery::Taken
    }

    /// Decides about a command that this process does not have yet; with the record of its start if it is to run. `None`
    /// where it cannot run now: then nothing here knows of it.
    fn admit(
        &self,
        state: &mut State,
        command: &Command,
        time_left: Option<Duration>,
    ) -> Option<(Arc<Job>, Option<Record>)> {
        let id = command.id;
        let decision = match state.ledger.decide(id, command.expires_in_ms, self.boot_id()) {
            // The server was told of a start that is not in this journal: another one has run it.
            Decision::Run | Decision::Expired if command.started => Decision::Unknown,
            decision => decision,
        };
        let progress = match decision {
            Decision::Run => match self.refusal(&command.payload) {
                None => {
                    let time_left = time_left?;
                    if !state.places.take(Class::of(&command.payload)) {
                        return None;
                    }
                    let started = self.start_record(command, time_left);
                    state.ledger.apply(&started);
                    let job = Self::insert(state, command, Progress::default());
                    return Some((job, Some(started)));
                }
                Some(refusal) => ended(id, CommandStatus::Failed, Some(refusal)),
            },
            Decision::Expired => ended(id, CommandStatus::Expired, None),
            Decision::Unknown => self.with_kept_output(id, ended(id, CommandStatus::OutcomeUnknown, None)),
            Decision::Answer(result) => {
                let result = Some(result);
                self.with_kept_output(id, Progress { result, ..Progress::default() })
            }
            // A running command has its job, and that was looked for before.
            Decision::Reattach => ended(id, CommandStatus::OutcomeUnknown, None),
        };
        Some((Self::insert(state, command, progress), None))
    }

    /// What an earlier process kept of the output goes to the server as well.
    fn with_kept_output(&self, id: CommandId, progress: Progress) -> Progress {
        Progress { is_started: true, produced: self.spool.kept(id), ..progress }
    }

    fn insert(state: &mut State, command: &Command, progress: Progress) -> Arc<Job> {
        let job = Arc::new(Job::new(command.id, command.payload.command_type(), clock::now(), progress));
        state.jobs.insert(command.id, job.clone());
        job
    }

    /// Why a command is not even begun.
    fn refusal(&self, payload: &Payload) -> Option<ErrorBody> {
        match payload {
            Payload::Unknown { command_type, .. } => Some(unsupported(command_type)),
            Payload::Exec(_) | Payload::Power(_) => self.rules.policy.check(payload).err(),
        }
    }

    fn start_record(&self, command: &Command, time_left: Duration) -> Record {
        let power = match &command.payload {
            Payload::Power(spec) => {
                Some(PowerStart { action: spec.action.clone(), boot_id: self.rules.boot_id.clone() })
            }
            Payload::Exec(_) | Payload::Unknown { .. } => None,
        };
        Record::Started { id: command.id, expires_at: clock::now().plus(time_left), power }
    }

    /// Journals the start, runs the command, journals the end.
    async fn carry_out(self: Arc<Self>, job: Arc<Job>, payload: Payload, started: Record) {
        let outcome = if let Err(cause) = self.journal.append_durably(&started).await {
            error!(command.id = %job.id, error = %cause, "cannot journal a command; it is not run");
            let message = self.disk.failed(journal::NAME, &cause);
            let refusal = ErrorBody { code: ErrorCode::Unavailable, message };
            Outcome::without_run(CommandStatus::Failed, Some(refusal))
        } else {
            debug!(command.id = %job.id, kind = job.kind.as_str(), "command started");
            let position = self.journal.position();
            job.update(|progress| {
                progress.is_started = true;
                progress.journal_position = Some(position);
            });
            self.board.mark(job.id);
            self.execute(&job, &payload).await
        };
        let is_power = matches!(payload, Payload::Power(_));
        if is_power && self.stopping.is_cancelled() && outcome.status == CommandStatus::Cancelled {
            // What stops this agent may be the very shutdown it has issued: the next boot tells.
            return;
        }
        self.finish(&job, outcome, Class::of(&payload)).await;
    }

    async fn execute(&self, job: &Arc<Job>, payload: &Payload) -> Outcome {
        let spec = match payload {
            Payload::Exec(spec) => Ok(spec.clone()),
            Payload::Power(spec) => power::program(spec, self.rules.power_helper.as_deref()),
            Payload::Unknown { command_type, .. } => Err(unsupported(command_type)),
        };
        let program = match spec.and_then(|spec| Program::of_spec(job.id, &spec, &self.rules.account)) {
            Ok(program) => program,
            Err(error) => return Outcome::without_run(CommandStatus::Failed, Some(error)),
        };
        let outputs = Outputs {
            stdout: self.spool.writer(job.id, Channel::Stdout),
            stderr: self.spool.writer(job.id, Channel::Stderr),
            drain: &self.drain,
            on_growth: |channel, len| self.grow(job, channel, len),
        };
        let stop = Stop { cancel: job.cancel.clone(), shutdown: self.stopping.clone() };
        process::run(program, outputs, &stop).await
    }

    fn grow(&self, job: &Job, channel: Channel, len: u64) {
        job.update(|progress| match channel {
            Channel::Stdout => progress.produced.stdout = len,
            Channel::Stderr => progress.produced.stderr = len,
            Channel::Unknown(_) => {}
        });
        self.board.mark(job.id);
    }

    async fn finish(&self, job: &Job, outcome: Outcome, class: Class) {
        self.counters.command_ended(&outcome.status, outcome.duration);
        let result = CommandResult {
            id: job.id,
            status: outcome.status,
            exit_code: outcome.exit_code,
            duration_ms: outcome.duration.as_millis() as u64,
            sent: outcome.kept,
            truncated: outcome.is_truncated,
            error: outcome.error,
        };
        debug!(command.id = %job.id, status = result.status.as_str(), "command ended");
        let finished = Record::Finished { at: clock::now(), result: result.clone() };
        {
            let mut state = self.state();
            state.ledger.apply(&finished);
            state.places.give_back(class);
        }
        // First the link, then the file: a result that is lost with this process is only one that nobody knows.
        job.update(|progress| progress.result = Some(result));
        self.board.mark(job.id);
        self.write(&finished).await;
    }

    /// Ends a command, if it still runs.
    pub(crate) fn cancel(&self, id: CommandId) {
        if let Some(job) = self.job(id) {
            job.cancel.cancel();
        }
    }

    /// Takes the server's word that a result is stored, and forgets the job. For a command that has not ended it is a
    /// mistake, ignored and answered with `false`.
    pub(crate) fn acknowledge(self: &Arc<Self>, id: CommandId) -> bool {
        let (record, produced) = {
            let mut state = self.state();
            if state.jobs.get(&id).is_some_and(|job| !job.has_ended()) {
                return false;
            }
            let Some(job) = state.jobs.remove(&id) else { return true };
            let record = state.ledger.acknowledgement(id);
            if let Some(record) = &record {
                state.ledger.apply(record);
            }
            (record, job.progress().produced)
        };
        let dispatch = Arc::clone(self);
        self.tasks.spawn(async move {
            if produced != Received::default() {
                dispatch.spool.remove(id);
            }
            if let Some(record) = record {
                dispatch.write(&record).await;
                dispatch.compact_if_worth_it().await;
            }
        });
        true
    }

    async fn write(&self, record: &Record) {
        if let Err(error) = self.journal.append(record).await {
            error!(%error, "cannot write the journal");
        }
    }

    async fn compact_if_worth_it(&self) {
        if self.journal.is_worth_compacting() {
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

    /// Takes no more commands, ends those that run, and waits until their ends are on disk.
    pub(crate) async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        let running = self.jobs().iter().filter(|job| !job.has_ended()).count();
        if running > 0 {
            info!(running, "ending the commands that run");
        }
        if tokio::time::timeout(STOP_TIMEOUT, self.tasks.wait()).await.is_err() {
            error!("some commands do not end; the satellite stops without them");
        }
        if let Err(error) = self.journal.flush().await {
            error!(%error, "cannot write the journal");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The progress of a command that is over before it begins.
/// What a command of a kind that this agent does not know is refused with.
fn unsupported(command_type: &str) -> ErrorBody {
    let message =
        format!("this satellite's agent does not know commands of the kind {command_type:?}; update the agent");
    ErrorBody { code: ErrorCode::Unsupported, message }
}

fn ended(id: CommandId, status: CommandStatus, error: Option<ErrorBody>) -> Progress {
    let result = CommandResult {
        id,
        status,
        exit_code: None,
        duration_ms: 0,
        sent: Received::default(),
        truncated: false,
        error,
    };
    Progress { result: Some(result), ..Progress::default() }
}

#[cfg(test)]
mod tests;
