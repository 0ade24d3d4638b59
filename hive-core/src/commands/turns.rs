//! Commands of jobs whose turn it is.

use std::sync::Arc;
use std::time::Duration;

use hive_wire::Timestamp;
use hive_wire::agent::Received;
use hive_wire::api::CommandStatus;

use super::Commands;
use super::in_flight::CommandMeta;
use super::links::CommandLink;
use super::queue::QueuedCommand;
use crate::Result;
use crate::store::{CommandRow, TurnRow};

/// What came of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The command is on its way to its satellite, or waits for a slot there.
    HandedOver,
    /// The satellite cannot be given anything now.
    Deferred,
}

impl Commands {
    /// Brings a command whose turn it is to its satellite. It may start within `expires_in` from now on.
    pub(crate) async fn hand_over(self: &Arc<Self>, turn: TurnRow, expires_in: Duration) -> Result<Turn> {
        let TurnRow { command: row, satellite } = turn;
        let Some(link) = self.links.get(row.satellite_id) else { return Ok(Turn::Deferred) };
        if !satellite.is_some_and(|status| status.accepts_commands()) {
            return Ok(Turn::Deferred);
        }
        let (id, job, now) = (row.id, row.job_id, self.context.steady());
        let queued = QueuedCommand::of(&row);
        let is_queued = row.status == CommandStatus::Queued;
        // A command that was handed over before is sent again at once: its satellite may run it already.
        if is_queued && !link.queue.reserve(id, queued.class, queued.rank, now) {
            return self.wait_for_slot(&row, &link, now.plus(expires_in)).await;
        }
        self.deliver(row, &link, Some(expires_in)).await?;
        if self.is_of_cancelled_job(job) {
            // The job may have been cancelled before the command was sent.
            link.send_cancel(id);
        }
        Ok(Turn::HandedOver)
    }

    /// Lets a command wait for a slot at its satellite, up to its expiry.
    async fn wait_for_slot(
        self: &Arc<Self>,
        row: &CommandRow,
        link: &CommandLink,
        expires_at: Timestamp,
    ) -> Result<Turn> {
        if !self.store.command_set_expiry(row.id, expires_at).await? {
            // It is not queued any more: the job reads what has become of it.
            self.emit_job_changed(row.job_id);
            return Ok(Turn::HandedOver);
        }
        self.in_flight.begin(row.id, CommandMeta::from(row), Received::default());
        let is_queued = self.enqueue(link, QueuedCommand::of(row));
        Ok(if is_queued { Turn::HandedOver } else { Turn::Deferred })
    }
}
