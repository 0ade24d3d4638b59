//! Commands as callers look them up.

use hive_wire::api::{CommandInfo, CommandSort, Page, PageRequest};
use hive_wire::{CommandId, SatelliteId};

use super::Commands;
use super::result::info;
use crate::access::{Permission, Principal, ResourceScope, visible_scope};
use crate::authorization::{authorize, hidden_now, tags_for};
use crate::lists::listing::Listing;
use crate::redaction::{may_read, redact_command};
use crate::store::CommandRow;
use crate::{Error, Result};

impl Commands {
    /// Finds a command that was given in a team where the principal has the permission.
    pub(crate) async fn find_for(
        &self,
        principal: &Principal,
        id: CommandId,
        permission: &Permission,
    ) -> Result<Option<CommandRow>> {
        let Some(row) = self.store.command_get(id).await? else {
            return Ok(None);
        };
        let hidden = || Error::NotFound { what: "command", id: id.to_string() };
        let tags = tags_for(self.satellite_store.as_ref(), principal, row.satellite_id).await?;
        let scope = ResourceScope::Satellite { team: row.team_id, tags: &tags };
        match authorize(principal, permission, scope, hidden) {
            Ok(()) => Ok(Some(row)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lists a satellite's commands that were given in a team of the principal's. The satellite may be of another team by now.
    pub(crate) async fn list(
        &self,
        principal: &Principal,
        satellite: SatelliteId,
        page: PageRequest<CommandSort>,
    ) -> Result<Page<CommandInfo>> {
        let listing = Listing::of_rows(&("commands", satellite), page)?;
        let permission = &Permission::SatellitesRead;
        let hidden = hidden_now(self.satellite_store.as_ref(), principal, satellite, permission).await?;
        let visible = visible_scope(principal, permission);
        let (rows, total) = self.store.command_list(satellite, &visible, listing.range()).await?;
        // Commands that were given in a team of the caller are listed, also where the satellite is hidden from it by
        // now.
        if let Some(hidden) = hidden.filter(|_| total == 0) {
            return Err(hidden);
        }
        Ok(listing.answer((rows, total), |row| {
            let is_readable = may_read(principal, [row.team_id]);
            let mut info = info(row);
            if !is_readable {
                redact_command(&mut info);
            }
            info
        }))
    }
}
