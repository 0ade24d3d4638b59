//! Handing commands to links.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hive_wire::agent::{Command, Payload, Received, ToAgent, close};
use hive_wire::api::CommandStatus;
use hive_wire::stream::Lane;
use hive_wire::{CommandId, SatelliteId, Timestamp};
use tracing::{debug, warn};

use super::in_flight::CommandMeta;
use super::links::CommandLink;
use super::queue::{CommandClass, QueuedCommand};
use super::{CommandEvent, Commands};
use crate::link::lane;
use crate::store::{CommandRow, Delivery};
use crate::{Error, Result};

/// A command that is stored as delivered, and to be sent.
pub(crate) struct PreparedCommand {
    pub(super) id: CommandId,
    pub(super) satellite: SatelliteId,
    pub(super) class: CommandClass,
    pub(super) payload: Payload,
    pub(super) expires_at: Timestamp,
    /// Whether a journal recorded its start before.
    pub(super) started: bool,
}

impl PreparedCommand {
    /// The lane of its message.
    pub(super) fn lane(&self) -> Lane {
        lane::of_payload(&self.payload)
    }
}

impl Commands {
    /// The hand-over to the journal behind a link, now.
    pub(super) fn delivery(&self, link: &CommandLink) -> Delivery {
        Delivery { journal_id: link.handle.journal_id.to_string(), at: self.context.steady(), expires_at: None }
    }

    /// Starts to bring everything that is open for a satellite to its link. Where that fails, the link is closed and the next
    /// one starts anew.
    pub(crate) fn start_delivery(self: &Arc<Self>, link: CommandLink) {
        let commands = self.clone();
        self.context.spawn(async move {
            let retry = commands.context.retry_window();
            let delivered = loop {
                let delivered = commands.deliver_open(&link).await;
                if !retry.should_retry(&delivered).await {
                    break delivered;
                }
            };
            if let Err(error) = delivered {
                warn!(satellite.id = %link.satellite(), error = %error, "open commands not delivered");
                link.handle.close(close::GOING_AWAY, "the server cannot deliver now");
            }
        });
    }

    /// Brings everything that is open for a satellite to its link: queued commands are handed over, those of this journal are
    /// sent again, and the outcome of those of another journal is unknown.
    async fn deliver_open(self: &Arc<Self>, link: &CommandLink) -> Result<()> {
        let satellite = link.satellite();
        let Some(open) = self.satellite_store.satellite_open_work(satellite).await? else {
            return Ok(());
        };
        if open.has_revoked {
            // Before the status is checked: a satellite that accepts no commands may still run those that were revoked.
            self.cancel_revoked(link).await?;
        }
        if !open.status.accepts_commands() {
            return Ok(());
        }
        if !open.has_commands {
            // What is stored from here on finds the link, and is offered to its queue.
            link.queue.window().open(Vec::new());
            self.start_hand_over(link);
            return Ok(());
        }
        let in_flight = self.store.command_list_in_flight(satellite).await?;
        // All slots are taken before the first command is sent: a new command must not get a slot that is not free.
        for (id, command_type) in &in_flight {
            link.queue.begin(*id, CommandClass::of(command_type));
        }
        for (id, _) in in_flight {
            if link.handle.wait_for_commands().await.is_err() {
                return Ok(());
            }
            let delivered = self.deliver_in_flight(id, link).await;
            self.pass_over_unreadable(link, id, delivered)?;
        }
        // The queue opens last: until then no new command gets a slot, and none overtakes those of before.
        self.fill_queue(link).await?;
        for job in self.store.command_list_waiting_jobs(satellite).await? {
            // The job decides which of its commands has its turn.
            self.emit(&CommandEvent::SatelliteReady { job });
        }
        Ok(())
    }

    /// Brings a command that was handed over before to a new link of its satellite.
    async fn deliver_in_flight(self: &Arc<Self>, id: CommandId, link: &CommandLink) -> Result<()> {
        let row = self.store.command_get(id).await?;
        let is_in_flight = |row: &CommandRow| !row.status.is_terminal() && row.status != CommandStatus::Queued;
        let Some(row) = row.filter(is_in_flight) else {
            // It has ended since it was listed, or is queued again.
            link.queue.end(id);
            return Ok(());
        };
        let job = row.job_id;
        self.deliver(row, link, None).await?;
        // Its job may have been cancelled while the satellite was away.
        if self.is_of_cancelled_job(job) {
            link.send_cancel(id);
        }
        Ok(())
    }

    /// Checks the result of work on one command for a link. A command that cannot be read gets no slot, and the link stays for the
    /// others.
    pub(super) fn pass_over_unreadable<T>(
        &self,
        link: &CommandLink,
        id: CommandId,
        result: Result<T>,
    ) -> Result<Option<T>> {
        let passed = self.context.unreadable_rows().pass_over("command", id, result)?;
        if passed.is_none() {
            link.queue.end(id);
        }
        Ok(passed)
    }

    /// Brings one open command to a link, whether there is a slot for it or not. A job gives the time, from now on, within which
    /// the command may start.
    pub(super) async fn deliver(
        self: &Arc<Self>,
        row: CommandRow,
        link: &CommandLink,
        expires_in: Option<Duration>,
    ) -> Result<()> {
        link.queue.begin(row.id, CommandClass::of(&row.command_type));
        match self.prepare(row, link, expires_in).await? {
            Some(prepared) => self.send_prepared(prepared, link).await,
            None => Ok(()),
        }
    }

    /// Stores that a command is delivered; `None` where it has ended. Then, and where that fails, its slot is free again.
    pub(super) async fn prepare(
        self: &Arc<Self>,
        row: CommandRow,
        link: &CommandLink,
        expires_in: Option<Duration>,
    ) -> Result<Option<PreparedCommand>> {
        let id = row.id;
        let prepared = self.try_prepare(row, link, expires_in).await;
        if !matches!(prepared, Ok(Some(_))) {
            link.queue.end(id);
        }
        prepared
    }

