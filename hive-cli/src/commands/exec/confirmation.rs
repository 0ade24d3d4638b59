//! The question before a command runs on many satellites.

use hive_core::jobs::JobOptions;
use hive_core::wire::api::{ExecCommand, Job, Target};
use hive_core::{Error, HiveApi};

use crate::error::Result;
use crate::terminal;

/// The number of satellites above which it asks.
const ASK_ABOVE: u64 = 100;

/// A job that is to be submitted.
pub(super) struct JobSubmission<'a> {
    pub(super) api: &'a dyn HiveApi,
    pub(super) targets: Vec<Target>,
    pub(super) command: ExecCommand,
    pub(super) options: JobOptions,
    /// Whether the user has confirmed any number of satellites, by `--yes`.
    pub(super) is_confirmed: bool,
}

impl JobSubmission<'_> {
    /// Asks whether the job may run, where somebody can answer. The job then has to be for the number that was shown.
    pub(super) async fn confirm(&mut self) -> Result<()> {
        let may_be_many = self.targets.len() as u64 > ASK_ABOVE || !self.targets.iter().all(Target::is_one);
        if self.is_confirmed || !may_be_many || !terminal::can_ask() {
            return Ok(());
        }
        // No job is for 0 satellites: the refusal says how many the targets are, and nothing is stored.
        match self.submit_for(Some(0)).await {
            Err(Error::Unconfirmed { satellites, .. }) => {
                self.options.confirm = Some(satellites);
                ask(satellites).await
            }
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
        }
    }

    /// Submits the job. A hive that demands a confirmation gets the one of `--yes`.
    pub(super) async fn submit(&self) -> hive_core::Result<Job> {
        match self.submit_for(self.options.confirm).await {
            Err(Error::Unconfirmed { satellites, confirmed: None, .. }) if self.is_confirmed => {
                self.submit_for(Some(satellites)).await
            }
            submitted => submitted,
        }
    }

    async fn submit_for(&self, confirm: Option<u64>) -> hive_core::Result<Job> {
        let options = JobOptions { confirm, ..self.options.clone() };
        self.api.jobs().submit(self.targets.clone(), self.command.clone(), options).await
    }
}

/// Asks whether a command may run on so many satellites, where these are many and somebody can answer.
pub(super) async fn ask(satellites: u64) -> Result<()> {
    if satellites <= ASK_ABOVE || !terminal::can_ask() {
        return Ok(());
    }
    terminal::confirm(&format!("Run on {satellites} satellites?")).await
}
