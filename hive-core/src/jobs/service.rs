//! `JobManager` in this process.

use async_trait::async_trait;
use hive_wire::JobId;
use hive_wire::api::{
    CommandEnd, ExecCommand, Job, JobEvent, JobSort, JobStatus, JobTarget, JobTargetSort, Page, PageRequest, Target,
};
use serde_json::json;

use super::submit::only_team;
use super::{JobRequest, Jobs, no_job};
use crate::access::{Permission, Principal, ResourceScope, visible_scope};
use crate::audit::AuditAction;
use crate::audit::draft::{Subject, intent};
use crate::audit::excerpt::is_cut;
use crate::authorization::{authorize, forbidden};
use crate::commands::payload::Work;
use crate::handle::ServiceHandle;
use crate::jobs::{JobManager, JobOptions};
use crate::lists::listing::Listing;
use crate::redaction::{may_read, redact_job, redact_target};
use crate::store::{JobRow, JobTargetRow};
use crate::{Error, Result, Subscription};

#[async_trait]
impl JobManager for ServiceHandle<Jobs> {
    async fn submit(&self, targets: Vec<Target>, command: ExecCommand, options: JobOptions) -> Result<Job> {
        let JobOptions { idempotency_key, concurrency, confirm, deadline_seconds } = options;
        let work = Work::exec(command)?;
        let permission = Permission::JobsRun;
        let request = JobRequest { targets, work, idempotency_key, concurrency, confirm, deadline_seconds, permission };
        self.service.start(&self.principal, request).await.map(|row| self.view(row))
    }

    async fn get(&self, id: JobId) -> Result<Option<Job>> {
        let found = self.service.find_for(&self.principal, id, &Permission::SatellitesRead).await?;
        Ok(found.map(|row| self.view(row)))
    }

    async fn list(&self, page: PageRequest<JobSort>) -> Result<Page<Job>> {
        let listing = Listing::of_rows(&"jobs", page)?;
        let visible = visible_scope(&self.principal, &Permission::SatellitesRead);
        let rows = self.service.store.job_list(&visible, listing.range()).await?;
        Ok(listing.answer(rows, |row| self.view(row)))
    }

    async fn list_targets(&self, id: JobId, page: PageRequest<JobTargetSort>) -> Result<Page<JobTarget>> {
        let listing = Listing::of_rows(&("targets of a job", id), page)?;
        let job = self.service.row_for(&self.principal, id, &Permission::SatellitesRead).await?;
        let rows = self.service.store.job_target_list(id, listing.range()).await?;
        let is_readable = may_read(&self.principal, job.teams);
        Ok(listing.answer(rows, |row| {
            let mut target = target(row);
            if !is_readable {
                redact_target(&mut target);
            }
            target
        }))
    }

    async fn cancel(&self, id: JobId) -> Result<Job> {
        let row = self.service.row_for(&self.principal, id, &Permission::JobsRun).await?;
        if row.status == JobStatus::Running {
            self.service.cancel(&self.principal, row).await?;
        }
        let row = self.service.store.job_get(id).await?.ok_or_else(|| no_job(id))?;
        Ok(self.view(row))
    }

    async fn subscribe(&self, id: JobId) -> Result<Subscription<JobEvent>> {
        self.service.row_for(&self.principal, id, &Permission::SatellitesRead).await?;
        self.service.subscribe(&self.principal, id).await
    }
}

impl ServiceHandle<Jobs> {
    /// A job as the caller may read it.
    fn view(&self, row: JobRow) -> Job {
        view(&self.principal, row)
    }
}

impl Jobs {
    /// Finds a job on all of whose satellites the principal has the permission. One with a hidden satellite is hidden.
    pub(crate) async fn find_for(
        &self,
        principal: &Principal,
        id: JobId,
        permission: &Permission,
    ) -> Result<Option<JobRow>> {
        match self.row_for(principal, id, permission).await {
            Ok(row) => Ok(Some(row)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn row_for(&self, principal: &Principal, id: JobId, permission: &Permission) -> Result<JobRow> {
        let row = self.store.job_get(id).await?.ok_or_else(|| no_job(id))?;
        if principal.satellite_tags.is_some() {
            return self.selected_row(principal, row, permission).await;
        }
        let mut forbidden = Ok(());
        for team in &row.teams {
            match authorize(principal, permission, ResourceScope::team(*team), || no_job(id)) {
                // That one satellite is hidden counts more than that another one is forbidden.
                Err(hidden @ Error::NotFound { .. }) => return Err(hidden),
                checked => forbidden = forbidden.and(checked),
            }
        }
        forbidden.map(|()| row)
    }

    /// Checks a permission for a caller who is limited to some satellites. The store has their tags.
    async fn selected_row(&self, principal: &Principal, row: JobRow, permission: &Permission) -> Result<JobRow> {
        let is_in = |permission| {
            let visible = visible_scope(principal, permission);
            let id = row.id;
            async move { self.store.job_is_visible(id, &visible).await }
        };
        if is_in(permission).await? {
            return Ok(row);
        }
        let is_seen = is_in(&Permission::SatellitesRead).await?;
        Err(if is_seen { forbidden(permission) } else { no_job(row.id) })
    }

    /// Cancels a job that has not ended: there are no more turns, and what runs is ended where it runs.
    async fn cancel(&self, principal: &Principal, row: JobRow) -> Result<()> {
        let id = row.id;
        let subject = Subject::new(id).of_team(only_team(row.teams.iter().copied()));
        let details = json!({ "command": row.summary, "cut": is_cut(&row.summary) });
        let record = intent(&self.context, principal, AuditAction::JobCancel, subject, details);
        if !self.store.job_cancel(id, self.context.now(), record).await? {
            // Another call has cancelled it, or it has ended since it was read.
            return Ok(());
        }
        // The store first: from then on it delivers no command of the job, whatever the driver is about to do.
        if let Some(job) = self.driver(id) {
            job.change(super::plan::Plan::stop);
            self.cancel_in_flight(&job);
            job.mark_dirty();
            // The store has ended all queued commands of the job at once.
            self.commands.mark_counts_stale();
        }
        Ok(())
    }
}

/// A stored job as a caller may read it.
pub(super) fn view(principal: &Principal, row: JobRow) -> Job {
    let is_readable = may_read(principal, row.teams.iter().copied());
    let mut job = job(row);
    if !is_readable {
        redact_job(&mut job);
    }
    job
}

fn job(row: JobRow) -> Job {
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
        redacted: false,
    }
}

fn target(row: JobTargetRow) -> JobTarget {
    let JobTargetRow {
        place: _,
        satellite_id,
        satellite_name,
        team_id: _,
        command_id,
        status,
        end: CommandEnd { exit_code, duration_ms, truncated, error },
        stdout_bytes,
        stderr_bytes,
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
