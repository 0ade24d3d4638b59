//! What the commands of a job share, as long as the job is open.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use hive_wire::JobId;
use hive_wire::agent::Payload;
use tokio::sync::OnceCell;

use super::Commands;
use super::payload::unseal;
use crate::store::CommandRow;
use crate::sync::lock;
use crate::{Error, Result};

/// The jobs that have not ended.
#[derive(Default)]
pub(super) struct OpenJobs(Mutex<HashMap<JobId, Arc<OpenJob>>>);

#[derive(Default)]
struct OpenJob {
    /// What the job's commands do, once it was read.
    payload: OnceCell<Payload>,
    is_cancelled: AtomicBool,
}

impl OpenJobs {
    fn get(&self, id: JobId) -> Option<Arc<OpenJob>> {
        lock(&self.0).get(&id).cloned()
    }
}

impl Commands {
    /// Adds a job whose commands are handed over from here on.
    pub(crate) fn open_job(&self, id: JobId) {
        lock(&self.open_jobs.0).entry(id).or_default();
    }

    /// Notes that a job was cancelled: those of its commands that are being sent to a satellite right now are cancelled there.
    pub(crate) fn cancel_job(&self, id: JobId) {
        if let Some(job) = self.open_jobs.get(id) {
            job.is_cancelled.store(true, Ordering::SeqCst);
        }
    }

    /// Removes a job that has ended.
    pub(crate) fn close_job(&self, id: JobId) {
        lock(&self.open_jobs.0).remove(&id);
    }

    pub(super) fn is_of_cancelled_job(&self, job: Option<JobId>) -> bool {
        job.and_then(|id| self.open_jobs.get(id)).is_some_and(|job| job.is_cancelled.load(Ordering::SeqCst))
    }

    /// Returns what a command does, ready to be sent. What the commands of a job do is stored once, with the job.
    pub(super) async fn payload_of(&self, row: &CommandRow) -> Result<Payload> {
        let Some(id) = row.job_id.filter(|_| row.payload.is_empty()) else {
            return unseal(&row.payload, row.id, &self.keys.vault);
        };
        match self.open_jobs.get(id) {
            // Many commands of a job are prepared at the same time: one of them reads the payload, the others wait for
            // it.
            Some(job) => job.payload.get_or_try_init(async || self.job_payload(id).await).await.cloned(),
            None => self.job_payload(id).await,
        }
    }

    async fn job_payload(&self, id: JobId) -> Result<Payload> {
        let stored = self.job_store.job_payload(id).await?;
        let stored = stored.ok_or_else(|| Error::internal("a command without its job"))?;
        unseal(&stored, id, &self.keys.vault)
    }
}
