//! Commands that their satellite sends back: it has no room for them now, and did not start them.

use std::sync::Arc;

use hive_wire::CommandId;
use hive_wire::agent::close;
use hive_wire::api::CommandStatus;
use tracing::{debug, warn};

use super::Commands;
use super::in_flight::CommandMeta;
use super::links::CommandLink;
use super::queue::QueuedCommand;
use crate::Result;
use crate::store::CommandRow;

impl Commands {
    /// Takes back a command that its satellite cannot run now.
    ///
    /// # Errors
    /// `InvalidInput` where the satellite reports too many commands that it was not given.
    pub(crate) async fn on_busy(self: &Arc<Self>, link: &CommandLink, id: CommandId) -> Result<()> {
        if self.in_flight.meta(id, link.satellite()).is_none() {
            return self.note_unknown(link.satellite(), id).await;
        }
        let (commands, link) = (self.clone(), link.clone());
        self.context.spawn_until_shutdown(async move {
            let retry = commands.context.retry_window();
            let requeued = loop {
                let requeued = commands.requeue(&link, id).await;
                if !retry.should_retry(&requeued).await {
                    break requeued;
                }
            };
            if let Err(error) = requeued {
                warn!(command.id = %id, error = %error, "a command that was sent back is not queued again");
                link.handle.close(close::GOING_AWAY, "the server cannot deliver now");
            }
        });
        Ok(())
    }

    /// Queues a command again, or ends it where its time is up or it was cancelled meanwhile.
    async fn requeue(self: &Arc<Self>, link: &CommandLink, id: CommandId) -> Result<()> {
        let satellite = link.satellite();
        let row = self.store.command_get(id).await?.filter(|row| row.satellite_id == satellite);
        let Some(row) = row else {
            warn!(satellite.id = %satellite, command.id = %id, "a command was sent back that this satellite was not given");
            return Ok(());
        };
        if !self.store.command_requeue(id, self.context.now()).await? {
            debug!(command.id = %id, "a command that was sent back had started or ended before");
            return Ok(());
        }
        let now = self.context.steady();
        link.queue.window().sent_back(id, now);
        let row = CommandRow { status: CommandStatus::Queued, journal_id: None, ..row };
        // A cancel that was sent meanwhile found no program to end, so that the satellite reports no end for it.
        let is_cancelled = self.in_flight.is_cancelled(id) || self.is_of_cancelled_job(row.job_id);
        let end = match () {
            () if is_cancelled => Some(CommandStatus::Cancelled),
            () if row.expires_at <= now => Some(CommandStatus::Expired),
            () => None,
        };
        if let Some(status) = end {
            return self.end_without_satellite(&row, status).await.map(drop);
        }
        self.report_status(id, &CommandMeta::from(&row), CommandStatus::Queued, None);
        let queued = QueuedCommand::of(&row);
        // The satellite may have another link by now.
        let is_queued = self.links.get(satellite).is_some_and(|link| self.enqueue(&link, queued));
        // Without a link a job has to give its command another turn. All others wait in the store for the next link.
        if !is_queued {
            self.return_turns([queued]);
        }
        Ok(())
    }
}
