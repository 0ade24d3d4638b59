//! Accepted commands: their state, output and cancellation.

use axum::response::Response;
use hive_core::wire::agent::Channel;
use hive_core::wire::api::CommandInfo;
use hive_core::wire::{CommandId, SatelliteId};
use hive_core::{CommandRouter, Error};

use super::{ApiResult, ok, output, page};
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::{PageQuery, Path, QueryParams};

pub(super) async fn list(
    Authenticated(hive): Authenticated,
    Path(satellite): Path<SatelliteId>,
    PageQuery(wanted): PageQuery,
) -> ApiResult<Vec<CommandInfo>> {
    let found = hive.command_list(satellite, wanted).await?;
    Ok(page(found))
}

pub(super) async fn get(
    Authenticated(hive): Authenticated,
    Path(id): Path<CommandId>,
    query: QueryParams,
) -> Result<Response, HttpError> {
    let encoding = query.word("encoding")?.unwrap_or_default();
    let found = hive.command_report(id).await?.ok_or_else(|| no_command(id))?;
    Ok(output::command(found, encoding))
}

pub(super) async fn output(
    Authenticated(hive): Authenticated,
    Path(id): Path<CommandId>,
    query: QueryParams,
) -> Result<Response, HttpError> {
    let channel = query.known("channel")?.unwrap_or(Channel::Stdout);
    let (from, limit) = (query.value("offset")?.unwrap_or(0), query.value("limit")?.unwrap_or(u64::MAX));
    let found = hive.command_report(id).await?.ok_or_else(|| no_command(id))?;
    Ok(output::raw(found.output, channel, from, limit))
}

fn no_command(id: CommandId) -> Error {
    Error::NotFound { what: "command", id: id.to_string() }
}

pub(super) async fn cancel(Authenticated(hive): Authenticated, Path(id): Path<CommandId>) -> ApiResult<CommandInfo> {
    let command = hive.command_cancel(id).await?;
    Ok(ok(command))
}
