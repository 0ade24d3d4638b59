//! Following a job to its end, and the results of its targets.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use hive_core::HiveApi;
use hive_core::wire::api::{self, OutputEncoding};
use hive_core::wire::{JobId, SatelliteId};

use super::JobProgress;
use crate::HiveError;
use crate::records::{CommandInfo, CommandResult, JobEvent};

/// The delay before a job whose events broke off is watched again.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Attempts in a row that may find the hive unavailable. After a minute, that is the error of the call.
const MAX_FAILED_ATTEMPTS: u32 = 60;

/// Watches a job to its end, over any number of streams, and reports its events.
pub(super) async fn follow(
    hive: &dyn HiveApi,
    job: JobId,
    progress: Option<&dyn JobProgress>,
) -> Result<api::Job, HiveError> {
    let (mut reported, mut failed_attempts) = (HashSet::new(), 0);
    loop {
        match hive.jobs().subscribe(job).await {
            Ok(mut events) => {
                failed_attempts = 0;
                while let Some(event) = events.next().await {
                    if let Some(ended) = report(event, &mut reported, progress) {
                        return Ok(ended);
                    }
                }
            }
            Err(hive_core::Error::Unavailable(_)) if failed_attempts < MAX_FAILED_ATTEMPTS => failed_attempts += 1,
            Err(error) => return Err(error.into()),
        }
        // The stream broke off, or the hive is away. The job continues on the hive.
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// Reports one event. Returns the job if it has ended.
fn report(
    event: api::JobEvent,
    reported: &mut HashSet<SatelliteId>,
    progress: Option<&dyn JobProgress>,
) -> Option<api::Job> {
    let (is_new, ended) = match &event {
        // Every stream begins with the targets that have ended already. Each is reported once.
        api::JobEvent::Target { satellite_id, .. } => (reported.insert(*satellite_id), None),
        api::JobEvent::Ended(job) => (true, Some(job.as_ref().clone())),
        _ => (true, None),
    };
    if let (Some(progress), Some(event), true) = (progress, JobEvent::from_wire(event), is_new) {
        progress.on_event(event);
    }
    ended
}

/// Returns the result of a target, with its output.
pub(super) async fn target_result(hive: Arc<dyn HiveApi>, target: api::JobTarget) -> Result<CommandResult, HiveError> {
    let has_output = target.stdout_bytes + target.stderr_bytes > 0;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    // Most targets of a large job have no output, and need no request.
    if let (Some(command), true) = (target.command_id, has_output)
        && let Some(info) = hive.commands().get(command, OutputEncoding::Base64).await?
    {
        let info = CommandInfo::try_from(info)?;
        (stdout, stderr) = (info.stdout, info.stderr);
    }
    Ok(CommandResult {
        satellite_id: target.satellite_id.to_string(),
        satellite_name: target.satellite_name.to_string(),
        command_id: target.command_id.map(|id| id.to_string()),
        status: target.status.as_str().to_owned(),
        exit_code: target.exit_code,
        stdout,
        stderr,
        duration: Duration::from_millis(target.duration_ms.unwrap_or_default()),
        truncated: target.truncated,
        error: target.error.map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use hive_core::wire::api::{CommandStatus, JobCounts, TargetStatus};

    use super::*;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<JobEvent>>);

    impl JobProgress for Recorder {
        fn on_event(&self, event: JobEvent) {
            self.0.lock().unwrap().push(event);
        }
    }

    #[test]
    fn the_end_of_a_target_is_reported_once_over_all_streams() {
        let end = api::JobEvent::Target {
            satellite_id: "sat_01m7z0hc93fb28gmb8d60a6qzj".parse().unwrap(),
            satellite_name: "web-server-01".try_into().unwrap(),
            command_id: None,
            status: TargetStatus::Command(CommandStatus::Succeeded),
            exit_code: Some(0),
        };
        let (recorder, mut reported) = (Recorder::default(), HashSet::new());
        let step = api::JobEvent::Progress { counts: JobCounts::default() };
        for event in [step.clone(), end.clone(), step, end] {
            assert!(report(event, &mut reported, Some(&recorder)).is_none());
        }
        let is_target = |event: &&JobEvent| matches!(event, JobEvent::Target { .. });
        assert_eq!(recorder.0.lock().unwrap().iter().filter(is_target).count(), 1);
    }
}
