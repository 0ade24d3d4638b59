//! Handing commands to links.

use std::time::Duration;

use futures_util::future::BoxFuture;
use hive_wire::agent::{Command, Payload, Received, ToAgent, close};
use hive_wire::api::CommandStatus;
use hive_wire::{CommandId, SatelliteId, Timestamp};
use tracing::{debug, warn};

use super::in_flight::Context;
use super::queue::{Class, Waiting};
use crate::audit::AuditDraft;
use crate::hive::Hive;
use crate::link::Outgoing;
use crate::links::Live;
use crate::satellites::registry;
use crate::store::{CommandOutcome, CommandRow, Delivery};
use crate::{Error, Result};

/// What a command that was not ended by its satellite tells.
pub(crate) fn ended(
    status: CommandStatus,
    now: Timestamp,
    error: Option<hive_wire::agent::ErrorBody>,
) -> CommandOutcome {
    CommandOutcome {
        status,
        exit_code: None,
        duration_ms: None,
        truncated: false,
        error,
        finished_at: now,
        output: Vec::new(),
    }
}

/// A command that is stored as delivered, and to be sent.
pub(crate) struct Prepared {
    pub(crate) id: CommandId,
    pub(crate) satellite: SatelliteId,
    pub(crate) class: Class,
    pub(crate) payload: Payload,
    pub(crate) expires_at: Timestamp,
    /// Whether a journal was told of its start before.
    pub(crate) started: bool,
}

impl Hive {
    /// A hand-over to the journal behind a link, now.
    pub(crate) fn delivery(&self, live: &Live) -> Delivery {
        Delivery { journal_id: live.journal_id.to_string(), at: self.source().steady(), expires_at: None }
    }

    /// Sends a command that the store has as delivered. A link that is gone is no error: the command is sent again with
    /// the next one.
    pub(crate) fn send_command(
        &self,
        live: &Live,
        id: CommandId,
        payload: Payload,
        expires_in: Duration,
        started: bool,
    ) {
        let Some(received) = self.inner.running.received(id) else {
            // It was ended since it was stored, with its satellite's removal or change of team.
            return live.queue.end(id);
        };
        let expires_in_ms = expires_in.as_millis() as u64;
        let now = self.source().steady();
        let command = Box::new(Command { id, expires_in_ms, sent_at: Some(now), received, started, payload });
        self.inner.running.sent(id, now);
        if live.send(Outgoing::Control(ToAgent::Command(command))).is_err() {
            debug!(command.id = %id, "command waits for the satellite's next link");
        } else if self.inner.running.is_cancelled(id) {
            // The cancel may have come before the command did.
            live.pass(Outgoing::Control(ToAgent::CommandCancel { id }));
        }
    }

    /// Starts to bring everything that is open for a satellite to its link. Where that fails the link is closed: the next
    /// one starts anew.
    pub(crate) fn start_delivery(&self, satellite: SatelliteId, live: Live) {
        let hive = self.clone();
        self.inner.tasks.spawn(async move {
            let insistence = hive.insist();
            let delivered = loop {
                let delivered = hive.deliver_open(satellite, &live).await;
                if !insistence.wants_another(&delivered).await {
                    break delivered;
                }
            };
            if let Err(error) = delivered {
                warn!(satellite.id = %satellite, error = %error, "open commands not delivered");
                live.close(close::GOING_AWAY, "the server cannot deliver now");
            }
        });
    }

