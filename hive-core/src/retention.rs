//! Deletes what was kept long enough, in the background.
//!
//! Each kind is a concern of its own. A turn deletes in small batches with pauses in between, so that other writers never wait
//! long, and goes on at its next turn where it was stopped. Only what has ended is deleted.

use std::sync::Arc;
use std::time::Duration;

use hive_wire::Timestamp;
use tokio::time::{Instant, sleep};
use tracing::info;

use crate::audit::AuditLog;
use crate::context::ServiceContext;
use crate::housekeeping::Concern;
use crate::store::RetentionStore;
use crate::{Error, Result};

/// Rows that are deleted in one transaction.
const ROWS: u32 = 200;
/// Chunks of output that are deleted in one transaction: up to 4 MiB.
const CHUNKS: u32 = 64;
/// The most batches of a turn.
const BATCHES: u32 = 20_000;
/// A pause is at least this many times as long as the batch before it. Under load, batches are slow and pauses are long.
const PAUSE_FACTOR: u32 = 2;

/// The deletion of old data.
pub(crate) struct Retention {
    store: Arc<dyn RetentionStore>,
    audit: Arc<AuditLog>,
    context: ServiceContext,
}

impl Retention {
    pub(crate) fn new(store: Arc<dyn RetentionStore>, audit: Arc<AuditLog>, context: ServiceContext) -> Self {
        Self { store, audit, context }
    }

    /// The concerns of housekeeping, one for each kind of data.
    pub(crate) fn concerns(self: &Arc<Self>) -> Vec<Concern> {
        let every = self.context.settings().prune_interval;
        vec![
            Concern::new("old audit records", every, self, |it| async move { it.prune_audit_log().await }),
            Concern::new("old output", every, self, |it| async move { it.prune_output().await }),
            Concern::new("old jobs", every, self, |it| async move { it.prune_jobs().await }),
            Concern::new("old commands", every, self, |it| async move { it.prune_commands().await }),
            Concern::new("old sessions", every, self, |it| async move { it.prune_sessions().await }),
            Concern::new("kept answers", every, self, |it| async move { it.prune_answers().await }),
            Concern::new("removed satellites", every, self, |it| async move { it.prune_satellites().await }),
            Concern::new("free space of the database", every, self, |it| async move { it.reclaim_space().await }),
        ]
    }

    async fn prune_audit_log(&self) -> Result<()> {
        let Some(before) = self.cutoff(self.context.settings().retain_audit) else { return Ok(()) };
        self.in_batches("audit records", move || self.audit.prune_batch(before)).await
    }

    async fn prune_output(&self) -> Result<()> {
        let settings = self.context.settings();
        // A command goes without its output.
        let kept = [settings.retain_output, settings.retain_commands].into_iter().flatten().min();
        let Some(before) = self.cutoff(kept) else { return Ok(()) };
        self.in_batches("chunks of output", move || self.store.command_output_prune(before, CHUNKS)).await
    }

    async fn prune_jobs(&self) -> Result<()> {
        let Some(before) = self.cutoff(self.context.settings().retain_commands) else { return Ok(()) };
        self.in_batches("jobs and their targets", move || self.store.job_prune(before, ROWS)).await
    }

    async fn prune_commands(&self) -> Result<()> {
        let Some(before) = self.cutoff(self.context.settings().retain_commands) else { return Ok(()) };
        self.in_batches("commands", move || self.store.command_prune(before, ROWS)).await
    }

    async fn prune_sessions(&self) -> Result<()> {
        let Some(before) = self.cutoff(self.context.settings().retain_commands) else { return Ok(()) };
        self.in_batches("sessions", move || self.store.session_prune(before, ROWS)).await
    }

    async fn prune_answers(&self) -> Result<()> {
        let now = self.context.steady();
        self.in_batches("kept answers and their keys", move || self.store.answer_prune(now, ROWS)).await
    }

    async fn prune_satellites(&self) -> Result<()> {
        let Some(before) = self.cutoff(self.context.settings().retain_removed) else { return Ok(()) };
        self.in_batches("rows of removed satellites", move || self.store.satellite_prune(before, ROWS)).await
    }

    async fn reclaim_space(&self) -> Result<()> {
        let reclaim = move || async move { self.store.space_reclaim().await.map(u64::from) };
        self.in_batches("parts of the free space", reclaim).await
    }

    /// The time before which something is deleted; `None` if it is kept for ever. By the time that does not jump: a clock that
    /// is set must not delete anything.
    fn cutoff(&self, kept: Option<Duration>) -> Option<Timestamp> {
        kept.map(|kept| self.context.steady().minus(kept))
    }

    /// Repeats a batch until it finds nothing, the hive stops, or the turn is long enough.
    async fn in_batches<E, F>(&self, what: &'static str, mut batch: impl FnMut() -> F) -> Result<()>
    where
        Error: From<E>,
        F: Future<Output = std::result::Result<u64, E>>,
    {
        let mut rows = 0;
        let mut result = Ok(());
        for _ in 0..BATCHES {
            let begun = Instant::now();
            match batch().await {
                Ok(0) => break,
                Ok(changed) => rows += changed,
                Err(error) => {
                    result = Err(error.into());
                    break;
                }
            }
            let pause = self.context.settings().prune_pause.max(begun.elapsed() * PAUSE_FACTOR);
            if self.context.shutdown().run_until_cancelled(sleep(pause)).await.is_none() {
                break;
            }
        }
        if rows > 0 {
            info!(rows, what, "old data was deleted");
        }
        result
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests;
