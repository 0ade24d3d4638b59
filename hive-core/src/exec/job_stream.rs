//! Following the commands of a job.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hive_wire::api::ExecEvent;

use crate::commands::in_flight::SatelliteRef;
use crate::commands::stream::{CommandStream, Unsubscribed};
use crate::jobs::JobDriver;
use crate::store::JobTargetRow;

/// Transitions of a job that are read together.
const BATCH: usize = 256;

/// The events of a job's commands.
pub(super) struct JobStream {
    pub(super) stream: CommandStream,
    pub(super) targets: Vec<JobTargetRow>,
}

impl JobStream {
    /// Reports all targets: first which of them take part, then what happens to them.
    pub(super) async fn run(&self, job: Option<&JobDriver>) -> Result<(), Unsubscribed> {
        let mut is_open = vec![false; self.targets.len()];
        for (target, is_open) in self.targets.iter().zip(&mut is_open) {
            if let Some(id) = target.command_id {
                self.stream.send_accepted(&satellite(target), id).await?;
                *is_open = true;
            } else {
                let not_run = self.stream.target_result(target.clone());
                self.stream.send(ExecEvent::Exit(Box::new(not_run))).await?;
            }
        }
        match job {
            Some(job) => self.follow(job, is_open).await,
            None => self.report_ended().await,
        }
    }

    async fn report_ended(&self) -> Result<(), Unsubscribed> {
        for target in &self.targets {
            if let Some(id) = target.command_id {
                self.stream.follow(satellite(target), id).await?;
            }
        }
        Ok(())
    }

    /// Follows each command from its hand-over on, or from its end without one.
    async fn follow(&self, job: &JobDriver, mut is_open: Vec<bool>) -> Result<(), Unsubscribed> {
        let mut changes = job.follow();
        let mut position = 0;
        let mut followed = FuturesUnordered::new();
        loop {
            let cursor = *changes.borrow_and_update();
            while position < cursor.log_len() {
                let batch = job.log(position, BATCH);
                position += batch.len();
                for (transition, _) in batch {
                    let index = transition.index();
                    let target = &self.targets[index];
                    // A target has several transitions. The first one, whichever it is, begins the following.
                    if let Some(id) = target.command_id.filter(|_| std::mem::take(&mut is_open[index])) {
                        followed.push(self.stream.follow(satellite(target), id));
                    }
                }
            }
            let are_all_followed = !is_open.contains(&true);
            if followed.is_empty() && (are_all_followed || cursor.is_over()) {
                return Ok(());
            }
            // One of the branches is enabled here: with neither, the loop has returned above.
            tokio::select! {
                Some(sent) = followed.next() => sent?,
                changed = changes.changed(), if !are_all_followed && !cursor.is_over() => drop(changed),
            }
        }
    }
}

fn satellite(target: &JobTargetRow) -> SatelliteRef {
    SatelliteRef { satellite: target.satellite_id, name: target.satellite_name.clone() }
}
