//! Jobs: who has its turn, and who is told.
//!
//! [`plan`] decides and does no I/O. Each job that has not ended has one [`LiveJob`] around its plan and one `driver`, which
//! hands its commands over; nobody else does. `submit` settles the targets and makes the job durable, `service` is what
//! callers may ask, `events` tells them what happens. All that must last is in the store: after a start, the sweeper
//! gives every open job its driver again.

mod driver;
mod events;
mod plan;
mod service;
mod submit;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hive_wire::agent::Payload;
use hive_wire::api::{CommandStatus, JobCounts, TargetStatus};
use hive_wire::{CommandId, JobId, SatelliteId};
use tokio::sync::{Notify, OnceCell, watch};
use tokio::time::Instant;
use tracing::info;

use crate::commands::payload::unseal;
use crate::hive::Hive;
use crate::store::{CommandRow, JobRow, JobTargetRow, Window};
use crate::{Error, Result};
use plan::{Plan, Rules};

pub(crate) use plan::{Happening, Spot};
pub(crate) use submit::Asked;

/// All jobs that have not ended.
#[derive(Default)]
pub(crate) struct Jobs {
    live: Mutex<HashMap<JobId, Arc<LiveJob>>>,
}

impl Jobs {
    /// Takes a job in, unless it is here.
    fn begin(&self, job: Arc<LiveJob>) -> bool {
        let mut live = self.lock();
        let is_new = !live.contains_key(&job.id);
        if is_new {
            live.insert(job.id, job);
        }
        is_new
    }

    fn forget(&self, id: JobId) {
        let job = self.lock().remove(&id);
        if let Some(job) = job {
            job.told.send_modify(|told| told.is_over = true);
        }
    }

    pub(crate) fn get(&self, id: JobId) -> Option<Arc<LiveJob>> {
        self.lock().get(&id).cloned()
    }

    /// Takes in that a command has ended.
    pub(crate) fn ended(&self, id: JobId, command: CommandId, status: CommandStatus, exit_code: Option<i32>) {
        if let Some(job) = self.get(id) {
            job.change(|plan| plan.ended(command, status, exit_code));
            job.turn.notify_one();
        }
    }

    /// Takes in that a satellite of the job can be reached.
    pub(crate) fn wake(&self, id: JobId) {
        if let Some(job) = self.get(id) {
            job.turn.notify_one();
        }
    }

    /// Takes in that a command whose turn it was is queued still, and its satellite is away.
    pub(crate) fn returned(&self, id: JobId, command: CommandId) {
        if let Some(job) = self.get(id) {
            job.change(|plan| plan.passed_over(command, Instant::now()));
            job.turn.notify_one();
        }
    }

    /// Takes in that the store knows more of this job, or of any.
    pub(crate) fn look_again(&self, id: Option<JobId>) {
        let live = self.lock();
        for job in live.values().filter(|job| id.is_none_or(|id| job.id == id)) {
            job.look_again();
        }
    }

    /// Whether a job was cancelled and has not ended.
    pub(crate) fn is_stopped(&self, id: JobId) -> bool {
        self.get(id).is_some_and(|job| job.plan().is_stopped())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Arc<LiveJob>>> {
        self.live.lock().expect("nothing panics while it holds this lock")
    }
}

/// A job that has not ended.
pub(crate) struct LiveJob {
    id: JobId,
    plan: Mutex<Plan>,
    /// Wakes the driver.
    turn: Notify,
    /// Wakes who looks on.
    told: watch::Sender<Told>,
    /// Whether the store knows more than the plan.
    is_stale: AtomicBool,
    /// How long after its hand-over a command may start.
    expires_in: Duration,
    /// What its commands do, once it was read.
    payload: OnceCell<Payload>,
}

/// How much of a job's story there is. It counts its own changes, so that each is news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    chapter: usize,
    changes: u64,
    is_over: bool,
}

impl LiveJob {
    /// A job as it is stored. `now` is the time by which the store's expiries are.
    fn new(hive: &Hive, row: &JobRow, targets: &[JobTargetRow]) -> Arc<Self> {
        let expires_in = Duration::from_secs(row.expires_in_seconds.into());
        // The agent gives up a command by itself that it does not start before its expiry, or that runs too long.
        let run = hive.patience(row.timeout_seconds);
        let rules = Rules { cap: row.concurrency as usize, wait: expires_in, hold: expires_in + run };
        let now = hive.source().steady();
        let left = |place: usize| {
            let expires_at = targets[place].expires_at.unwrap_or(now);
            expires_at.since(now).min(expires_in) + run
        };
        let spots = targets.iter().map(spot).collect();
        let mut plan = Plan::new(rules, spots, Instant::now(), left);
        if row.cancelled_at.is_some() {
            plan.stop();
        }
        let told = Told { chapter: plan.chapter(), changes: 0, is_over: false };
        Arc::new(Self {
            id: row.id,
            plan: Mutex::new(plan),
            turn: Notify::new(),
            told: watch::Sender::new(told),
            is_stale: AtomicBool::new(false),
            expires_in,
            payload: OnceCell::new(),
        })
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().expect("nothing panics while it holds this lock")
    }

