//! Carries out what a job's plan decides, until the job has ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hive_wire::CommandId;
use hive_wire::agent::ErrorBody;
use hive_wire::api::{AuditResult, CommandStatus, JobCounts, JobStatus};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::submit::only_team;
use super::{JobDriver, Jobs, terminal};
use crate::audit::draft::{Subject, draft};
use crate::audit::excerpt::is_cut;
use crate::audit::{AuditAction, AuditDraft};
use crate::authorization::inactive;
use crate::commands::Turn;
use crate::store::{JobEnd, JobRow, RowRange, TurnRow};
use crate::{Error, Result};

/// Hand-overs at the same time: so many share one commit of the store.
const HAND_OVERS: usize = 128;
/// The pause of a driver whose step failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How often a job of which nothing is reported compares itself with the store.
const COMPARE_INTERVAL: Duration = Duration::from_secs(30);

/// The shortest time between two reports of a job's progress: counting the targets of a large job costs as much as a step of it.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// When the progress of a job is reported to those who follow the hive.
struct ProgressReports {
    /// The changes of the plan that were reported.
    reported: Option<u64>,
    not_before: Instant,
}

impl ProgressReports {
    fn new(now: Instant) -> Self {
        Self { reported: None, not_before: now }
    }

    fn is_due(&self, changes: u64, now: Instant) -> bool {
        self.reported != Some(changes) && now >= self.not_before
    }

    fn on_report(&mut self, changes: u64, now: Instant) {
        (self.reported, self.not_before) = (Some(changes), now + PROGRESS_INTERVAL);
    }

    fn wakes_at(&self, changes: u64) -> Option<Instant> {
        (self.reported != Some(changes)).then_some(self.not_before)
    }
}

impl Jobs {
    /// Starts a job's task. It ends with the job, or with the hive: then the next start goes on with the job.
    pub(super) fn drive(self: &Arc<Self>, job: Arc<JobDriver>) {
        let jobs = self.clone();
        self.context.spawn(async move {
            tokio::select! {
                // The step may be cut off anywhere: the next start builds the plan from the store.
                () = jobs.run(&job) => {}
                () = jobs.context.shutdown().cancelled() => {}
            }
            jobs.remove(job.id);
        });
    }

