//! `JobManager` in this process.

use async_trait::async_trait;
use hive_wire::AuditId;
use hive_wire::JobId;
use hive_wire::api::{
    AuditResult, AuditTarget, ExecCommand, Job, JobEvent, JobStatus, JobTarget, Page, PageRequest, Target,
};
use serde_json::json;

use super::submit::{Asked, only_team};
use crate::access::{Permission, Reach, Verdict, may, sight};
use crate::audit::AuditDraft;
use crate::commands::payload::Work;
use crate::hive::acting::{Handle, Subject};
use crate::hive::excerpt::is_cut;
use crate::hive::{ActingHive, Hive};
use crate::job::{JobManager, JobOptions};
use crate::satellites::registry::window;
use crate::store::{JobEnd, JobRow, JobTargetRow};
use crate::{Error, Result, Subscription};

#[async_trait]
impl JobManager for Handle {
    async fn submit(&self, targets: Vec<Target>, command: ExecCommand, options: JobOptions) -> Result<Job> {
        let JobOptions { idempotency_key, concurrency, deadline_seconds } = options;
        let work = Work::exec(command)?;
        let permission = Permission::JobsRun;
        let asked = Asked { targets, work, idempotency_key, concurrency, deadline_seconds, permission };
        let id = self.start_job(asked).await?;
        let row = self.hive.store().job_get(id).await?.ok_or_else(|| no_job(id))?;
        Ok(job(row))
    }

    async fn get(&self, id: JobId) -> Result<Option<Job>> {
        Ok(self.job_for(id, Permission::SatellitesRead).await?.map(job))
    }

    async fn list(&self, page: PageRequest) -> Result<Page<Job>> {
        let sight = sight(&self.principal, &Permission::SatellitesRead);
        let (rows, total) = self.hive.store().job_list(&sight, window(page)?).await?;
        let items = rows.into_iter().map(job).collect();
        Ok(Page { items, total, page: page.page, per_page: page.per_page })
    }

    async fn list_targets(&self, id: JobId, page: PageRequest) -> Result<Page<JobTarget>> {
        let window = window(page)?;
        self.job_for(id, Permission::SatellitesRead).await?.ok_or_else(|| no_job(id))?;
        let (rows, total) = self.hive.store().job_target_list(id, window).await?;
        let items = rows.into_iter().map(target).collect();
        Ok(Page { items, total, page: page.page, per_page: page.per_page })
    }

    async fn cancel(&self, id: JobId) -> Result<Job> {
        let row = self.job_for(id, Permission::JobsRun).await?.ok_or_else(|| no_job(id))?;
        if row.status == JobStatus::Running {
            let subject = Subject::new("job", id).of_team(only_team(row.teams.iter().copied()));
            let record =
                self.intent("job.cancel", subject, json!({ "command": row.summary, "cut": is_cut(&row.summary) }));
            if self.hive.store().job_cancel(id, self.hive.source().now(), record).await? {
                self.hive.stop_job(id);
            }
        }
        let row = self.hive.store().job_get(id).await?.ok_or_else(|| no_job(id))?;
        Ok(job(row))
    }

    async fn subscribe(&self, id: JobId) -> Result<Subscription<JobEvent>> {
        let row = self.job_for(id, Permission::SatellitesRead).await?.ok_or_else(|| no_job(id))?;
        self.watch_job(row.id).await
    }
}

impl ActingHive {
    /// Finds a job the principal may use `permission` on all satellites of. One with a hidden satellite is hidden.
    pub(super) async fn job_for(&self, id: JobId, permission: Permission) -> Result<Option<JobRow>> {
        let Some(row) = self.hive.store().job_get(id).await? else {
            return Ok(None);
        };
        let verdicts: Vec<_> =
            row.teams.iter().map(|team| may(&self.principal, &permission, Reach::satellite(*team))).collect();
        if verdicts.contains(&Verdict::Hide) {
            return Ok(None);
        }
        if verdicts.contains(&Verdict::Forbid) {
            return Err(Error::Forbidden(permission.as_str().into()));
        }
        Ok(Some(row))
    }
}

impl Hive {
    /// Takes in that a job was cancelled: no more turns, and what runs is ended where it runs.
    fn stop_job(&self, id: JobId) {
        let Some(job) = self.inner.jobs.get(id) else { return };
        job.change(super::plan::Plan::stop);
        self.cancel_under_way(&job);
        job.look_again();
        self.inner.open.mark_stale();
    }

    /// Drafts the record of how a job ended, in the name of who asked for it.
    pub(super) fn job_outcome(&self, row: &JobRow, end: &JobEnd) -> AuditDraft {
        let is_success = end.status == JobStatus::Succeeded;
        AuditDraft {
            id: AuditId::new(self.source().seed()),
            timestamp: end.finished_at,
            actor: row.actor.clone(),
            action: "satellite.exec_multi",
            target: AuditTarget { kind: "job".into(), id: row.id.to_string() },
            team_id: only_team(row.teams.iter().copied()),
            details: json!({
                "command": row.summary,
                "cut": is_cut(&row.summary),
                "status": end.status,
                "targets": end.counts.total(),
                "results": end.counts,
            }),
            result: if is_success { AuditResult::Success } else { AuditResult::Failure },
            error: None,
        }
    }
}

fn no_job(id: JobId) -> Error {
    Error::NotFound { what: "job", id: id.to_string() }
}

/// A stored job as clients see it.
pub(super) fn job(row: JobRow) -> Job {
    let JobRow {
        id,
        status,
        summary,
        asked,
        teams: _,
        counts,
        concurrency,
        timeout_seconds: _,
        expires_in_seconds: _,
        actor,
        created_at,
        deadline_at,
        cancelled_at,
        finished_at,
    } = row;
    Job {
        id,
        status,
        summary,
        targets: asked,
        counts,
        concurrency,
        created_by: actor.name,
        created_at,
        deadline_at,
        cancelled_at,
        finished_at,
    }
}

fn target(row: JobTargetRow) -> JobTarget {
    let JobTargetRow {
        satellite_id,
        satellite_name,
        team_id: _,
        command_id,
        status,
        exit_code,
        duration_ms,
        truncated,
        stdout_bytes,
        stderr_bytes,
        error,
        expires_at: _,
        finished_at,
    } = row;
    JobTarget {
        satellite_id,
        satellite_name,
        command_id,
        status,
        exit_code,
        duration_ms,
        stdout_bytes,
        stderr_bytes,
        truncated,
        error,
        finished_at,
    }
}