    /// Brings everything that is open for a satellite to its link: queued commands are handed over, those of this journal
    /// are sent again, and of those of another journal nobody can say what became of them.
    async fn deliver_open(&self, satellite: SatelliteId, live: &Live) -> Result<()> {
        let Some(row) = self.store().satellite_get(satellite).await? else {
            return Ok(());
        };
        self.cancel_revoked(satellite, live).await?;
        if !registry::is_usable(&row.status) {
            return Ok(());
        }
        let in_flight = self.store().command_list_in_flight(satellite).await?;
        for command in &in_flight {
            live.queue.begin(command.id, Class::of(&command.command_type));
        }
        for command in in_flight {
            if live.ready().await.is_err() {
                return Ok(());
            }
            let cancelled = command.job_id.filter(|job| self.inner.jobs.is_stopped(*job)).map(|_| command.id);
            self.deliver(command, live, None).await?;
            if let Some(id) = cancelled {
                live.pass(Outgoing::Control(ToAgent::CommandCancel { id }));
            }
        }
        self.open_queue(satellite, live).await?;
        for job in self.store().command_list_waiting_jobs(satellite).await? {
            // Who has a turn is its job's to say.
            self.inner.jobs.wake(job);
        }
        Ok(())
    }

    /// Brings one open command to a link, whether there is a place for it or not. A job says with its turn how long from now
    /// on the command may start.
    pub(crate) async fn deliver(&self, row: CommandRow, live: &Live, turn: Option<Duration>) -> Result<()> {
        live.queue.begin(row.id, Class::of(&row.command_type));
        match self.prepare(row, live, turn).await? {
            Some(prepared) => self.hand_to_link(prepared, live).await,
            None => Ok(()),
        }
    }

    /// Stores that a command is delivered; `None` where it is over. Then, and where that fails, its place is free again.
    pub(crate) async fn prepare(
        &self,
        row: CommandRow,
        live: &Live,
        turn: Option<Duration>,
    ) -> Result<Option<Prepared>> {
        let id = row.id;
        let prepared = self.try_prepare(row, live, turn).await;
        if !matches!(prepared, Ok(Some(_))) {
            live.queue.end(id);
        }
        prepared
    }

    async fn try_prepare(&self, row: CommandRow, live: &Live, turn: Option<Duration>) -> Result<Option<Prepared>> {
        let now = self.source().steady();
        let is_known = row.journal_id.as_deref() == Some(&*live.journal_id);
        let is_under_way = row.status != CommandStatus::Queued;
        if !is_under_way && row.expires_at <= now {
            return self.end_without_satellite(&row, CommandStatus::Expired).await.map(|_| None);
        }
        if is_under_way && !is_known && !row.idempotent {
            return self.end_without_satellite(&row, CommandStatus::OutcomeUnknown).await.map(|_| None);
        }
        let payload = match self.payload_of(&row).await {
            Ok(payload) => payload,
            Err(error @ Error::Unavailable(_)) => return Err(error),
            Err(error) => {
                warn!(command.id = %row.id, error = %error, "stored command cannot be read");
                return self.end_without_satellite(&row, CommandStatus::OutcomeUnknown).await.map(|_| None);
            }
        };
        let stored =
            if is_under_way && is_known { self.store().command_output_len(row.id).await? } else { Received::default() };
        self.inner.running.begin(row.id, Context::from(&row), stored);
        let expires_at = turn.filter(|_| !is_under_way).map(|turn| now.plus(turn));
        let delivery = Delivery { expires_at, ..self.delivery(live) };
        if !is_known && !self.store().command_deliver(row.id, delivery).await? {
            self.inner.jobs.look_again(row.job_id);
            self.end_if_over(row.id).await?;
            return Ok(None);
        }
        if is_known && self.end_if_over(row.id).await? {
            return Ok(None);
        }
        Ok(Some(Prepared {
            id: row.id,
            satellite: row.satellite_id,
            class: Class::of(&row.command_type),
            payload,
            expires_at: expires_at.unwrap_or(row.expires_at),
            // A journal that was told of the start of a command knows it, or is another one. Idempotent ones may start again.
            started: row.status == CommandStatus::Started && !row.idempotent,
        }))
    }

    /// Sends a command that is stored as delivered to the journal behind a link. It goes over the link of now: one that opened
    /// before it was stored has not seen it.
    pub(crate) async fn hand_to_link(&self, prepared: Prepared, live: &Live) -> Result<()> {
        let Prepared { id, satellite, class, payload, expires_at, started } = prepared;
        match self.inner.links.get(satellite) {
            Some(now) if now.journal_id == live.journal_id => {
                now.queue.begin(id, class);
                self.send_command(&now, id, payload, expires_at.since(self.source().steady()), started);
                Ok(())
            }
            Some(now) => self.deliver_again(id, &now).await,
            None => Ok(()),
        }
    }

