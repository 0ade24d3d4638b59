//! Jobs in an SQL database.

mod insert;

use std::collections::HashMap;

use async_trait::async_trait;
use hive_wire::api::{CommandStatus, JobCounts, JobSort, JobTargetSort, TargetStatus};
use hive_wire::{JobId, Timestamp};

use super::commands::read_end;
use super::fields::corrupt_column;
use super::filter::Filter;
use super::{Row, SqlStore, Statement, statements};
use crate::access::VisibleScope;
use crate::audit::AuditDraft;
use crate::{
    IdempotencyKey, JobEnd, JobInsertOutcome, JobRow, JobStore, JobTargetRow, NewCommand, NewJob, RowRange, StoreResult,
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
        self.insert_job(job, commands, idempotency, audit).await
    }

    async fn job_sweep(&self, before: Timestamp, now: Timestamp) -> StoreResult<u64> {
        self.end_all_hidden(before, now).await
    }

    async fn job_payload(&self, id: JobId) -> StoreResult<Option<String>> {
        let row = self.fetch_optional(Statement::new(statements::JOB_PAYLOAD).text(id)).await?;
        row.map(|row| row.text("payload")).transpose()
    }

    async fn job_get(&self, id: JobId) -> StoreResult<Option<JobRow>> {
        let row = self.fetch_optional(Statement::new(statements::JOB_GET).text(id)).await?;
        Ok(self.read_jobs(row.as_slice()).await?.pop())
    }

    async fn job_is_visible(&self, id: JobId, visible: &VisibleScope) -> StoreResult<bool> {
        let mut filter = visible_jobs(visible);
        filter.and("j.id = ?", id.to_string());
        Ok(self.fetch_optional(filter.statement(statements::JOB_IDS, "", &[])).await?.is_some())
    }

    async fn job_list(&self, visible: &VisibleScope, range: RowRange<JobSort>) -> StoreResult<(Vec<JobRow>, u64)> {
        let filter = visible_jobs(visible);
        let rows = self.fetch_all(filter.part(statements::JOB_LIST, &range)).await?;
        let total = self.fetch_counted(&filter, statements::JOB_ROWS_COUNTED).await?;
        Ok((self.read_jobs(&rows).await?, total))
    }

    async fn job_list_open(&self) -> StoreResult<Vec<JobId>> {
        let rows = self.fetch_all(Statement::new(statements::JOB_LIST_OPEN)).await?;
        rows.iter().map(|row| row.parse("id")).collect()
    }

    async fn job_target_list(
        &self,
        id: JobId,
        range: RowRange<JobTargetSort>,
    ) -> StoreResult<(Vec<JobTargetRow>, u64)> {
        let mut filter = Filter::default();
        filter.and_text("t.job_id = ?", Some(id));
        let (list, count) = (statements::JOB_TARGET_LIST, statements::JOB_TARGET_ROWS_COUNTED);
        self.fetch_part(&filter, list, count, range, read_target).await
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

/// The condition of the jobs all of whose satellites are in `visible`.
fn visible_jobs(visible: &VisibleScope) -> Filter {
    let mut filter = Filter::default();
    filter.and_raw(statements::JOB_IS_SHOWN);
    // All targets have to be visible: the counts of a job would tell about the others.
    filter.all_visible("j.id", statements::JOBS_OF_TEAMS, statements::JOB_TEAMS_ELSEWHERE, &visible.teams);
    filter.all_selected(statements::JOB_TARGETS_UNSELECTED, visible);
    filter
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
        // The databases limit the parameters of one statement.
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
        // Stored at its end, because its targets may be pruned before the job.
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

fn read_target(row: &Row) -> StoreResult<JobTargetRow> {
    Ok(JobTargetRow {
        place: row.int("place")?,
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
