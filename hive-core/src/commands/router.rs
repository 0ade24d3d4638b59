//! Running commands.

mod report;

use async_trait::async_trait;
use bytes::Bytes;
use hive_wire::agent::Channel;
use hive_wire::api::{
    CommandInfo, CommandSort, ExecCommand, ExecEvent, ExecResult, OutputEncoding, Page, PageRequest, PowerRequest,
    Target,
};
use hive_wire::{CommandId, SatelliteId};

use crate::{Result, Subscription};

pub(crate) use report::encode;
pub use report::{CommandReport, ExecReport, OutputReader, OutputSource};

/// How a command is run, apart from what it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// The same key and command within 24 hours give the same command; another command gives `Conflict`.
    pub idempotency_key: Option<String>,
    /// How output is encoded in the result.
    pub encoding: OutputEncoding,
    /// The most targets that run at the same time; 64 unless given.
    pub concurrency: Option<u32>,
    /// The number of satellites that the caller expects of several targets. Another one gives `Unconfirmed`, and nothing is
    /// stored.
    pub confirm: Option<u64>,
}

/// Runs commands on satellites.
///
/// A command that was accepted is durable, is executed at most once, and ends in exactly one terminal status.
#[async_trait]
pub trait CommandRouter: Send + Sync {
    /// Runs a command and waits for its end. A non-zero exit is a result, not an error.
    ///
    /// # Errors
    /// `SatelliteOffline` and `SatelliteInactive` where nothing was stored; `CommandTimeout` with the output so far;
    /// `CommandBlocked` where the satellite's own policy refuses.
    async fn exec(&self, satellite: SatelliteId, command: ExecCommand, options: ExecOptions) -> Result<ExecResult> {
        self.exec_report(satellite, command, options).await?.into_result().await
    }

    /// Like [`exec`](Self::exec), but large output is left to a reader and is never in memory as a whole.
    async fn exec_report(
        &self,
        satellite: SatelliteId,
        command: ExecCommand,
        options: ExecOptions,
    ) -> Result<ExecReport>;

    /// Runs a command on several satellites and waits for all. The targets are resolved first; one that could not be
    /// given the command has its own entry. Results come in the order of the targets' names.
    async fn exec_multi(
        &self,
        targets: Vec<Target>,
        command: ExecCommand,
        options: ExecOptions,
    ) -> Result<Vec<ExecResult>> {
        let reports = self.exec_multi_reports(targets, command, options).await?;
        let mut results = Vec::with_capacity(reports.len());
        for report in reports {
            results.push(report.into_result().await?);
        }
        Ok(results)
    }

    /// Like [`exec_multi`](Self::exec_multi), but large output is left to readers and is never in memory as a whole.
    async fn exec_multi_reports(
        &self,
        targets: Vec<Target>,
        command: ExecCommand,
        options: ExecOptions,
    ) -> Result<Vec<ExecReport>>;

    /// Runs a command on the satellites that carry a tag.
    async fn exec_by_tag(&self, tag: &str, command: ExecCommand, options: ExecOptions) -> Result<Vec<ExecResult>> {
        self.exec_multi(vec![Target::Tag(tag.to_owned())], command, options).await
    }

    /// Like [`exec_multi`](Self::exec_multi), and returns the events while the commands run. Dropping the subscription
    /// does not stop them.
    async fn exec_stream(
        &self,
        targets: Vec<Target>,
        command: ExecCommand,
        options: ExecOptions,
    ) -> Result<Subscription<ExecEvent>>;

    /// Stores a command for a satellite, online or not, and returns at once. The command runs when the satellite is
    /// online, unless it expires first.
    async fn submit(&self, satellite: SatelliteId, command: ExecCommand, options: ExecOptions) -> Result<CommandId>;

    /// Changes a machine's power, and waits until the satellite reports that the change has begun.
    async fn power(&self, satellite: SatelliteId, request: PowerRequest, options: ExecOptions) -> Result<ExecResult>;

    /// Returns a command with its output so far; `None` where there is none, or it is hidden from the caller.
    async fn get(&self, id: CommandId, encoding: OutputEncoding) -> Result<Option<CommandInfo>> {
        match self.report(id).await? {
            Some(report) => Ok(Some(report.into_info(encoding).await?)),
            None => Ok(None),
        }
    }

    /// Like [`get`](Self::get), but the output is left to a reader.
    async fn report(&self, id: CommandId) -> Result<Option<CommandReport>>;

    /// Returns output of a command as bytes, from an offset on: at most 1 MiB. It is empty at the end, and where more
    /// has not arrived yet.
    async fn output(&self, id: CommandId, channel: Channel, from: u64) -> Result<Bytes>;

    /// Lists a satellite's commands that were given in a team of the caller's, newest first, without their output. The satellite
    /// may be of another team by now.
    async fn list(&self, satellite: SatelliteId, page: PageRequest<CommandSort>) -> Result<Page<CommandInfo>>;

    /// Cancels a command: a queued one ends at once, a running one when its whole process tree has ended. A command
    /// that has ended stays as it is. Returns the command as it is then.
    async fn cancel(&self, id: CommandId) -> Result<CommandInfo>;
}
