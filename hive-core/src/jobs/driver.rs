//! Carries out what a job's plan says, until the job has ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hive_wire::agent::{Received, ToAgent};
use hive_wire::api::{CommandStatus, JobCounts, JobStatus};
use hive_wire::{CommandId, Timestamp};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::{LiveJob, UnderWay, terminal};
use crate::commands::dispatch::ended;
use crate::commands::in_flight::Context;
use crate::commands::queue::Waiting;
use crate::commands::result::reason;
use crate::hive::Hive;
use crate::link::Outgoing;
use crate::links::Live;
use crate::satellites::registry::{inactive, is_usable};
use crate::store::{CommandRow, JobEnd, JobRow, Window};
use crate::{Error, Result};

/// Hand-overs at the same time: so many share one commit of the store.
const HAND_OVERS: usize = 128;
/// When a driver tries again that could not do its work.
const RETRY: Duration = Duration::from_secs(1);
/// How often a job that nothing is heard of compares itself with the store.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

impl Hive {
    /// Starts a job's driver. It ends with the job, or with the hive: then the next start goes on with it.
    pub(super) fn drive(&self, job: Arc<LiveJob>) {
        let hive = self.clone();
        self.inner.tasks.spawn(async move {
            tokio::select! {
                () = hive.run_job(&job) => {}
                () = hive.inner.shutdown.cancelled() => {}
            }
            hive.inner.jobs.forget(job.id);
        });
    }

