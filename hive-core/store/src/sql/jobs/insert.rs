//! Storing a job.
//!
//! A large job is stored in several transactions, so that no other write waits for all of it. It is hidden until the last one,
//! which stores its idempotency key and its audit record too: until then its row has the negative of its time, so that the
//! indexes by time leave it out. A job whose last transaction never comes stays hidden, and is
//! ended by `job_sweep`: none of its commands is ever delivered, because only the driver of a visible job does that.

use std::collections::{BTreeSet, HashMap, HashSet};

use hive_wire::agent::ErrorBody;
use hive_wire::{CommandId, ErrorCode, JobId, TeamId, Timestamp};

use crate::audit::AuditDraft;
use crate::sql::idempotency::{self, EarlierRequest};
use crate::sql::many_rows::MAX_ROWS;
use crate::sql::writer::Transaction;
use crate::sql::{SqlStore, Statement, Value, commands, statements};
use crate::{IdempotencyKey, JobInsertOutcome, NewCommand, NewJob, NewJobTarget, StoreError, StoreResult};

/// Targets of one transaction.
const STEP: usize = 1000;

/// A target with its command, if there is one.
type TargetCommand = (NewJobTarget, Option<NewCommand>);

impl SqlStore {
    pub(super) async fn insert_job(
        &self,
        job: NewJob,
        commands: Vec<NewCommand>,
        idempotency: Option<IdempotencyKey>,
        audit: AuditDraft,
    ) -> StoreResult<JobInsertOutcome> {
        let (id, now) = (job.id, audit.timestamp);
        let is_large = job.targets.len() > STEP;
        let (row, teams, targets) = split(job, commands, is_large);
        if !is_large {
            return self
                .write(move |transaction| {
                    Box::pin(async move {
                        if let Some(earlier) = claim(transaction, idempotency, id, now).await? {
                            return Ok(earlier);
                        }
                        insert_row(transaction, row, teams).await?;
                        let not_run = insert_targets(transaction, id, 0, targets).await?;
                        transaction.audit(audit);
                        Ok(JobInsertOutcome::New { not_run })
                    })
                })
                .await;
        }
        let inserted = self.insert_in_steps(id, (row, teams, targets), idempotency, audit).await;
        if !matches!(inserted, Ok(JobInsertOutcome::New { .. }))
            && let Err(error) = self.end_hidden(id, now).await
        {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(job.id = %id, error, "a job that was not stored is left to the next sweep");
        }
        inserted
    }

    async fn insert_in_steps(
        &self,
        id: JobId,
        (row, teams, mut targets): (Statement, Vec<Vec<Value>>, Vec<TargetCommand>),
        idempotency: Option<IdempotencyKey>,
        audit: AuditDraft,
    ) -> StoreResult<JobInsertOutcome> {
        self.write(move |transaction| Box::pin(insert_row(transaction, row, teams))).await?;
        let (mut not_run, mut place) = (Vec::new(), 0);
        while !targets.is_empty() {
            let rest = targets.split_off(STEP.min(targets.len()));
            let (first, step) = (place, std::mem::replace(&mut targets, rest));
            place += step.len();
            let dropped = self.write(move |transaction| Box::pin(insert_targets(transaction, id, first, step)));
            not_run.extend(dropped.await?);
        }
        self.write(move |transaction| {
            Box::pin(async move {
                if let Some(earlier) = claim(transaction, idempotency, id, audit.timestamp).await? {
                    return Ok(earlier);
                }
                if transaction.execute(Statement::new(statements::JOB_SHOW).text(id)).await? == 0 {
                    // It took so long that the sweep of another process has ended it.
                    return Err(StoreError::Unavailable("the job was not stored in time".into()));
                }
                transaction.audit(audit);
                Ok(JobInsertOutcome::New { not_run })
            })
        })
        .await
    }

    /// Ends the hidden jobs whose storing began before a time. Returns how many.
    pub(super) async fn end_all_hidden(&self, before: Timestamp, now: Timestamp) -> StoreResult<u64> {
        let rows = self.fetch_all(Statement::new(statements::JOB_LIST_HIDDEN).bind(-before.as_micros())).await?;
        for row in &rows {
            self.end_hidden(row.parse("id")?, now).await?;
        }
        Ok(rows.len() as u64)
    }

    /// Ends a hidden job and its commands. A visible one stays: a commit that seemed to fail may have made it visible.
    async fn end_hidden(&self, id: JobId, now: Timestamp) -> StoreResult<()> {
        let targets = self.fetch_total(Statement::new(statements::JOB_TARGET_COUNT).text(id)).await?;
        // Places have no gaps.
        for first in (0..targets).step_by(STEP) {
            let end = Statement::new(statements::JOB_COMMANDS_END_HIDDEN).text(id).time(now).number(first);
            self.execute_unaudited(end.number(first + STEP as u64)).await?;
        }
        self.execute_unaudited(Statement::new(statements::JOB_END_HIDDEN).text(id).time(now)).await.map(drop)
    }
}

