//! Resolving a job's targets, and making it durable.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use hive_wire::agent::ErrorBody;
use hive_wire::api::{CommandStatus, JobCounts, JobStatus, MAX_IN_FLIGHT, Target, TargetStatus};
use hive_wire::{CommandId, JobId, TeamId, Timestamp};
use serde_json::json;

use super::{JobDriver, Jobs, TargetState};
use crate::access::{Authority, Permission, Principal};
use crate::audit::AuditAction;
use crate::audit::draft::{Subject, intent};
use crate::commands::payload::{Work, seal};
use crate::idempotency::key_in_use;
use crate::store::{JobInsertOutcome, JobRow, NewCommand, NewJob, NewJobTarget, SatelliteRow};
use crate::validate::check_range;
use crate::{Error, Result};

/// Targets in flight at the same time unless the request says otherwise.
const DEFAULT_IN_FLIGHT: u32 = 64;
/// How long targets may wait for their turn unless the request says otherwise: a day.
const DEFAULT_DEADLINE_SECONDS: u32 = 24 * 3600;
/// The longest that targets may wait for their turn: a week.
const MAX_DEADLINE_SECONDS: u32 = 7 * 24 * 3600;

/// A job as a caller asks for it.
pub(crate) struct JobRequest {
    pub(crate) targets: Vec<Target>,
    pub(crate) work: Work,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) concurrency: Option<u32>,
    pub(crate) confirm: Option<u64>,
    pub(crate) deadline_seconds: Option<u32>,
    /// The permission that the caller needs on each satellite.
    pub(crate) permission: Permission,
}

impl Jobs {
    /// Resolves the targets, makes the job durable and begins it. The same request gives the same job. A caller that is cancelled
    /// changes nothing.
    pub(crate) async fn start(self: &Arc<Self>, principal: &Principal, request: JobRequest) -> Result<JobRow> {
        let (jobs, principal) = (self.clone(), principal.clone());
        self.context.run_to_end(async move { jobs.store_and_begin(&principal, request).await }).await
    }

    async fn store_and_begin(self: &Arc<Self>, principal: &Principal, request: JobRequest) -> Result<JobRow> {
        self.context.check_disk_space().await?;
        let concurrency = request.concurrency.unwrap_or(DEFAULT_IN_FLIGHT);
        check_range("concurrency", concurrency, 1, MAX_IN_FLIGHT)?;
        let deadline_seconds = request.deadline_seconds.unwrap_or(DEFAULT_DEADLINE_SECONDS);
        check_range("deadline_seconds", deadline_seconds, 1, MAX_DEADLINE_SECONDS)?;
        let rows = self.satellites.resolve(principal, &request.targets, &request.permission).await?;
        self.check_confirmed(rows.len(), request.confirm)?;
        let deadline_at = self.context.steady().plus(Duration::from_secs(deadline_seconds.into()));
        let (job, commands) = self.new_job(principal, &request, &rows, concurrency, deadline_at);
        let (id, row, targets) = (job.id, job_row(&job), job.targets.iter().map(new_target).collect::<Vec<_>>());
        // What makes two requests the same, as for a single command.
        let same_request = json!([job.asked, request.work.payload, request.work.timeout_seconds]);
        let key = self.commands.idempotency_key(principal, request.idempotency_key, &same_request)?;
        let satellites: Vec<_> = rows.iter().map(|row| row.id).collect();
        let details = request.work.details(&self.keys.vault);
        let details = details.with_list("targets", &job.asked).with_list("satellites", &satellites);
        let details = details.with("concurrency", json!(concurrency)).into_value();
        let subject = Subject::new(id).of_team(only_team(rows.iter().map(|row| row.team_id)));
        let record = intent(&self.context, principal, AuditAction::SatelliteExecMulti, subject, details);
        let counted: Vec<_> = commands.iter().map(|command| command.satellite_id).collect();
        let inserted = self.store.job_insert(job, commands, key, record).await;
        if !matches!(inserted, Ok(JobInsertOutcome::New { .. })) {
            for satellite in counted {
                self.commands.uncount(satellite);
            }
        }
        match inserted? {
            JobInsertOutcome::New { not_run } => Ok(self.begin_new(row, targets, not_run)),
            // It may be of a team that the caller has left since.
            JobInsertOutcome::Existing(id) => {
                let found = self.find_for(principal, id, &request.permission).await;
                found.ok().flatten().ok_or_else(key_in_use)
            }
            JobInsertOutcome::Conflict => Err(key_in_use()),
        }
    }