    async fn run_job(&self, job: &LiveJob) {
        loop {
            match self.step(job).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    warn!(job.id = %job.id, error = %error, "a job cannot go on now, and tries again");
                    sleep(RETRY).await;
                    job.look_again();
                }
            }
            let now = Instant::now();
            let wakes_at = job.plan().wakes_at(now);
            tokio::select! {
                () = job.turn.notified() => {}
                () = sleep_until(wakes_at.unwrap_or(now)), if wakes_at.is_some() => {}
                () = sleep(LOOK_AGAIN) => job.look_again(),
            }
        }
    }

    /// Does what is to be done now; true where the job has ended.
    async fn step(&self, job: &LiveJob) -> Result<bool> {
        if job.is_stale.swap(false, Ordering::SeqCst) {
            self.compare(job).await?;
        }
        let turns = job.change(|plan| plan.next(Instant::now(), |id| self.inner.links.is_online(id)));
        self.hand_over_all(job, turns).await?;
        let given_up = job.plan().given_up(Instant::now());
        for command in given_up {
            self.give_up(command).await?;
        }
        let is_done = job.plan().is_done();
        if is_done { self.end_job(job).await } else { Ok(false) }
    }

    /// Takes in what of the job has ended without a word to us.
    async fn compare(&self, job: &LiveJob) -> Result<()> {
        let (rows, _) = self.store().job_target_list(job.id, Window::ALL).await?;
        job.change(|plan| {
            for row in rows {
                if let (Some(command), Some(status)) = (row.command_id, terminal(row.status)) {
                    // It may have waited for a place, and have been ended with the job.
                    self.inner.running.end(command, None);
                    plan.ended(command, status, row.exit_code);
                }
            }
        });
        Ok(())
    }

    async fn hand_over_all(&self, job: &LiveJob, turns: Vec<CommandId>) -> Result<()> {
        let hand_overs: Vec<_> = turns.into_iter().map(|command| self.hand_over(job, command)).collect();
        let mut done = stream::iter(hand_overs).buffer_unordered(HAND_OVERS);
        let mut result = Ok(());
        while let Some(outcome) = done.next().await {
            result = result.and(outcome);
        }
        result
    }

    /// Brings a command whose turn it is to its satellite.
    async fn hand_over(&self, job: &LiveJob, command: CommandId) -> Result<()> {
        let outcome = self.try_hand_over(job, command).await;
        match &outcome {
            Ok(true) => job.change(|plan| plan.handed_over(command)),
            Ok(false) => job.change(|plan| plan.passed_over(command, Instant::now())),
            Err(_) => job.change(|plan| plan.give_back(command)),
        }
        outcome.map(drop)
    }

    /// False where the satellite cannot be given anything now.
    async fn try_hand_over(&self, job: &LiveJob, command: CommandId) -> Result<bool> {
        let Some(row) = self.store().command_get(command).await? else {
            return Err(Error::internal("a job's command is not there"));
        };
        if row.status.is_terminal() {
            job.change(|plan| plan.ended(command, row.status, row.exit_code));
            return Ok(true);
        }
        let Some(live) = self.inner.links.get(row.satellite_id) else { return Ok(false) };
        let satellite = self.store().satellite_get(row.satellite_id).await?;
        if !satellite.is_some_and(|satellite| is_usable(&satellite.status)) {
            return Ok(false);
        }
        let at = (row.satellite_id, command);
        let (waiting, now) = (Waiting::of(&row), self.source().steady());
        let is_queued = row.status == CommandStatus::Queued;
        if is_queued && !live.queue.reserve(command, waiting.class, waiting.rank, now) {
            return self.wait_for_place(&row, &live, now.plus(job.expires_in)).await;
        }
        self.deliver(row, &live, Some(job.expires_in)).await?;
        // A cancel in between may have come before the command did.
        if job.plan().is_stopped() {
            self.cancel_there(at);
        }
        Ok(true)
    }

    /// Lets a command whose turn it is wait for a place at its satellite, up to its expiry. False where the link is gone.
    async fn wait_for_place(&self, row: &CommandRow, live: &Live, expires_at: Timestamp) -> Result<bool> {
        if !self.store().command_set_expiry(row.id, expires_at).await? {
            self.inner.jobs.look_again(row.job_id);
            return Ok(true);
        }
        self.inner.running.begin(row.id, Context::from(row), Received::default());
        Ok(self.enqueue(row.satellite_id, live, Waiting::of(row)))
    }

    /// Ends a command whose satellite did not come back in time.
    async fn give_up(&self, command: CommandId) -> Result<()> {
        let Some(row) = self.store().command_get(command).await? else { return Ok(()) };
        let satellite = self.store().satellite_get(row.satellite_id).await?;
        let why = match satellite {
            Some(satellite) if !is_usable(&satellite.status) => inactive(&satellite),
            Some(satellite) => Error::SatelliteOffline(satellite.name.to_string()),
            None => Error::SatelliteNotFound(row.satellite_id.to_string()),
        };
        let context = Context::from(&row);
        self.finish(command, &context, ended(CommandStatus::Expired, self.source().now(), Some(reason(&why)))).await
    }

    /// Asks the satellites to end what they run of a job that was cancelled. One that is away is asked when it is back.
    pub(super) fn cancel_under_way(&self, job: &LiveJob) {
        let under_way = {
            let plan = job.plan();
            if plan.is_stopped() { plan.under_way() } else { Vec::new() }
        };
        for at in under_way {
            self.cancel_there(at);
        }
    }

    fn cancel_there(&self, (satellite, id): UnderWay) {
        if let Some(live) = self.inner.links.get(satellite) {
            live.pass(Outgoing::Control(ToAgent::CommandCancel { id }));
        }
    }

    /// Ends a job whose commands have all ended.
    async fn end_job(&self, job: &LiveJob) -> Result<bool> {
        let Some(row) = self.store().job_get(job.id).await? else { return Ok(true) };
        if row.status.is_terminal() {
            return Ok(true);
        }
        let status = final_status(&row, &row.counts);
        let end = JobEnd { status: status.clone(), counts: row.counts.clone(), finished_at: self.source().now() };
        let record = self.job_outcome(&row, &end);
        if self.store().job_finish(job.id, end, record).await? {
            info!(job.id = %job.id, job.status = status.as_str(), "job ended");
            return Ok(true);
        }
        Err(Error::internal("a job has ended here and not in the store"))
    }
}

fn final_status(row: &JobRow, counts: &JobCounts) -> JobStatus {
    match row.cancelled_at {
        Some(_) => JobStatus::Cancelled,
        None if counts.is_success() => JobStatus::Succeeded,
        None => JobStatus::Failed,
    }
}
