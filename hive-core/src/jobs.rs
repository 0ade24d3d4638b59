//! Jobs: one command for many satellites, and which target is next.
//!
//! `plan` decides and does no I/O. Each job that has not ended has one `JobDriver` around its plan, whose task (`driver`)
//! hands its commands over; nothing else does. `submit` resolves the targets and makes the job durable, `service` is what
//! callers may ask, `events` is how they follow a job. The store holds all that must last: after a start, housekeeping gives
//! every open job its driver again.

mod driver;
mod events;
mod manager;
mod plan;
mod service;
mod submit;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use hive_wire::api::{CommandStatus, JobCounts, TargetStatus};
use hive_wire::{JobId, SatelliteId, TeamId};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::info;

use crate::commands::{CommandEvent, CommandObserver, Commands};
use crate::context::ServiceContext;
use crate::grants::AccessGrants;
use crate::keys::Keys;
use crate::links::Links;
use crate::satellites::{Revocation, SatelliteObserver, Satellites};
use crate::store::{CommandStore, JobRow, JobStore, JobTargetRow, RowRange, SatelliteStore, Store};
use crate::sync::lock;
use crate::{Error, Result};
use plan::{Plan, Rules};

pub use manager::{JobManager, JobOptions};
pub(crate) use plan::{TargetState, TargetTransition};
pub(crate) use submit::JobRequest;

/// How long storing a job may take. What began before and is not complete was given up.
const MAX_STORING: Duration = Duration::from_mins(10);

/// All jobs.
pub(crate) struct Jobs {
    store: Arc<dyn JobStore>,
    command_store: Arc<dyn CommandStore>,
    satellite_store: Arc<dyn SatelliteStore>,
    keys: Arc<Keys>,
    grants: Arc<AccessGrants>,
    presence: Arc<Links>,
    satellites: Arc<Satellites>,
    commands: Arc<Commands>,
    context: ServiceContext,
    /// Those that have not ended.
    drivers: Mutex<HashMap<JobId, Arc<JobDriver>>>,
}

impl Jobs {
    pub(crate) fn new(
        store: &Arc<dyn Store>,
        keys: Arc<Keys>,
        grants: Arc<AccessGrants>,
        presence: Arc<Links>,
        satellites: Arc<Satellites>,
        commands: Arc<Commands>,
        context: ServiceContext,
    ) -> Self {
        Self {
            store: store.clone(),
            command_store: store.clone(),
            satellite_store: store.clone(),
            keys,
            grants,
            presence,
            satellites,
            commands,
            context,
            drivers: Mutex::default(),
        }
    }

    /// Gives each open job that has none its driver: after a start, and where that failed before.
    pub(crate) async fn resume_open(self: &Arc<Self>) -> Result<()> {
        for id in self.store.job_list_open().await? {
            if self.driver(id).is_none() {
                let resumed = self.resume(id).await;
                if self.context.unreadable_rows().pass_over("job", id, resumed)?.is_some() {
                    info!(job.id = %id, "job goes on");
                }
            }
        }
        Ok(())
    }

    /// Gives a job of before its driver, unless it has one.
    async fn resume(self: &Arc<Self>, id: JobId) -> Result<()> {
        self.begin(id).await?;
        // Commands that ended while the targets were read were not reported to the driver.
        self.mark_dirty(Some(id));
        Ok(())
    }

    /// Gives a stored job its driver, unless it has one.
    async fn begin(self: &Arc<Self>, id: JobId) -> Result<()> {
        let Some(row) = self.store.job_get(id).await? else { return Ok(()) };
        let (targets, _) = self.store.job_target_list(id, RowRange::ALL).await?;
        self.add_and_drive(JobDriver::of_stored(self, &row, &targets));
        Ok(())
    }

    /// Adds a job and starts its task, unless it is there.
    fn add_and_drive(self: &Arc<Self>, job: Arc<JobDriver>) {
        // Several callers may have read the job at the same time: one of them gives it its driver.
        if self.add(job.clone()) {
            self.commands.open_job(job.id);
            // The hive may have stopped after the store had the cancel and before the satellites were asked.
            self.cancel_in_flight(&job);
            self.drive(job);
        }
    }

