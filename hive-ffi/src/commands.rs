//! Commands: on one satellite, on many, and stored ones.

use std::collections::HashSet;
use std::future::ready;
use std::sync::Arc;

use futures_util::StreamExt as _;
use hive_core::HiveApi;
use hive_core::commands::ExecOptions;
use hive_core::wire::api::{self, OutputEncoding};

use crate::feed::or_broken;
use crate::lookup::{find_satellite_id, parse_targets};
use crate::records::{Channel, Command, CommandInfo, CommandResult, ExecEvent, PageRequest, PowerAction, parse_id};
use crate::{ExecEvents, Hive, HiveError};

#[uniffi::export]
impl Hive {
    /// Runs a command on one satellite, by its id or name, and waits for its end. A program that fails is a result, not an
    /// error. A satellite that is offline is an error, and nothing is stored.
    pub async fn exec(&self, satellite: String, command: Command) -> Result<CommandResult, HiveError> {
        let exec = |hive: Arc<dyn HiveApi>| async move {
            let id = find_satellite_id(hive.as_ref(), &satellite).await?;
            let (command, options) = command_and_options(command, None);
            hive.commands().exec(id, command, options).await?.try_into()
        };
        self.call(exec).await
    }

    /// Runs a command on many satellites and waits for all of them. Targets are names, ids, `tag:x` or `all`. The results are
    /// ordered by name. A satellite that could not get the command has the status `not_run`.
    pub async fn exec_many(
        &self,
        targets: Vec<String>,
        command: Command,
        concurrency: Option<u32>,
    ) -> Result<Vec<CommandResult>, HiveError> {
        let exec = move |hive: Arc<dyn HiveApi>| async move {
            let (command, options) = command_and_options(command, concurrency);
            let results = hive.commands().exec_multi(parse_targets(&targets)?, command, options).await?;
            results.into_iter().map(CommandResult::try_from).collect()
        };
        self.call(exec).await
    }

    /// Like `exec_many`, and returns the events as they happen. Closing the stream leaves the commands running.
    pub async fn exec_stream(
        &self,
        targets: Vec<String>,
        command: Command,
        concurrency: Option<u32>,
    ) -> Result<Arc<ExecEvents>, HiveError> {
        let start = move |hive: Arc<dyn HiveApi>| async move {
            let (command, options) = command_and_options(command, concurrency);
            Ok(hive.commands().exec_stream(parse_targets(&targets)?, command, options).await?)
        };
        let events = self.call(start).await?;
        // No event marks the end of the stream: it is complete when every accepted command has ended.
        let events = or_broken(events, "the events broke off; the commands go on", every_command_ended());
        // Converted after the check of the end: an event of an unknown kind is left out, and still counts there.
        let events = events.filter_map(|event| ready(event.and_then(ExecEvent::from_wire).transpose()));
        Ok(ExecEvents::new(self.engine.clone(), events))
    }

    /// Stores a command for a satellite, online or not, and returns its id at once.
    pub async fn submit(&self, satellite: String, command: Command) -> Result<String, HiveError> {
        let submit = |hive: Arc<dyn HiveApi>| async move {
            let id = find_satellite_id(hive.as_ref(), &satellite).await?;
            let (command, options) = command_and_options(command, None);
            Ok(hive.commands().submit(id, command, options).await?.to_string())
        };
        self.call(submit).await
    }

    /// Changes a machine's power state, and waits until the satellite reports that the change has started.
    pub async fn power(
        &self,
        satellite: String,
        action: PowerAction,
        delay_seconds: u32,
        message: Option<String>,
    ) -> Result<CommandResult, HiveError> {
        let change = move |hive: Arc<dyn HiveApi>| async move {
            let id = find_satellite_id(hive.as_ref(), &satellite).await?;
            let request = api::PowerRequest { action: action.into(), delay_seconds, message, priority: None };
            hive.commands().power(id, request, exec_options(None, None)).await?.try_into()
        };
        self.call(change).await
    }

    /// Returns a command with its output so far; nothing if it does not exist, or the caller may not see it.
    pub async fn command_get(&self, command: String) -> Result<Option<CommandInfo>, HiveError> {
        let get = |hive: Arc<dyn HiveApi>| async move {
            let info = hive.commands().get(parse_id("command", &command)?, OutputEncoding::Base64).await?;
            info.map(CommandInfo::try_from).transpose()
        };
        self.call(get).await
    }

    /// Lists a satellite's commands, newest first, without their output.
    pub async fn command_list(&self, satellite: String, page: PageRequest) -> Result<Vec<CommandInfo>, HiveError> {
        let list = move |hive: Arc<dyn HiveApi>| async move {
            let id = find_satellite_id(hive.as_ref(), &satellite).await?;
            let commands = hive.commands().list(id, page.try_into()?).await?;
            commands.items.into_iter().map(CommandInfo::try_from).collect()
        };
        self.call(list).await
    }

    /// Returns output of a command from an offset on: at most 1 MiB, and nothing at the end of what there is so far.
    pub async fn command_output(&self, command: String, channel: Channel, from: u64) -> Result<Vec<u8>, HiveError> {
        let read = move |hive: Arc<dyn HiveApi>| async move {
            Ok(hive.commands().output(parse_id("command", &command)?, channel.into(), from).await?.into())
        };
        self.call(read).await
    }

    /// Cancels a command: a queued one at once, a running one when its process tree is gone. Returns its new state.
    pub async fn command_cancel(&self, command: String) -> Result<CommandInfo, HiveError> {
        let cancel = |hive: Arc<dyn HiveApi>| async move {
            hive.commands().cancel(parse_id("command", &command)?).await?.try_into()
        };
        self.call(cancel).await
    }
}

fn command_and_options(command: Command, concurrency: Option<u32>) -> (api::ExecCommand, ExecOptions) {
    let (command, key) = command.into_parts();
    (command, exec_options(key, concurrency))
}

/// The options of a call. Output is requested in base64, because it can be any bytes.
fn exec_options(idempotency_key: Option<String>, concurrency: Option<u32>) -> ExecOptions {
    ExecOptions { idempotency_key, encoding: OutputEncoding::Base64, concurrency, confirm: None }
}

/// Returns a predicate of a stream of events: whether every command that was accepted so far has ended.
fn every_command_ended() -> impl FnMut(&api::ExecEvent) -> bool + Send + 'static {
    let mut open = HashSet::new();
    move |event| {
        match event {
            api::ExecEvent::Accepted { satellite_id, .. } => drop(open.insert(*satellite_id)),
            // A satellite that could not get the command has an `Exit` without an `Accepted`.
            api::ExecEvent::Exit(result) => drop(open.remove(&result.satellite_id)),
            api::ExecEvent::Output { .. } | api::ExecEvent::Link { .. } | api::ExecEvent::Unknown(_) => {}
        }
        open.is_empty()
    }
}
