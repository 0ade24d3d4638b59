//! Commands that nobody else ends: queued ones past their expiry, and others whose satellite has not reported for too long.

use std::sync::Arc;
use std::time::Duration;

use hive_wire::agent::ErrorBody;
use hive_wire::api::CommandStatus;
use hive_wire::{CommandId, ErrorCode, SatelliteId, Timestamp};

use super::Commands;
use crate::Result;

/// Overdue commands that are ended in one go.
const BATCH: u32 = 500;

impl Commands {
    /// Ends the commands that are overdue.
    pub(crate) async fn end_overdue(self: &Arc<Self>) -> Result<()> {
        let (now, grace) = (self.context.steady(), self.context.settings().lost_grace);
        for id in self.store.command_list_overdue(now, grace, BATCH).await? {
            let ended = self.end_if_overdue(id, now).await;
            // A row that cannot be read must not keep the others from ending.
            self.context.unreadable_rows().pass_over("command", id, ended)?;
        }
        Ok(())
    }

    async fn end_if_overdue(self: &Arc<Self>, id: CommandId, now: Timestamp) -> Result<()> {
        // Listed a moment ago: it may have ended since.
        let Some(row) = self.store.command_get(id).await?.filter(|row| !row.status.is_terminal()) else {
            return Ok(());
        };
        if row.status == CommandStatus::Queued {
            // One that was handed over at the last moment is not overdue.
            self.end_without_satellite(&row, CommandStatus::Expired).await?;
        } else if self.expected_until(row.id, row.timeout_seconds) <= now {
            // The store listed it by its hand-over alone. This process may have heard of it since, or have sent it
            // again, which `expected_until` considers.
            let grace = self.context.settings().lost_grace.as_secs();
            let message = format!("nothing was heard of it until {grace} s after its timeout");
            let reason = ErrorBody { code: ErrorCode::CommandTimeout, message };
            self.end_unreported(&row, CommandStatus::OutcomeUnknown, Some(reason)).await?;
        }
        Ok(())
    }

    /// Returns until when the satellite of a command that was handed over may still report its end. After a start of the hive
    /// each satellite has the grace to come back.
    pub(crate) fn expected_until(&self, id: CommandId, timeout_seconds: u32) -> Timestamp {
        let (timeout, grace) = (Duration::from_secs(timeout_seconds.into()), self.context.settings().lost_grace);
        let sent_from_here = self.in_flight.expected_until(id, timeout, grace);
        sent_from_here.unwrap_or_else(|| self.context.started_at().plus(grace))
    }

    /// Counts the open commands anew, where many have ended at once since they were counted.
    pub(crate) async fn recount_if_stale(&self) -> Result<()> {
        if self.open.take_stale() { self.recount().await } else { Ok(()) }
    }

    /// Counts the open commands.
    pub(crate) async fn recount(&self) -> Result<()> {
        // `take_stale` has cleared the mark: after a failure it is set again, so that the next round counts.
        let counted = self.store.command_count_open().await.inspect_err(|_| self.open.mark_stale())?;
        self.open.replace(counted);
        Ok(())
    }

    /// Notes that many commands have ended at once in the store.
    pub(crate) fn mark_counts_stale(&self) {
        self.open.mark_stale();
    }

    /// Counts a command of a job out that was not stored after all.
    pub(crate) fn uncount(&self, satellite: SatelliteId) {
        self.open.remove(satellite, None);
    }
}