    /// Ends jobs that were not stored to their end, because their process was killed.
    pub(crate) async fn sweep(&self) -> Result<()> {
        let now = self.context.now();
        if self.store.job_sweep(now.minus(MAX_STORING), now).await? > 0 {
            // Their commands were counted at the start.
            self.commands.mark_counts_stale();
        }
        Ok(())
    }

    /// Returns a job that has not ended, also right after a start.
    pub(crate) async fn open(self: &Arc<Self>, id: JobId) -> Result<Option<Arc<JobDriver>>> {
        if self.driver(id).is_none() {
            let row = self.store.job_get(id).await?;
            if row.is_some_and(|row| !row.status.is_terminal()) {
                self.resume(id).await?;
            }
        }
        Ok(self.driver(id))
    }

    /// Adds a job, unless it is there.
    fn add(&self, job: Arc<JobDriver>) -> bool {
        let mut drivers = lock(&self.drivers);
        let is_new = !drivers.contains_key(&job.id);
        if is_new {
            drivers.insert(job.id, job);
        }
        is_new
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.context.shutdown().is_cancelled()
    }

    fn remove(&self, id: JobId) {
        // Removed before its followers learn that it is over: whoever looks for it from then on reads the store.
        let job = lock(&self.drivers).remove(&id);
        if let Some(job) = job {
            self.commands.close_job(id);
            job.cursor.send_modify(|cursor| cursor.is_over = true);
        }
    }

    fn driver(&self, id: JobId) -> Option<Arc<JobDriver>> {
        lock(&self.drivers).get(&id).cloned()
    }

    /// Notes that the store knows more of this job, or of any.
    fn mark_dirty(&self, id: Option<JobId>) {
        let drivers = lock(&self.drivers);
        for job in drivers.values().filter(|job| id.is_none_or(|id| job.id == id)) {
            job.mark_dirty();
        }
    }
}

impl CommandObserver for Jobs {
    fn on_command(&self, event: &CommandEvent) {
        match event {
            CommandEvent::Ended { job, id, status, exit_code } => {
                if let Some(job) = self.driver(*job) {
                    job.change(|plan| plan.note_ended(*id, status.clone(), *exit_code));
                    job.wake.notify_one();
                }
            }
            CommandEvent::JobChanged { job } => self.mark_dirty(Some(*job)),
            CommandEvent::TurnReturned { job, id } => {
                if let Some(job) = self.driver(*job) {
                    job.change(|plan| plan.defer(*id, Instant::now()));
                    job.wake.notify_one();
                }
            }
            CommandEvent::SatelliteReady { job } => {
                if let Some(job) = self.driver(*job) {
                    job.wake.notify_one();
                }
            }
        }
    }
}

#[async_trait]
impl SatelliteObserver for Jobs {
    async fn on_revoked(self: Arc<Self>, _satellite: SatelliteId, _cause: Revocation) {
        // The store has ended commands of any number of jobs.
        self.mark_dirty(None);
    }
}

/// A job that has not ended.
pub(crate) struct JobDriver {
    id: JobId,
    plan: Mutex<Plan>,
    /// Wakes the driver's task.
    wake: Notify,
    /// Wakes those who follow the job.
    cursor: watch::Sender<JobEventCursor>,
    /// Whether the store knows more than the plan.
    is_dirty: AtomicBool,
    /// How long after its hand-over a command may start.
    expires_in: Duration,
    /// The teams of its satellites, each once.
    teams: Arc<[Option<TeamId>]>,
}

/// How many transitions of a job's targets there are. It counts its own changes, so that each wakes the followers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JobEventCursor {
    log_len: usize,
    changes: u64,
    is_over: bool,
}

impl JobDriver {
    /// A job that was just stored.
    fn of_new(jobs: &Jobs, row: &JobRow, targets: Vec<TargetState>) -> Arc<Self> {
        // Nothing is in flight yet.
        Self::new(jobs, row, targets, |_| Duration::ZERO)
    }