/// Splits a job into the insert of its row, the rows of its teams, and its targets with their commands.
fn split(job: NewJob, commands: Vec<NewCommand>, is_hidden: bool) -> (Statement, Vec<Vec<Value>>, Vec<TargetCommand>) {
    let created_at = job.created_at.as_micros();
    let teams: BTreeSet<Option<TeamId>> = job.targets.iter().map(|target| target.team_id).collect();
    let row = Statement::new(statements::JOB_INSERT)
        .text(job.id)
        .bind(job.payload)
        .bind(job.summary)
        .json(&job.asked)
        .json(&teams)
        .number(job.concurrency)
        .number(job.timeout_seconds)
        .number(job.expires_in_seconds)
        .json(&job.actor)
        .bind(job.actor.kind)
        .bind(job.actor.id)
        .text(job.authorised_by)
        .bind(if is_hidden { -created_at } else { created_at })
        .time(job.deadline_at);
    let teams = teams.into_iter().map(|team| team_row(job.id, team)).collect();
    let mut commands: HashMap<_, _> = commands.into_iter().map(|command| (command.id, command)).collect();
    let with_command = |target: NewJobTarget| {
        let command = target.command.as_ref().ok().and_then(|id| commands.remove(id));
        (target, command)
    };
    (row, teams, job.targets.into_iter().map(with_command).collect())
}

/// Claims the idempotency key of a job. If it is in use, returns the outcome.
async fn claim(
    transaction: &mut Transaction,
    key: Option<IdempotencyKey>,
    id: JobId,
    now: Timestamp,
) -> StoreResult<Option<JobInsertOutcome>> {
    let Some(key) = key else { return Ok(None) };
    let earlier = idempotency::claim(transaction, key, &[], Some(id), now).await?;
    Ok(earlier.map(|earlier| match earlier {
        EarlierRequest::Job(id) => JobInsertOutcome::Existing(id),
        EarlierRequest::Commands(_) | EarlierRequest::Different => JobInsertOutcome::Conflict,
    }))
}

async fn insert_row(transaction: &mut Transaction, row: Statement, teams: Vec<Vec<Value>>) -> StoreResult<()> {
    transaction.execute(row).await?;
    for rows in teams.chunks(MAX_ROWS) {
        transaction.run_rows(&statements::JOB_TEAM_INSERT, rows.to_vec()).await?;
    }
    Ok(())
}

/// Inserts targets with their commands. Returns the commands that are not stored, because their satellite was removed or given
/// to another team after the targets were resolved: their targets are stored as not run.
async fn insert_targets(
    transaction: &mut Transaction,
    job: JobId,
    first_place: usize,
    mut targets: Vec<TargetCommand>,
) -> StoreResult<Vec<CommandId>> {
    let commands: Vec<_> = targets.iter_mut().filter_map(|(_, command)| command.take()).collect();
    let mut not_run: Vec<_> = commands.iter().map(|command| command.id).collect();
    let inserted = commands::insert(transaction, commands).await?;
    not_run.retain(|id| !inserted.contains(&id.to_string()));
    let dropped: HashSet<_> = not_run.iter().collect();
    let rows: Vec<_> = targets
        .into_iter()
        .enumerate()
        .map(|(index, (mut target, _))| {
            if target.command.as_ref().is_ok_and(|id| dropped.contains(id)) {
                let message = format!("no satellite {}", target.satellite_name);
                target.command = Err(ErrorBody { code: ErrorCode::SatelliteNotFound, message });
            }
            target_row(job, first_place + index, &target)
        })
        .collect();
    for rows in rows.chunks(MAX_ROWS) {
        transaction.run_rows(&statements::JOB_TARGET_INSERT, rows.to_vec()).await?;
    }
    Ok(not_run)
}

fn team_row(job: JobId, team: Option<TeamId>) -> Vec<Value> {
    // A column of a primary key cannot be NULL: the empty text stands for "no team".
    let team = team.map(|team| team.to_string()).unwrap_or_default();
    Statement::values_only().text(job).bind(team).values
}

fn target_row(job: JobId, place: usize, target: &NewJobTarget) -> Vec<Value> {
    let NewJobTarget { satellite_id, satellite_name, team_id, command } = target;
    let error = command.as_ref().err();
    Statement::values_only()
        .text(job)
        .number(place)
        .text(satellite_id)
        .text(satellite_name)
        .text_opt(*team_id)
        .text_opt(command.as_ref().ok())
        .bind(error.map(|error| error.code.as_str()))
        .text_opt(error.map(|error| &error.message))
        .values
}
