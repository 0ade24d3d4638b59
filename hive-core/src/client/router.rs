//! [`CommandRouter`] over REST.

use async_trait::async_trait;
use bytes::Bytes;
use hive_wire::agent::Channel;
use hive_wire::api::{
    CommandInfo, CommandQuery, CommandSort, ExecCommand, ExecEvent, ExecManyRequest, ExecQuery, ExecResult,
    OutputEncoding, OutputQuery, Page, PageRequest, PowerRequest, Target,
};
use hive_wire::{CommandId, SatelliteId};
use reqwest::{RequestBuilder, header};
use serde::Deserialize;

use super::Client;
use super::registry::present;
use super::transport::{Patience, with_query};
use crate::commands::{CommandReport, ExecOptions, ExecReport, OutputReader, OutputSource};
use crate::idempotency::check_key;
use crate::{CommandRouter, Result, Subscription};

/// The bytes of output that one call fetches.
const OUTPUT_AT_ONCE: u64 = 1024 * 1024;

#[async_trait]
impl CommandRouter for Client {
    async fn exec(&self, satellite: SatelliteId, command: ExecCommand, options: ExecOptions) -> Result<ExecResult> {
        let call = self.exec_call(satellite, &command, &options, None)?;
        self.transport.fetch_results(call).await
    }

    async fn exec_report(
        &self,
        satellite: SatelliteId,
        command: ExecCommand,
        options: ExecOptions,
    ) -> Result<ExecReport> {
        // The hive writes the whole output into its answer.
        let encoding = options.encoding;
        Ok(ExecReport::new(self.exec(satellite, command, options).await?, None, encoding))
    }

    async fn exec_multi(
        &self,
        targets: Vec<Target>,
        command: ExecCommand,
        options: ExecOptions,
    ) -> Result<Vec<ExecResult>> {
        let call = self.exec_many_call(&targets, command, &options)?;
        self.transport.fetch_results(call).await
    }

    async fn exec_multi_reports(
        &self,
        targets: Vec<Target>,
        command: ExecCommand,
        options: ExecOptions,
    ) -> Result<Vec<ExecReport>> {
        let encoding = options.encoding;
        let results = self.exec_multi(targets, command, options).await?;
        Ok(results.into_iter().map(|result| ExecReport::new(result, None, encoding)).collect())
    }

    async fn exec_stream(
        &self,
        targets: Vec<Target>,
        command: ExecCommand,
        options: ExecOptions,
    ) -> Result<Subscription<ExecEvent>> {
        let call = self.exec_many_call(&targets, command, &options)?.header(header::ACCEPT, "text/event-stream");
        Ok(self.large_events(self.transport.send(call, Patience::Command).await?))
    }

    async fn submit(&self, satellite: SatelliteId, command: ExecCommand, options: ExecOptions) -> Result<CommandId> {
        let call = self.exec_call(satellite, &command, &options, Some(false))?;
        let Submitted { command_id } = self.transport.fetch(call).await?;
        Ok(command_id)
    }

    async fn power(&self, satellite: SatelliteId, request: PowerRequest, options: ExecOptions) -> Result<ExecResult> {
        let call = self.transport.post(&["api", "v1", "satellites", &satellite.to_string(), "power"]);
        self.transport.fetch_results(with_options(call, &options, None)?.json(&request)).await
    }

    async fn get(&self, id: CommandId, encoding: OutputEncoding) -> Result<Option<CommandInfo>> {
        let call = self.transport.get(&["api", "v1", "commands", &id.to_string()]);
        present(self.transport.fetch(with_query(call, &CommandQuery { encoding })?).await)
    }

    async fn report(&self, id: CommandId) -> Result<Option<CommandReport>> {
        let found = self.get(id, OutputEncoding::Lossy).await?;
        Ok(found.map(|mut info| {
            // The lossy text cannot be encoded otherwise. The reader fetches the bytes.
            (info.stdout, info.stderr) = (String::new(), String::new());
            CommandReport::new(info, OutputReader::new(RemoteOutput { client: self.clone(), id }))
        }))
    }

    async fn output(&self, id: CommandId, channel: Channel, from: u64) -> Result<Bytes> {
        let call = self.transport.get(&["api", "v1", "commands", &id.to_string(), "output"]);
        let part = OutputQuery { channel, offset: from, limit: Some(OUTPUT_AT_ONCE) };
        self.transport.fetch_bytes(with_query(call, &part)?).await
    }

    async fn list(&self, satellite: SatelliteId, page: PageRequest<CommandSort>) -> Result<Page<CommandInfo>> {
        let call = self.transport.get(&["api", "v1", "satellites", &satellite.to_string(), "commands"]);
        self.transport.fetch_page(with_query(call, &page)?).await
    }

    async fn cancel(&self, id: CommandId) -> Result<CommandInfo> {
        let call = self.transport.post(&["api", "v1", "commands", &id.to_string(), "cancel"]);
        self.transport.fetch(call).await
    }
}

/// The output of a command of a remote hive.
#[derive(Debug)]
struct RemoteOutput {
    client: Client,
    id: CommandId,
}

#[async_trait]
impl OutputSource for RemoteOutput {
    async fn read(&self, channel: Channel, from: u64) -> Result<Bytes> {
        self.client.output(self.id, channel, from).await
    }
}

/// The answer to a command that was submitted without waiting.
#[derive(Deserialize)]
struct Submitted {
    command_id: CommandId,
}

impl Client {
    fn exec_call(
        &self,
        satellite: SatelliteId,
        command: &ExecCommand,
        options: &ExecOptions,
        wait: Option<bool>,
    ) -> Result<RequestBuilder> {
        let call = self.transport.post(&["api", "v1", "satellites", &satellite.to_string(), "exec"]);
        Ok(with_options(call, options, wait)?.json(command))
    }

    fn exec_many_call(
        &self,
        targets: &[Target],
        command: ExecCommand,
        options: &ExecOptions,
    ) -> Result<RequestBuilder> {
        let targets = targets.iter().map(Target::to_string).collect();
        let ExecOptions { concurrency, confirm, .. } = *options;
        let body = ExecManyRequest { targets, concurrency, confirm, command };
        Ok(with_options(self.transport.post(&["api", "v1", "exec"]), options, None)?.json(&body))
    }
}

fn with_options(call: RequestBuilder, options: &ExecOptions, wait: Option<bool>) -> Result<RequestBuilder> {
    let query = ExecQuery { wait, encoding: options.encoding };
    keyed(with_query(call, &query)?, options.idempotency_key.as_deref())
}

/// Adds the idempotency key to a call. A key that the hive would refuse is refused here, because it may not fit into a header.
pub(super) fn keyed(call: RequestBuilder, key: Option<&str>) -> Result<RequestBuilder> {
    let Some(key) = key else { return Ok(call) };
    check_key(key)?;
    Ok(call.header("idempotency-key", key))
}