    /// A job as it was read from the store.
    fn of_stored(jobs: &Jobs, row: &JobRow, targets: &[JobTargetRow]) -> Arc<Self> {
        let now = jobs.context.steady();
        let left = |index: usize| targets[index].expires_at.unwrap_or(now).since(now);
        Self::new(jobs, row, targets.iter().map(target_state).collect(), left)
    }

    /// `left` returns how long the command of a target that is in flight may still start.
    fn new(jobs: &Jobs, row: &JobRow, targets: Vec<TargetState>, left: impl Fn(usize) -> Duration) -> Arc<Self> {
        let expires_in = Duration::from_secs(row.expires_in_seconds.into());
        // The agent gives up a command by itself that it does not start before its expiry, or that runs too long.
        let run = jobs.commands.call_timeout(row.timeout_seconds);
        let rules = Rules { concurrency: row.concurrency as usize, wait: expires_in, hold: expires_in + run };
        let mut plan = Plan::new(rules, targets, Instant::now(), |index| left(index).min(expires_in) + run);
        if row.cancelled_at.is_some() {
            plan.stop();
        }
        let cursor = JobEventCursor { log_len: plan.log_len(), changes: 0, is_over: false };
        Arc::new(Self {
            id: row.id,
            plan: Mutex::new(plan),
            wake: Notify::new(),
            cursor: watch::Sender::new(cursor),
            is_dirty: AtomicBool::new(false),
            expires_in,
            teams: row.teams.as_slice().into(),
        })
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        lock(&self.plan)
    }

    /// Changes the plan and wakes the followers.
    fn change<T>(&self, change: impl FnOnce(&mut Plan) -> T) -> T {
        let (result, log_len) = {
            let mut plan = self.plan();
            (change(&mut plan), plan.log_len())
        };
        self.cursor.send_modify(|cursor| {
            // Another change may have been reported before this one.
            cursor.log_len = cursor.log_len.max(log_len);
            cursor.changes += 1;
        });
        result
    }

    /// Makes the driver compare its plan with the store.
    fn mark_dirty(&self) {
        self.is_dirty.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    pub(crate) fn follow(&self) -> watch::Receiver<JobEventCursor> {
        self.cursor.subscribe()
    }

    /// Returns the number of changes of the plan.
    fn changes(&self) -> u64 {
        self.cursor.borrow().changes
    }

    pub(crate) fn counts(&self) -> JobCounts {
        self.plan().counts()
    }

    /// Returns at most `limit` transitions from a point on, with their targets as they are now.
    pub(crate) fn log(&self, from: usize, limit: usize) -> Vec<(TargetTransition, TargetState)> {
        let plan = self.plan();
        let transitions = plan.log(from).iter().take(limit);
        transitions.map(|transition| (*transition, plan.targets()[transition.index()].clone())).collect()
    }

    /// Waits until all targets have ended, or those that have not were in flight for `timeout` without a report.
    pub(crate) async fn wait_for_end(&self, timeout: Duration) {
        let mut cursor = self.follow();
        loop {
            if cursor.borrow_and_update().is_over {
                return;
            }
            let end = self.plan().wait_ends(timeout);
            tokio::select! {
                changed = cursor.changed() => if changed.is_err() { return },
                // `select!` evaluates this also where the condition is false, so that it needs some time then.
                () = tokio::time::sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => return,
            }
        }
    }
}

impl JobEventCursor {
    pub(crate) fn log_len(self) -> usize {
        self.log_len
    }

    pub(crate) fn is_over(self) -> bool {
        self.is_over
    }
}

fn target_state(row: &JobTargetRow) -> TargetState {
    TargetState {
        satellite: row.satellite_id,
        name: row.satellite_name.clone(),
        command: row.command_id,
        status: row.status.clone(),
        exit_code: row.end.exit_code,
    }
}

/// Returns the status of a target that has ended.
fn terminal(status: TargetStatus) -> Option<CommandStatus> {
    match status {
        TargetStatus::Command(status) if status.is_terminal() => Some(status),
        _ => None,
    }
}

fn no_job(id: JobId) -> Error {
    Error::NotFound { what: "job", id: id.to_string() }
}
