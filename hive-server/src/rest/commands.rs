//! Commands that were accepted.

use hive_core::wire::api::CommandInfo;
use hive_core::wire::{CommandId, SatelliteId};
use hive_core::{CommandRouter, Error};

use super::{Answer, ok, page};
use crate::auth::Caller;
use crate::extract::{Paging, Pairs, Path};

pub(super) async fn list(
    Caller(hive): Caller,
    Path(satellite): Path<SatelliteId>,
    Paging(wanted): Paging,
) -> Answer<Vec<CommandInfo>> {
    let found = hive.command_list(satellite, wanted).await?;
    Ok(page(found))
}

pub(super) async fn get(Caller(hive): Caller, Path(id): Path<CommandId>, query: Pairs) -> Answer<CommandInfo> {
    let encoding = query.word("encoding")?.unwrap_or_default();
    let found = hive.command_get(id, encoding).await?;
    Ok(ok(found.ok_or_else(|| Error::NotFound { what: "command", id: id.to_string() })?))
}

pub(super) async fn cancel(Caller(hive): Caller, Path(id): Path<CommandId>) -> Answer<CommandInfo> {
    let command = hive.command_cancel(id).await?;
    Ok(ok(command))
}
