//! Commands for several satellites: a job that somebody waits for.

use std::sync::Arc;

use hive_wire::JobId;
use hive_wire::api::Target;

use super::Exec;
use crate::access::{Permission, Principal};
use crate::commands::payload::Work;
use crate::commands::queue::Rank;
use crate::commands::{ExecOptions, ExecReport};
use crate::jobs::JobRequest;
use crate::store::RowRange;
use crate::{Error, Result};

impl Exec {
    /// Runs a command on several satellites and waits for all.
    pub(super) async fn run_many(
        self: &Arc<Self>,
        principal: &Principal,
        targets: Vec<Target>,
        work: Work,
        options: ExecOptions,
    ) -> Result<Vec<ExecReport>> {
        let timeout = self.commands.call_timeout(work.timeout_seconds);
        let encoding = options.encoding;
        let id = self.start_job(principal, targets, work, options).await?;
        if let Some(job) = self.jobs.open(id).await? {
            job.wait_for_end(timeout).await;
            // The driver goes with the hive, which looks like the end of the job.
            if self.jobs.is_shutting_down() {
                return Err(Error::unavailable("the server stops; the job goes on"));
            }
        }
        let (rows, _) = self.job_store.job_target_list(id, RowRange::ALL).await?;
        Ok(rows.into_iter().map(|row| self.commands.target_report(row, encoding)).collect())
    }

    /// Starts the job of a call that waits for it or follows it.
    pub(super) async fn start_job(
        &self,
        principal: &Principal,
        targets: Vec<Target>,
        work: Work,
        options: ExecOptions,
    ) -> Result<JobId> {
        let ExecOptions { idempotency_key, concurrency, confirm, encoding: _ } = options;
        let permission = Permission::SatellitesExec;
        // Somebody waits for it, as for a command of one satellite.
        let work = work.ranked(Rank::Immediate);
        let request =
            JobRequest { targets, work, idempotency_key, concurrency, confirm, deadline_seconds: None, permission };
        Ok(self.jobs.start(principal, request).await?.id)
    }
}
