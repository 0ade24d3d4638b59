//! Commands that are followed while they run: of one satellite, or of a job.

use std::sync::Arc;

use hive_wire::api::{ExecEvent, Target};

use super::Exec;
use super::job_stream::JobStream;
use crate::access::{Permission, Principal};
use crate::commands::AcceptOptions;
use crate::commands::ExecOptions;
use crate::commands::in_flight::SatelliteRef;
use crate::commands::payload::Work;
use crate::commands::stream::{CommandStream, Unsubscribed, not_run};
use crate::store::{RowRange, SatelliteRow};
use crate::{Result, Subscription};

/// Events that wait for a follower; then the reading of output waits, so that memory is bounded by as many chunks.
const EVENTS: usize = 32;

impl Exec {
    /// Runs a command on satellites and reports what happens.
    pub(super) async fn stream(
        self: &Arc<Self>,
        principal: &Principal,
        targets: Vec<Target>,
        work: Work,
        options: ExecOptions,
    ) -> Result<Subscription<ExecEvent>> {
        // A label makes a job also where one satellite has it: how many those are is known only later.
        if targets.len() == 1 && targets.iter().all(Target::is_one) {
            let mut found = self.satellites.resolve(principal, &targets, &Permission::SatellitesExec).await?;
            if let Some(row) = found.pop() {
                self.jobs.check_confirmed(1, options.confirm)?;
                return self.stream_one(principal, row, work, options).await;
            }
        }
        let timeout_seconds = work.timeout_seconds;
        let id = self.start_job(principal, targets, work, options).await?;
        let (rows, _) = self.job_store.job_target_list(id, RowRange::ALL).await?;
        let job = self.jobs.open(id).await?;
        self.subscribe(principal, timeout_seconds, |stream| async move {
            JobStream { stream, targets: rows }.run(job.as_deref()).await
        })
        .await
    }

    /// A single satellite needs no job.
    async fn stream_one(
        self: &Arc<Self>,
        principal: &Principal,
        row: SatelliteRow,
        work: Work,
        options: ExecOptions,
    ) -> Result<Subscription<ExecEvent>> {
        let timeout_seconds = work.timeout_seconds;
        let satellite = SatelliteRef { satellite: row.id, name: row.name.clone() };
        let accepted = match self.commands.check_online(&row) {
            Ok(()) => {
                let idempotency_key = options.idempotency_key;
                let accept = AcceptOptions { idempotency_key, is_awaited: true };
                Ok(self.commands.accept(principal, &row, work, accept).await?)
            }
            Err(error) => Err(not_run(&satellite, &error)),
        };
        self.subscribe(principal, timeout_seconds, |stream| async move {
            match accepted {
                Ok(id) => {
                    stream.send_accepted(&satellite, id).await?;
                    stream.follow(satellite, id).await
                }
                Err(result) => stream.send(ExecEvent::Exit(Box::new(result))).await,
            }
        })
        .await
    }

    /// Subscribes a principal. The commands go on where the subscription ends before them.
    async fn subscribe<F>(
        &self,
        principal: &Principal,
        timeout_seconds: u32,
        run: impl FnOnce(CommandStream) -> F,
    ) -> Result<Subscription<ExecEvent>>
    where
        F: Future<Output = Result<(), Unsubscribed>> + Send + 'static,
    {
        let (events, subscription) = Subscription::with_capacity(EVENTS);
        let stream = CommandStream::new(self.commands.clone(), events.clone(), timeout_seconds);
        let run = run(stream);
        self.grants.spawn_stream(principal, &events, async move { drop(run.await) }).await?;
        Ok(subscription)
    }
}