    async fn try_prepare(
        self: &Arc<Self>,
        row: CommandRow,
        link: &CommandLink,
        expires_in: Option<Duration>,
    ) -> Result<Option<PreparedCommand>> {
        let now = self.context.steady();
        let is_known = row.journal_id.as_deref() == Some(&*link.handle.journal_id);
        let is_handed_over = row.status != CommandStatus::Queued;
        if !is_handed_over && row.expires_at <= now {
            return self.end_without_satellite(&row, CommandStatus::Expired).await.map(|_| None);
        }
        // Only the journal that had it knows whether it ran, and a command runs at most once.
        if is_handed_over && !is_known && !row.idempotent {
            return self.end_without_satellite(&row, CommandStatus::OutcomeUnknown).await.map(|_| None);
        }
        let payload = match self.payload_of(&row).await {
            Ok(payload) => payload,
            // The storage may be back soon. That must not end the command.
            Err(error @ Error::Unavailable(_)) => return Err(error),
            Err(error) => {
                warn!(command.id = %row.id, error = %error, "stored command cannot be read");
                return self.end_without_satellite(&row, CommandStatus::OutcomeUnknown).await.map(|_| None);
            }
        };
        // The journal that has the command sends its output from where the store ends. Any other begins anew.
        let stored =
            if is_handed_over && is_known { self.store.command_output_len(row.id).await? } else { Received::default() };
        // Before the store has it as delivered: whoever ends it from then on finds it here.
        self.in_flight.begin(row.id, CommandMeta::from(&row), stored);
        // Sent again, it keeps the expiry of its first hand-over.
        let expires_at = expires_in.filter(|_| !is_handed_over).map(|expires_in| now.plus(expires_in));
        let delivery = Delivery { expires_at, ..self.delivery(link) };
        if !is_known && !self.store.command_deliver(row.id, delivery).await? {
            self.emit_job_changed(row.job_id);
            self.remove_if_ended(row.id).await?;
            return Ok(None);
        }
        // Nothing was written here that would have failed, so that the row is read again.
        if is_known && self.remove_if_ended(row.id).await? {
            return Ok(None);
        }
        Ok(Some(PreparedCommand {
            id: row.id,
            satellite: row.satellite_id,
            class: CommandClass::of(&row.command_type),
            payload,
            expires_at: expires_at.unwrap_or(row.expires_at),
            // A journal that recorded the start of a command knows it, or is another one. Idempotent ones may start again.
            started: row.status == CommandStatus::Started && !row.idempotent,
        }))
    }

    /// Sends a command that is stored as delivered to the journal behind a link. It goes over the satellite's newest link: one that
    /// opened before the command was stored did not find it in the store.
    pub(super) async fn send_prepared(self: &Arc<Self>, prepared: PreparedCommand, link: &CommandLink) -> Result<()> {
        match self.links.get(prepared.satellite) {
            Some(now) if now.handle.journal_id == link.handle.journal_id => {
                now.queue.begin(prepared.id, prepared.class);
                self.send(prepared, &now);
                Ok(())
            }
            Some(now) => self.deliver_again(prepared.id, &now).await,
            // It is stored as delivered: the next link sends it.
            None => Ok(()),
        }
    }

    /// Sends a command as soon as the link has room, without making the caller wait for that.
    pub(super) fn send_when_ready(self: &Arc<Self>, prepared: PreparedCommand, link: CommandLink) {
        let commands = self.clone();
        self.context.spawn_until_shutdown(async move {
            let id = prepared.id;
            // Where the link is closed, `send_prepared` takes the newest one.
            link.handle.wait_for_capacity(prepared.lane()).await.ok();
            if let Err(error) = commands.send_prepared(prepared, &link).await {
                warn!(command.id = %id, error = %error, "command waits for the satellite's next link");
            }
        });
    }

    /// Sends a command. A closed link is no error: the command is sent again with the next one.
    pub(super) fn send(&self, prepared: PreparedCommand, link: &CommandLink) {
        let PreparedCommand { id, payload, expires_at, started, .. } = prepared;
        let Some(received) = self.in_flight.received(id) else {
            // It was ended since it was stored, with its satellite's removal or change of team.
            return link.queue.end(id);
        };
        let now = self.context.steady();
        // Relative, because the clocks of server and satellite differ.
        let expires_in_ms = expires_at.since(now).as_millis() as u64;
        let command = Box::new(Command { id, expires_in_ms, sent_at: Some(now), received, started, payload });
        self.in_flight.note_sent(id, now);
        if link.handle.send(ToAgent::Command(command)).is_err() {
            debug!(command.id = %id, "command waits for the satellite's next link");
        } else if self.in_flight.is_cancelled(id) {
            // The cancel may have been sent before the command.
            link.send_cancel(id);
        }
    }

    /// Brings a command that missed its link to the one that is there now.
    pub(super) fn deliver_again<'a>(
        self: &'a Arc<Self>,
        id: CommandId,
        link: &'a CommandLink,
    ) -> BoxFuture<'a, Result<()>> {
        // Boxed, because `deliver` gets here again by `send_prepared`.
        Box::pin(async move {
            let Some(row) = self.store.command_get(id).await? else { return Ok(()) };
            if row.status.is_terminal() {
                return Ok(());
            }
            if row.status != CommandStatus::Queued {
                return self.deliver(row, link, None).await;
            }
            // A job gives its commands their turns by itself.
            if row.job_id.is_none() {
                self.enqueue(link, QueuedCommand::of(&row));
            }
            Ok(())
        })
    }
}
