//! Jobs in an SQL database.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use hive_wire::agent::ErrorBody;
use hive_wire::api::{CommandStatus, JobCounts, TargetStatus};
use hive_wire::{CommandId, ErrorCode, JobId, TeamId, Timestamp};

use super::commands::{self, read_end};
use super::fields::corrupt_column;
use super::filter::Filter;
use super::idempotency::{self, EarlierRequest};
use super::many_rows::MAX_ROWS;
use super::writer::Transaction;
use super::{Row, SqlStore, Statement, Value, statements};
use crate::access::VisibleTeams;
use crate::audit::AuditDraft;
use crate::{
    IdempotencyKey, JobEnd, JobInsertOutcome, JobRow, JobStore, JobTargetRow, NewCommand, NewJob, NewJobTarget,
    RowRange, StoreResult,
};

/// Jobs whose targets are counted in one statement.
const MAX_COUNTED_JOBS: usize = 1000;

#[async_trait]
impl JobStore for SqlStore {
    async fn job_insert(
        &self,
        job: NewJob,
        commands: Vec<NewCommand>,
        idempotency: Option<IdempotencyKey>,
        audit: AuditDraft,
    ) -> StoreResult<JobInsertOutcome> {
        self.write(move |transaction| {
            Box::pin(async move {
                if let Some(key) = idempotency
                    && let Some(earlier) =
                        idempotency::claim(transaction, key, &[], Some(job.id), audit.timestamp).await?
                {
                    return Ok(match earlier {
                        EarlierRequest::Job(id) => JobInsertOutcome::Existing(id),
                        EarlierRequest::Commands(_) | EarlierRequest::Different => JobInsertOutcome::Conflict,
                    });
                }
                let mut job = job;
                let ids: Vec<_> = commands.iter().map(|command| command.id).collect();
                let inserted = commands::insert(transaction, commands).await?;
                for id in ids.into_iter().filter(|id| !inserted.contains(&id.to_string())) {
                    set_not_run(&mut job, id);
                }
                insert(transaction, job).await?;
                transaction.audit(audit);
                Ok(JobInsertOutcome::New)
            })
        })
        .await
    }

    async fn job_payload(&self, id: JobId) -> StoreResult<Option<String>> {
        let row = self.fetch_optional(Statement::new(statements::JOB_PAYLOAD).text(id)).await?;
        row.map(|row| row.text("payload")).transpose()
    }

    async fn job_get(&self, id: JobId) -> StoreResult<Option<JobRow>> {
        let row = self.fetch_optional(Statement::new(statements::JOB_GET).text(id)).await?;
        Ok(self.read_jobs(row.as_slice()).await?.pop())
    }

    async fn job_list(&self, visible: &VisibleTeams, range: RowRange) -> StoreResult<(Vec<JobRow>, u64)> {
        let mut filter = Filter::default();
        filter.all_visible("j.id", statements::JOBS_OF_TEAMS, statements::JOB_TEAMS_ELSEWHERE, visible);
        let rows =
            self.fetch_all(filter.statement(statements::JOB_LIST, statements::JOB_PAGE, &range.values())).await?;
        let counted = self.fetch_counted(&filter, statements::JOB_ROWS_COUNTED).await?;
        Ok((self.read_jobs(&rows).await?, range.total(counted, rows.len())))
    }

    async fn job_list_open(&self) -> StoreResult<Vec<JobId>> {
        let rows = self.fetch_all(Statement::new(statements::JOB_LIST_OPEN)).await?;
        rows.iter().map(|row| row.parse("id")).collect()
    }

    async fn job_target_list(&self, id: JobId, range: RowRange) -> StoreResult<(Vec<JobTargetRow>, u64)> {
        let [limit, offset] = range.values();
        let list = Statement::new(statements::JOB_TARGET_LIST).text(id).bind(limit).bind(offset);
        let rows = self.fetch_all(list).await?;
        let total = self.fetch_total(Statement::new(statements::JOB_TARGET_COUNT).text(id)).await?;
        Ok((rows.iter().map(read_target).collect::<StoreResult<_>>()?, total))
    }

    async fn job_cancel(&self, id: JobId, now: Timestamp, audit: AuditDraft) -> StoreResult<bool> {
        self.write(move |transaction| {
            Box::pin(async move {
                // First the job, then its queue: whoever sees the job as running may still deliver.
                if transaction.execute(Statement::new(statements::JOB_CANCEL).text(id).time(now)).await? == 0 {
                    return Ok(false);
                }
                transaction.execute(Statement::new(statements::JOB_COMMANDS_CANCEL).text(id).time(now)).await?;
                transaction.audit(audit);
                Ok(true)
            })
        })
        .await
    }