    async fn run(self: &Arc<Self>, job: &JobDriver) {
        let mut progress = ProgressReports::new(Instant::now());
        loop {
            match self.step(job).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    warn!(job.id = %job.id, error = %error, "a job cannot go on now, and tries again");
                    sleep(RETRY_INTERVAL).await;
                    // The failed step may have changed the store before it failed.
                    job.mark_dirty();
                }
            }
            let now = Instant::now();
            if progress.is_due(job.changes(), now) {
                progress.on_report(job.changes(), now);
                self.report_progress(job);
            }
            let reports_at = progress.wakes_at(job.changes());
            let wakes_at = job.plan().wakes_at(now).into_iter().chain(reports_at).min();
            tokio::select! {
                () = job.wake.notified() => {}
                () = sleep_until(wakes_at.unwrap_or(now)), if wakes_at.is_some() => {}
                () = sleep(COMPARE_INTERVAL) => job.mark_dirty(),
            }
        }
    }

    /// Reports to those who follow the hive how far a job is.
    fn report_progress(&self, job: &JobDriver) {
        let status = if job.plan().is_stopped() { JobStatus::Cancelling } else { JobStatus::Running };
        self.commands.events().note_job(job.id, job.teams.clone(), status, job.counts());
    }

    /// Does what is to be done now; true where the job has ended.
    async fn step(self: &Arc<Self>, job: &JobDriver) -> Result<bool> {
        // Cleared before the store is read: a change that comes meanwhile makes the next step compare again.
        if job.is_dirty.swap(false, Ordering::SeqCst) {
            self.compare(job).await?;
        }
        let turns = job.change(|plan| plan.next(Instant::now(), |id| self.presence.is_online(id)));
        self.hand_over_all(job, turns).await?;
        // After the turns: a satellite that has just come back has not expired.
        let expired = job.plan().expired(Instant::now());
        for command in expired {
            self.expire(command).await?;
        }
        // A statement of its own: the lock of the plan must not be held across the await.
        let is_done = job.plan().is_done();
        if is_done { self.end(job).await } else { Ok(false) }
    }

    /// Notes what of the job has ended in the store without a report to this process.
    async fn compare(&self, job: &JobDriver) -> Result<()> {
        let (rows, _) = self.store.job_target_list(job.id, RowRange::ALL).await?;
        job.change(|plan| {
            for row in rows {
                if let (Some(command), Some(status)) = (row.command_id, terminal(row.status)) {
                    // It may have waited for a slot, and have been ended with the job.
                    self.commands.on_ended_elsewhere(command);
                    plan.note_ended(command, status, row.end.exit_code);
                }
            }
        });
        Ok(())
    }

    async fn hand_over_all(self: &Arc<Self>, job: &JobDriver, turns: Vec<CommandId>) -> Result<()> {
        let mut rows = self.read_turns(&turns).await;
        let hand_overs: Vec<_> =
            turns.into_iter().map(|command| self.hand_over(job, command, rows.remove(&command))).collect();
        // In any order: the targets of a job do not wait for each other here.
        let mut done = stream::iter(hand_overs).buffer_unordered(HAND_OVERS);
        let mut result = Ok(());
        // All of them are awaited: one that fails must not drop others half-way.
        while let Some(outcome) = done.next().await {
            result = result.and(outcome);
        }
        result
    }

    /// Reads many commands in one statement. A command that is missing here is read by itself.
    async fn read_turns(&self, turns: &[CommandId]) -> HashMap<CommandId, TurnRow> {
        // An error concerns all of them, and one damaged row is enough for it. Each command then has its own result.
        let rows = self.command_store.command_list_turns(turns.to_vec()).await.unwrap_or_default();
        rows.into_iter().map(|row| (row.command.id, row)).collect()
    }

    /// Brings a command whose turn it is to its satellite.
    async fn hand_over(self: &Arc<Self>, job: &JobDriver, command: CommandId, row: Option<TurnRow>) -> Result<()> {
        let turn = self.try_hand_over(job, command, row).await;
        match &turn {
            Ok(Turn::HandedOver) => job.change(|plan| plan.note_handed_over(command)),
            Ok(Turn::Deferred) => job.change(|plan| plan.defer(command, Instant::now())),
            // It is the fault of the hive: the time that the target may wait for its satellite does not begin.
            Err(_) => job.change(|plan| plan.requeue(command)),
        }
        turn.map(drop)
    }

    async fn try_hand_over(
        self: &Arc<Self>,
        job: &JobDriver,
        command: CommandId,
        row: Option<TurnRow>,
    ) -> Result<Turn> {
        let row = match row {
            Some(row) => Some(row),
            None => self.command_store.command_list_turns(vec![command]).await?.pop(),
        };
        let row = row.ok_or_else(|| Error::internal("a job's command is not there"))?;
        if row.command.status.is_terminal() {
            job.change(|plan| plan.note_ended(command, row.command.status, row.command.end.exit_code));
            return Ok(Turn::HandedOver);
        }
        self.commands.hand_over(row, job.expires_in).await
    }

    /// Ends a command whose satellite did not come back in time.
    async fn expire(self: &Arc<Self>, command: CommandId) -> Result<()> {
        let Some(row) = self.command_store.command_get(command).await? else { return Ok(()) };
        let reason = match self.satellite_store.satellite_get(row.satellite_id).await? {
            Some(satellite) if !satellite.status.accepts_commands() => inactive(&satellite),
            Some(satellite) => Error::SatelliteOffline(satellite.name.to_string()),
            None => Error::SatelliteNotFound(row.satellite_id.to_string()),
        };
        self.commands.end_unreported(&row, CommandStatus::Expired, Some(ErrorBody::from(&reason))).await
    }

    /// Cancels what satellites run of a job that was cancelled. A satellite that is away is asked when it is back.
    pub(super) fn cancel_in_flight(&self, job: &JobDriver) {
        let in_flight = {
            let plan = job.plan();
            if !plan.is_stopped() {
                return;
            }
            plan.in_flight()
        };
        // First: a command that is being sent right now is cancelled by its sender.
        self.commands.cancel_job(job.id);
        for (satellite, command) in in_flight {
            self.commands.cancel_on_satellite(satellite, command);
        }
    }

    /// Ends a job whose commands have all ended.
    async fn end(&self, job: &JobDriver) -> Result<bool> {
        let Some(row) = self.store.job_get(job.id).await? else { return Ok(true) };
        if row.status.is_terminal() {
            return Ok(true);
        }
        let status = final_status(&row, &row.counts);
        let end = JobEnd { status: status.clone(), counts: row.counts.clone(), finished_at: self.context.now() };
        let record = self.outcome_record(&row, &end);
        let counts = end.counts.clone();
        if self.store.job_finish(job.id, end, record).await? {
            self.commands.events().note_job(job.id, job.teams.clone(), status.clone(), counts);
            info!(job.id = %job.id, job.status = status.as_str(), "job ended");
            return Ok(true);
        }
        // The store has an open command of the job. After an error the plan is compared with the store again.
        Err(Error::internal("a job has ended here and not in the store"))
    }

    /// Drafts the record of how a job ended, with the caller who started it as the actor.
    fn outcome_record(&self, row: &JobRow, end: &JobEnd) -> AuditDraft {
        let is_success = end.status == JobStatus::Succeeded;
        let result = if is_success { AuditResult::Success } else { AuditResult::Failure };
        let subject = Subject::new(row.id).of_team(only_team(row.teams.iter().copied()));
        let details = json!({
            "command": row.summary,
            "cut": is_cut(&row.summary),
            "status": end.status,
            "targets": end.counts.total(),
            "results": end.counts,
        });
        let draft = draft(&self.context, row.actor.clone(), AuditAction::SatelliteExecMulti, subject, details, result);
        draft.with_timestamp(end.finished_at)
    }
}

fn final_status(row: &JobRow, counts: &JobCounts) -> JobStatus {
    match row.cancelled_at {
        Some(_) => JobStatus::Cancelled,
        None if counts.is_success() => JobStatus::Succeeded,
        None => JobStatus::Failed,
    }
}
