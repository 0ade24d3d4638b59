//! Accepted commands: their state, output and cancellation.

use axum::response::Response;
use hive_core::Error;
use hive_core::wire::api::{CommandInfo, CommandQuery, OutputQuery, PageRequest};
use hive_core::wire::{CommandId, SatelliteId};

use super::{ApiResult, ok, output, paged};
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::{Path, Query};

pub(super) async fn list(
    Authenticated(hive): Authenticated,
    Path(satellite): Path<SatelliteId>,
    Query(page): Query<PageRequest>,
) -> ApiResult<Vec<CommandInfo>> {
    let found = hive.commands().list(satellite, page).await?;
    Ok(paged(found))
}

pub(super) async fn get(
    Authenticated(hive): Authenticated,
    Path(id): Path<CommandId>,
    Query(CommandQuery { encoding }): Query<CommandQuery>,
) -> Result<Response, HttpError> {
    let found = hive.commands().report(id).await?.ok_or_else(|| no_command(id))?;
    Ok(output::command(&found, encoding)?)
}

pub(super) async fn output(
    Authenticated(hive): Authenticated,
    Path(id): Path<CommandId>,
    Query(OutputQuery { channel, offset, limit }): Query<OutputQuery>,
) -> Result<Response, HttpError> {
    let found = hive.commands().report(id).await?.ok_or_else(|| no_command(id))?;
    Ok(output::raw(found.readable_output()?, channel, offset, limit.unwrap_or(u64::MAX)))
}

fn no_command(id: CommandId) -> Error {
    Error::NotFound { what: "command", id: id.to_string() }
}

pub(super) async fn cancel(Authenticated(hive): Authenticated, Path(id): Path<CommandId>) -> ApiResult<CommandInfo> {
    let command = hive.commands().cancel(id).await?;
    Ok(ok(command))
}
