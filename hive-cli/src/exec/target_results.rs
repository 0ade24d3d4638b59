//! Reads the results of a job's targets one by one as they end, with their output.

use std::collections::BTreeMap;

use hive_core::wire::agent::ErrorBody;
use hive_core::wire::api::{CommandEnd, ExecResult, JobEvent, OutputEncoding};
use hive_core::wire::{JobId, SatelliteId};

use super::results::TargetPages;
use crate::error::Result;
use hive_core::HiveApi;

/// The results of one job's targets.
pub(crate) struct TargetResults<'a> {
    api: &'a dyn HiveApi,
    id: JobId,
    /// Why targets were not run. All are read at the first such target, because none is added after the job began.
    refusals: Option<BTreeMap<SatelliteId, ErrorBody>>,
}

impl<'a> TargetResults<'a> {
    pub(crate) fn new(api: &'a dyn HiveApi, id: JobId) -> Self {
        Self { api, id, refusals: None }
    }

    /// Returns the result of the target that the event ends; `None` for other events.
    pub(crate) async fn result(&mut self, event: &JobEvent) -> Result<Option<ExecResult>> {
        let JobEvent::Target { satellite_id, satellite_name, command_id, status, exit_code } = event else {
            return Ok(None);
        };
        let end = CommandEnd { exit_code: *exit_code, ..CommandEnd::default() };
        let mut result =
            ExecResult::without_output(*satellite_id, satellite_name.clone(), *command_id, status.clone(), end);
        let Some(command) = *command_id else {
            result.error = self.refusal(*satellite_id).await?;
            return Ok(Some(result));
        };
        // The event has no output: the command has.
        if let Some(info) = self.api.commands().get(command, OutputEncoding::Lossy).await? {
            (result.stdout, result.stderr) = (info.stdout, info.stderr);
            (result.truncated, result.error) = (info.truncated, info.error);
            result.duration_ms = info.duration_ms.unwrap_or(0);
        }
        Ok(Some(result))
    }

    async fn refusal(&mut self, satellite: SatelliteId) -> Result<Option<ErrorBody>> {
        if self.refusals.is_none() {
            let (mut refusals, mut targets) = (BTreeMap::new(), TargetPages::new(self.api, self.id));
            while let Some(page) = targets.next().await? {
                let refused = page.into_iter().filter(|target| target.command_id.is_none());
                refusals.extend(refused.filter_map(|target| Some((target.satellite_id, target.error?))));
            }
            self.refusals = Some(refusals);
        }
        Ok(self.refusals.as_ref().and_then(|refusals| refusals.get(&satellite)).cloned())
    }
}