    /// Checks the number of satellites against the one that the caller confirmed.
    pub(crate) fn check_confirmed(&self, satellites: usize, confirmed: Option<u64>) -> Result<()> {
        let (satellites, confirm_above) = (satellites as u64, self.context.settings().confirm_jobs_above.into());
        let is_large = confirm_above > 0 && satellites > confirm_above;
        let is_confirmed = confirmed.map_or(!is_large, |confirmed| confirmed == satellites);
        if is_confirmed { Ok(()) } else { Err(Error::Unconfirmed { satellites, confirmed, confirm_above }) }
    }

    /// Gives a job that was just stored its driver. The plan is built from what was inserted: reading it back would cost as much
    /// again.
    fn begin_new(self: &Arc<Self>, row: JobRow, mut targets: Vec<TargetState>, not_run: Vec<CommandId>) -> JobRow {
        let not_run: HashSet<_> = not_run.into_iter().collect();
        for target in &mut targets {
            // Its satellite was removed, or given to another team, after the targets were resolved.
            if target.command.take_if(|command| not_run.contains(command)).is_some() {
                target.status = TargetStatus::NotRun;
                self.commands.uncount(target.satellite);
            }
        }
        let job = JobDriver::of_new(self, &row, targets);
        let counts = job.counts();
        self.add_and_drive(job);
        JobRow { counts, ..row }
    }

    /// The job with its targets, and the commands of those that can be given one now.
    fn new_job(
        &self,
        principal: &Principal,
        request: &JobRequest,
        rows: &[SatelliteRow],
        concurrency: u32,
        deadline_at: Timestamp,
    ) -> (NewJob, Vec<NewCommand>) {
        let id = JobId::new(self.context.seed());
        let mut commands = Vec::new();
        let mut targets = Vec::with_capacity(rows.len());
        for row in rows {
            // An offline or full satellite does not fail the job: its target is not run, and has the reason.
            let command = self.count_target(row).map(|()| {
                let command = CommandId::new(self.context.seed());
                commands.push(self.commands.job_command(principal, command, row, &request.work, (id, deadline_at)));
                command
            });
            targets.push(NewJobTarget {
                satellite_id: row.id,
                satellite_name: row.name.clone(),
                team_id: row.team_id,
                command,
            });
        }
        let work = &request.work;
        let job = NewJob {
            id,
            payload: seal(&work.payload, id, &self.keys.vault, self.context.source()),
            summary: work.summary(),
            asked: request.targets.iter().map(ToString::to_string).collect(),
            targets,
            concurrency,
            timeout_seconds: work.timeout_seconds,
            expires_in_seconds: work.expires_in_seconds,
            actor: principal.actor(),
            authorised_by: Authority::Role,
            created_at: self.context.now(),
            deadline_at,
        };
        (job, commands)
    }

    /// Checks whether a satellite can be given a command now. The command counts from here on.
    fn count_target(&self, row: &SatelliteRow) -> Result<(), ErrorBody> {
        let checked = self.commands.check_online(row).and_then(|()| self.commands.count(row, None));
        checked.map_err(|error: Error| ErrorBody::from(&error))
    }
}

/// A job as it is stored, before any of its targets has its turn.
fn job_row(job: &NewJob) -> JobRow {
    let teams: BTreeSet<_> = job.targets.iter().map(|target| target.team_id).collect();
    JobRow {
        id: job.id,
        status: JobStatus::Running,
        summary: job.summary.clone(),
        asked: job.asked.clone(),
        teams: teams.into_iter().collect(),
        counts: JobCounts::default(),
        concurrency: job.concurrency,
        timeout_seconds: job.timeout_seconds,
        expires_in_seconds: job.expires_in_seconds,
        actor: job.actor.clone(),
        created_at: job.created_at,
        deadline_at: job.deadline_at,
        cancelled_at: None,
        finished_at: None,
    }
}

fn new_target(target: &NewJobTarget) -> TargetState {
    let command = target.command.as_ref().ok().copied();
    TargetState {
        satellite: target.satellite_id,
        name: target.satellite_name.clone(),
        command,
        status: command.map_or(TargetStatus::NotRun, |_| TargetStatus::Command(CommandStatus::Queued)),
        exit_code: None,
    }
}

/// Returns the team that all of them are of, where there is one.
pub(super) fn only_team(teams: impl Iterator<Item = Option<TeamId>>) -> Option<TeamId> {
    let teams: BTreeSet<_> = teams.collect();
    teams.first().copied().flatten().filter(|_| teams.len() == 1)
}
