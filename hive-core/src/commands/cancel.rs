//! Cancelling a command.

use std::sync::Arc;

use hive_wire::agent::ToAgent;
use hive_wire::api::CommandStatus;
use hive_wire::{CommandId, SatelliteId};
use serde_json::json;

use super::Commands;
use crate::access::{Permission, Principal};
use crate::audit::AuditAction;
use crate::audit::draft::{Subject, intent};
use crate::store::CommandRow;
use crate::{Error, Result};

impl Commands {
    /// Cancels a command, unless it has ended.
    pub(crate) async fn cancel(self: &Arc<Self>, principal: &Principal, id: CommandId) -> Result<()> {
        let no_command = || Error::NotFound { what: "command", id: id.to_string() };
        let row = self.find_for(principal, id, &Permission::SatellitesExec).await?.ok_or_else(no_command)?;
        if row.status.is_terminal() {
            return Ok(());
        }
        // A small record may find room on a full disk where the outcome does not.
        self.context.check_disk().await?;
        let subject = Subject::new(id).of_team(row.team_id);
        let details = json!({ "satellite_id": row.satellite_id });
        let record = intent(&self.context, principal, AuditAction::CommandCancel, subject, details);
        // Recorded before the effect, which is outside of the database.
        self.audit.audit_append(record).await?;
        self.end_by_cancel(row).await
    }

    /// Ends a command: a queued one at once, a running one by its satellite, for which this waits.
    async fn end_by_cancel(self: &Arc<Self>, row: CommandRow) -> Result<()> {
        // False where it was handed over since the row was read: then its satellite has to end it.
        if row.status == CommandStatus::Queued && self.end_without_satellite(&row, CommandStatus::Cancelled).await? {
            return Ok(());
        }
        let offline = || Error::SatelliteOffline(row.satellite_id.to_string());
        let link = self.links.get(row.satellite_id).ok_or_else(offline)?;
        if self.in_flight.follow(row.id).is_none() {
            // Its satellite has just come back, and was not sent the command yet.
            self.deliver_again(row.id, &link).await?;
        }
        // Marked as cancelled before the cancel is sent: where the command itself is still to be sent, its sender sends
        // the cancel again behind it.
        let Some(mut progress) = self.in_flight.cancel(row.id) else {
            return Ok(());
        };
        link.handle.send(ToAgent::CommandCancel { id: row.id }).map_err(|_| offline())?;
        let end = progress.wait_for(|progress| progress.finished.is_some());
        // A process tree that cannot be killed in time leaves the command as it is; the caller sees its status.
        drop(tokio::time::timeout(self.context.settings().result_grace, end).await);
        Ok(())
    }

    /// Asks a satellite to end a command. One that is away is asked when it is back.
    pub(crate) fn cancel_on_satellite(&self, satellite: SatelliteId, id: CommandId) {
        if let Some(link) = self.links.get(satellite) {
            link.send_cancel(id);
        }
    }
}
