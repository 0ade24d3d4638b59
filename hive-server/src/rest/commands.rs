//! Commands that were accepted.

use axum::response::Response;
use hive_core::wire::agent::Channel;
use hive_core::wire::api::CommandInfo;
use hive_core::wire::{CommandId, SatelliteId};
use hive_core::{CommandRouter, Error};

use super::{Answer, ok, output, page};
use crate::auth::Caller;
use crate::error::Failure;
use crate::extract::{Paging, Pairs, Path};

pub(super) async fn list(
    Caller(hive): Caller,
    Path(satellite): Path<SatelliteId>,
    Paging(wanted): Paging,
) -> Answer<Vec<CommandInfo>> {
    let found = hive.command_list(satellite, wanted).await?;
    Ok(page(found))
}

pub(super) async fn get(Caller(hive): Caller, Path(id): Path<CommandId>, query: Pairs) -> Result<Response, Failure> {
    let encoding = query.word("encoding")?.unwrap_or_default();
    let found = hive.command_report(id).await?.ok_or_else(|| no_command(id))?;
    Ok(output::command(found, encoding))
}

pub(super) async fn output(Caller(hive): Caller, Path(id): Path<CommandId>, query: Pairs) -> Result<Response, Failure> {
    let channel = query.known("channel")?.unwrap_or(Channel::Stdout);
    let (from, limit) = (query.value("offset")?.unwrap_or(0), query.value("limit")?.unwrap_or(u64::MAX));
    let found = hive.command_report(id).await?.ok_or_else(|| no_command(id))?;
    Ok(output::raw(found.output, channel, from, limit))
}

fn no_command(id: CommandId) -> Error {
    Error::NotFound { what: "command", id: id.to_string() }
}

pub(super) async fn cancel(Caller(hive): Caller, Path(id): Path<CommandId>) -> Answer<CommandInfo> {
    let command = hive.command_cancel(id).await?;
    Ok(ok(command))
}