    /// Changes the plan and tells who looks on.
    fn change<T>(&self, change: impl FnOnce(&mut Plan) -> T) -> T {
        let (result, chapter) = {
            let mut plan = self.plan();
            (change(&mut plan), plan.chapter())
        };
        self.told.send_modify(|told| {
            told.chapter = told.chapter.max(chapter);
            told.changes += 1;
        });
        result
    }

    fn look_again(&self) {
        self.is_stale.store(true, Ordering::SeqCst);
        self.turn.notify_one();
    }

    pub(crate) fn follow(&self) -> watch::Receiver<Told> {
        self.told.subscribe()
    }

    pub(crate) fn counts(&self) -> JobCounts {
        self.plan().counts()
    }

    /// What has happened from a point on, at most `limit` steps of it, with the places and the targets as they stand now.
    pub(crate) fn story(&self, from: usize, limit: usize) -> Vec<(Happening, Spot)> {
        let plan = self.plan();
        let told = plan.story(from).iter().take(limit);
        told.map(|happening| (*happening, plan.spots()[happening.place()].clone())).collect()
    }

    /// Waits until all targets have ended, or nothing is to be heard of those that have not for `patience`.
    pub(crate) async fn settled(&self, patience: Duration) {
        let mut told = self.follow();
        loop {
            if told.borrow_and_update().is_over {
                return;
            }
            let end = self.plan().patience_ends(patience);
            tokio::select! {
                changed = told.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => return,
            }
        }
    }
}

impl Told {
    pub(crate) fn chapter(self) -> usize {
        self.chapter
    }

    pub(crate) fn is_over(self) -> bool {
        self.is_over
    }
}

fn spot(row: &JobTargetRow) -> Spot {
    Spot {
        satellite: row.satellite_id,
        name: row.satellite_name.clone(),
        command: row.command_id,
        status: row.status.clone(),
        exit_code: row.exit_code,
    }
}

impl Hive {
    /// Gives each open job that has none its driver: after a start, and where taking one in failed before.
    pub(crate) async fn resume_jobs(&self) -> Result<()> {
        for id in self.store().job_list_open().await? {
            if self.inner.jobs.get(id).is_none() {
                info!(job.id = %id, "job goes on");
                self.resume_job(id).await?;
            }
        }
        Ok(())
    }

    /// Gives a job of before its driver, unless it has one. What ends while its targets are read is told to nobody.
    async fn resume_job(&self, id: JobId) -> Result<()> {
        self.begin_job(id).await?;
        self.inner.jobs.look_again(Some(id));
        Ok(())
    }

    /// Gives a stored job its driver, unless it has one.
    async fn begin_job(&self, id: JobId) -> Result<()> {
        let Some(row) = self.store().job_get(id).await? else { return Ok(()) };
        let (targets, _) = self.store().job_target_list(id, Window::ALL).await?;
        let job = LiveJob::new(self, &row, &targets);
        if self.inner.jobs.begin(job.clone()) {
            self.cancel_under_way(&job);
            self.drive(job);
        }
        Ok(())
    }

    /// What a command does, ready to be sent: a job's command has it from its job.
    pub(crate) async fn payload_of(&self, row: &CommandRow) -> Result<Payload> {
        let vault = &self.inner.keys.vault;
        let Some(job) = row.job_id.filter(|_| row.payload.is_empty()) else {
            return unseal(&row.payload, row.id, vault);
        };
        match self.inner.jobs.get(job) {
            Some(live) => live.payload.get_or_try_init(async || self.job_payload(job).await).await.cloned(),
            None => self.job_payload(job).await,
        }
    }

    async fn job_payload(&self, job: JobId) -> Result<Payload> {
        let stored = self.store().job_payload(job).await?;
        let stored = stored.ok_or_else(|| Error::internal("a command without its job"))?;
        unseal(&stored, job, &self.inner.keys.vault)
    }
}

/// A target with a terminal status.
fn terminal(status: TargetStatus) -> Option<CommandStatus> {
    match status {
        TargetStatus::Command(status) if status.is_terminal() => Some(status),
        _ => None,
    }
}

/// A satellite and what it was given.
type UnderWay = (SatelliteId, CommandId);