    async fn job_finish(&self, id: JobId, end: JobEnd, audit: AuditDraft) -> StoreResult<bool> {
        let JobEnd { status, counts, finished_at } = end;
        let statement =
            Statement::new(statements::JOB_FINISH).text(id).bind(status.as_str()).json(&counts).time(finished_at);
        self.execute_audited(statement, audit).await
    }
}

impl SqlStore {
    /// Reads jobs. Only a job that has ended has its counts stored, and those of all others need one more statement.
    async fn read_jobs(&self, rows: &[Row]) -> StoreResult<Vec<JobRow>> {
        let mut open = HashMap::new();
        for row in rows {
            if row.text_opt("counts")?.is_none() {
                open.insert(row.parse("id")?, JobCounts::default());
            }
        }
        self.count_targets(&mut open).await?;
        rows.iter().map(|row| read_job(row, &mut open)).collect()
    }

    /// Counts the targets of jobs by status.
    pub(super) async fn count_targets(&self, jobs: &mut HashMap<JobId, JobCounts>) -> StoreResult<()> {
        let ids: Vec<_> = jobs.keys().copied().collect();
        for ids in ids.chunks(MAX_COUNTED_JOBS) {
            let mut filter = Filter::default();
            filter.one_of("t.job_id", ids);
            let counts = filter.statement(statements::JOB_COUNTS, statements::JOB_COUNTS_GROUPS, &[]);
            for row in &self.fetch_all(counts).await? {
                let counts = jobs.entry(row.parse("job_id")?).or_default();
                counts.add(&read_status(row)?, row.number("targets")?);
            }
        }
        Ok(())
    }
}

/// Reads a job. The counts of one that has not ended are taken out of `open`.
fn read_job(row: &Row, open: &mut HashMap<JobId, JobCounts>) -> StoreResult<JobRow> {
    let id = row.parse("id")?;
    let counts = match row.json_opt("counts")? {
        Some(counts) => counts,
        None => open.remove(&id).unwrap_or_default(),
    };
    Ok(JobRow {
        id,
        status: row.string_enum("status")?,
        summary: row.text("summary")?,
        asked: row.json("asked")?,
        teams: row.json("teams")?,
        counts,
        concurrency: row.number("concurrency")?,
        timeout_seconds: row.number("timeout_seconds")?,
        expires_in_seconds: row.number("expires_in_seconds")?,
        actor: row.json("actor")?,
        created_at: row.time("created_at")?,
        deadline_at: row.time("deadline_at")?,
        cancelled_at: row.time_opt("cancelled_at")?,
        finished_at: row.time_opt("finished_at")?,
    })
}

async fn insert(transaction: &mut Transaction, job: NewJob) -> StoreResult<()> {
    let teams: BTreeSet<Option<TeamId>> = job.targets.iter().map(|target| target.team_id).collect();
    let statement = Statement::new(statements::JOB_INSERT)
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
        .time(job.created_at)
        .time(job.deadline_at);
    transaction.execute(statement).await?;
    let teams: Vec<_> = teams.into_iter().map(|team| team_row(job.id, team)).collect();
    for rows in teams.chunks(MAX_ROWS) {
        transaction.execute(statements::JOB_TEAM_INSERT.with_rows(rows.to_vec())).await?;
    }
    let targets: Vec<_> = job.targets.into_iter().enumerate().collect();
    for targets in targets.chunks(MAX_ROWS) {
        let rows = targets.iter().map(|(place, target)| target_row(job.id, *place, target)).collect();
        transaction.execute(statements::JOB_TARGET_INSERT.with_rows(rows)).await?;
    }
    Ok(())
}

/// Replaces the command of a target by the reason why it is not run: its satellite was removed or given to another team after
/// the job's targets were resolved.
fn set_not_run(job: &mut NewJob, id: CommandId) {
    for target in job.targets.iter_mut().filter(|target| target.command == Ok(id)) {
        let message = format!("no satellite {}", target.satellite_name);
        target.command = Err(ErrorBody { code: ErrorCode::SatelliteNotFound, message });
    }
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

fn read_target(row: &Row) -> StoreResult<JobTargetRow> {
    Ok(JobTargetRow {
        satellite_id: row.parse("satellite_id")?,
        satellite_name: row.text("satellite_name")?.try_into().map_err(|_| corrupt_column("satellite_name"))?,
        team_id: row.parse_opt("team_id")?,
        command_id: row.parse_opt("command_id")?,
        status: read_status(row)?,
        end: read_end(row)?,
        stdout_bytes: row.number("stdout_bytes")?,
        stderr_bytes: row.number("stderr_bytes")?,
        expires_at: row.time_opt("expires_at")?,
        finished_at: row.time_opt("finished_at")?,
    })
}

/// Reads the status of a target, which is that of its command.
fn read_status(row: &Row) -> StoreResult<TargetStatus> {
    let status = row.parse_opt::<CommandStatus>("status")?;
    Ok(status.map_or(TargetStatus::NotRun, TargetStatus::Command))
}
