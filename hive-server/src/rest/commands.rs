//! Accepted commands: their state, output and cancellation.

use axum::response::Response;
use hive_core::Error;
use hive_core::wire::api::{CommandInfo, CommandQuery, CommandSort, OutputQuery, PageRequest};
use hive_core::wire::{CommandId, SatelliteId};

use super::{ApiResult, ok, output, paged};
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::{Path, Query};
use crate::routes::{Operation, Reach, Routes};
use crate::state::AppState;
use hive_core::access::Permission;

pub(super) fn routes() -> Routes<AppState> {
    let of = |id, summary, permission| {
        Operation::new(id, summary).permission(permission, Reach::Command).path::<CommandId>("The command.")
    };
    Routes::tagged("commands")
        .get(
            "/api/v1/satellites/{id}/commands",
            list,
            Operation::new("satellite_command_list", "Lists the commands of a satellite")
                .permission(Permission::SatellitesRead, Reach::Satellite)
                .path::<SatelliteId>("The satellite.")
                .query::<PageRequest<CommandSort>>()
                .answer_page::<CommandInfo>("A part of the commands, without their output."),
        )
        .get(
            "/api/v1/commands/{id}",
            get,
            of("command_get", "Returns a command with its output so far", Permission::SatellitesRead)
                .query::<CommandQuery>()
                .answer::<CommandInfo>(200, "The command."),
        )
        .get(
            "/api/v1/commands/{id}/output",
            output,
            of("command_output", "Returns the bytes of one output of a command", Permission::CommandsRead)
                .query::<OutputQuery>()
                .answer_raw(200, "application/octet-stream", "The bytes."),
        )
        .post(
            "/api/v1/commands/{id}/cancel",
            cancel,
            of("command_cancel", "Cancels a command", Permission::SatellitesExec)
                .description(
                    "A command that runs is killed with all of its processes. One that has ended is left as it is.",
                )
                .keeps_answer()
                .answer::<CommandInfo>(200, "The command."),
        )
}

pub(super) async fn list(
    Authenticated(hive): Authenticated,
    Path(satellite): Path<SatelliteId>,
    Query(page): Query<PageRequest<CommandSort>>,
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
