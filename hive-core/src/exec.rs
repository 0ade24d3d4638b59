//! Running commands on one satellite or many: the service behind [`CommandRouter`].
//!
//! A command for one satellite goes to the commands; a command for several is a job. So this service is above both.

mod job_stream;
mod multi;
mod stream;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hive_wire::agent::Channel;
use hive_wire::api::{
    CommandInfo, CommandSort, ExecCommand, ExecEvent, ExecResult, OutputEncoding, Page, PageRequest, PowerRequest,
    Target,
};
use hive_wire::{CommandId, SatelliteId};

use crate::access::Permission;
use crate::authorization::satellite_for;
use crate::commands::payload::Work;
use crate::commands::{AcceptOptions, Commands};
use crate::commands::{CommandReport, CommandRouter, ExecOptions, ExecReport};
use crate::grants::AccessGrants;
use crate::handle::ServiceHandle;
use crate::jobs::Jobs;
use crate::satellites::Satellites;
use crate::store::{JobStore, SatelliteStore, Store};
use crate::{Error, Result, Subscription};

/// What callers run.
pub(crate) struct Exec {
    job_store: Arc<dyn JobStore>,
    satellite_store: Arc<dyn SatelliteStore>,
    grants: Arc<AccessGrants>,
    satellites: Arc<Satellites>,
    commands: Arc<Commands>,
    jobs: Arc<Jobs>,
}

impl Exec {
    pub(crate) fn new(
        store: &Arc<dyn Store>,
        grants: Arc<AccessGrants>,
        satellites: Arc<Satellites>,
        commands: Arc<Commands>,
        jobs: Arc<Jobs>,
    ) -> Self {
        Self { job_store: store.clone(), satellite_store: store.clone(), grants, satellites, commands, jobs }
    }
}

#[async_trait]
impl CommandRouter for ServiceHandle<Exec> {
    async fn exec_report(
        &self,
        satellite: SatelliteId,
        command: ExecCommand,
        options: ExecOptions,
    ) -> Result<ExecReport> {
        let Exec { satellite_store, commands, .. } = &*self.service;
        let permission = &Permission::SatellitesExec;
        let row = satellite_for(satellite_store.as_ref(), &self.principal, satellite, permission).await?;
        commands.run(&self.principal, row, Work::exec(command)?, options).await
    }

    async fn exec_multi_reports(
        &self,
        targets: Vec<Target>,
        command: ExecCommand,
        options: ExecOptions,
    ) -> Result<Vec<ExecReport>> {
        self.service.run_many(&self.principal, targets, Work::exec(command)?, options).await
    }

    async fn exec_stream(
        &self,
        targets: Vec<Target>,
        command: ExecCommand,
        options: ExecOptions,
    ) -> Result<Subscription<ExecEvent>> {
        self.service.stream(&self.principal, targets, Work::exec(command)?, options).await
    }

    async fn submit(&self, satellite: SatelliteId, command: ExecCommand, options: ExecOptions) -> Result<CommandId> {
        let Exec { satellite_store, commands, .. } = &*self.service;
        let permission = &Permission::SatellitesExec;
        let row = satellite_for(satellite_store.as_ref(), &self.principal, satellite, permission).await?;
        // It may be offline: the command waits for it.
        commands.check_usable(&row)?;
        let work = Work::exec(command)?;
        let idempotency_key = options.idempotency_key;
        let accept = AcceptOptions { idempotency_key, is_awaited: false };
        commands.accept(&self.principal, &row, work, accept).await
    }

    async fn power(&self, satellite: SatelliteId, request: PowerRequest, options: ExecOptions) -> Result<ExecResult> {
        let Exec { satellite_store, commands, .. } = &*self.service;
        let permission = &Permission::SatellitesPower;
        let row = satellite_for(satellite_store.as_ref(), &self.principal, satellite, permission).await?;
        let work = Work::power(request)?;
        commands.run(&self.principal, row, work, options).await?.into_result().await
    }

    async fn report(&self, id: CommandId) -> Result<Option<CommandReport>> {
        let commands = &self.service.commands;
        let row = commands.find_for(&self.principal, id, &Permission::SatellitesRead).await?;
        Ok(row.map(|row| commands.command_report(&self.principal, row)))
    }

    async fn output(&self, id: CommandId, channel: Channel, from: u64) -> Result<Bytes> {
        // The report checks who may read the command before its output is looked for.
        let report = self.report(id).await?.ok_or_else(|| no_command(id))?;
        report.readable_output()?.read(channel, from).await
    }

    async fn list(&self, satellite: SatelliteId, page: PageRequest<CommandSort>) -> Result<Page<CommandInfo>> {
        self.service.commands.list(&self.principal, satellite, page).await
    }

    async fn cancel(&self, id: CommandId) -> Result<CommandInfo> {
        // Read again: the command may have ended by itself in between, and the caller sees how.
        self.service.commands.cancel(&self.principal, id).await?;
        self.get(id, OutputEncoding::Lossy).await?.ok_or_else(|| no_command(id))
    }
}

fn no_command(id: CommandId) -> Error {
    Error::NotFound { what: "command", id: id.to_string() }
}