    /// The same, once the link has room. Whoever gave the command does not wait for that.
    pub(crate) fn hand_over_when_ready(&self, prepared: Prepared, live: Live) {
        let hive = self.clone();
        self.inner.tasks.spawn(self.inner.shutdown.clone().run_until_cancelled_owned(async move {
            let id = prepared.id;
            live.ready().await.ok();
            if let Err(error) = hive.hand_to_link(prepared, &live).await {
                warn!(command.id = %id, error = %error, "command waits for the satellite's next link");
            }
        }));
    }

    /// Brings a command that missed its link to the one that is there now.
    pub(crate) fn deliver_again<'a>(&'a self, id: CommandId, live: &'a Live) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Some(row) = self.store().command_get(id).await? else { return Ok(()) };
            if row.status.is_terminal() {
                return Ok(());
            }
            if row.status != CommandStatus::Queued {
                return self.deliver(row, live, None).await;
            }
            // A job gives its commands their turns by itself.
            if row.job_id.is_none() {
                self.enqueue(row.satellite_id, live, Waiting::of(&row));
            }
            Ok(())
        })
    }

    /// Looks whether a command has ended since its row was read. Then nobody else would tell those who wait for it here.
    async fn end_if_over(&self, id: CommandId) -> Result<bool> {
        let is_over = self.store().command_get(id).await?.is_none_or(|row| row.status.is_terminal());
        if is_over {
            self.inner.running.end(id, None);
        }
        Ok(is_over)
    }

    /// Ends a command without its satellite's word, and tells who waits. False where it was queued, and has been handed over
    /// since its row was read.
    pub(crate) async fn end_without_satellite(&self, row: &CommandRow, status: CommandStatus) -> Result<bool> {
        let (id, context) = (row.id, Context::from(row));
        let outcome = ended(status, self.source().now(), None);
        if row.status != CommandStatus::Queued {
            return self.finish(id, &context, outcome).await.map(|()| true);
        }
        let records = self.records_of_end(id, &context, &outcome);
        let is_first = self.store().command_finish_queued(id, outcome.clone(), records).await?;
        let is_over = is_first || self.store().command_get(id).await?.is_none_or(|row| row.status.is_terminal());
        if is_over {
            self.on_finished(id, &context, outcome, is_first);
        }
        Ok(is_over)
    }

    /// Gives a command its end, in the store first. A command that had ended before keeps that end.
    pub(crate) async fn finish(&self, id: CommandId, context: &Context, outcome: CommandOutcome) -> Result<()> {
        let records = self.records_of_end(id, context, &outcome);
        let is_first = self.store().command_finish(id, outcome.clone(), records).await?;
        self.on_finished(id, context, outcome, is_first);
        Ok(())
    }

    /// The job's own record speaks for its commands.
    fn records_of_end(&self, id: CommandId, context: &Context, outcome: &CommandOutcome) -> Vec<AuditDraft> {
        if context.job.is_none() { vec![self.outcome_record(id, context, outcome)] } else { Vec::new() }
    }

    /// Tells who waits that a command has ended, by this or before it.
    fn on_finished(&self, id: CommandId, context: &Context, outcome: CommandOutcome, is_first: bool) {
        match context.job {
            Some(job) if is_first => self.inner.jobs.ended(job, id, outcome.status.clone(), outcome.exit_code),
            Some(job) => self.inner.jobs.look_again(Some(job)),
            None => {}
        }
        if is_first {
            let caller = context.job.is_none().then_some(&*context.actor.id);
            self.inner.open.remove(context.satellite, caller);
        }
        self.inner.running.end(id, is_first.then_some(outcome));
        self.free_place(context.satellite, id);
    }
}
