//! Handing commands to links.

use std::time::Duration;

use hive_wire::agent::{Command, Received, ToAgent, close};
use hive_wire::api::CommandStatus;
use hive_wire::{CommandId, SatelliteId, Timestamp};
use tracing::{debug, warn};

use super::links::Live;
use super::running::Context;
use super::{Hive, registry};
use crate::audit::AuditDraft;
use crate::link::Outgoing;
use crate::store::{CommandOutcome, CommandRow, Delivery};
use crate::{Error, Result};

/// What a command that was not ended by its satellite tells.
pub(super) fn ended(
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

impl Hive {
    /// A hand-over to the journal behind a link, now.
    pub(super) fn delivery(&self, live: &Live) -> Delivery {
        Delivery { journal_id: live.journal_id.to_string(), at: self.source().steady(), expires_at: None }
    }

    /// Sends a command that the store has as delivered. A link that is gone is no error: the command is sent again with
    /// the next one.
    pub(super) fn send_command(
        &self,
        live: &Live,
        id: CommandId,
        payload: hive_wire::agent::Payload,
        expires_in: Duration,
        started: bool,
    ) {
        let Some(received) = self.inner.running.received(id) else {
            // It was ended since it was stored, with its satellite's removal or change of team.
            return;
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
    pub(super) fn start_delivery(&self, satellite: SatelliteId, live: Live) {
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
        for command in self.store().command_list_open(satellite).await? {
            if let (CommandStatus::Queued, Some(job)) = (&command.status, command.job_id) {
                // Who has a turn is its job's to say.
                self.inner.jobs.wake(job);
                continue;
            }
            if live.ready().await.is_err() {
                return Ok(());
            }
            let cancelled = command.job_id.filter(|job| self.inner.jobs.is_stopped(*job)).map(|_| command.id);
            self.deliver(command, live, None).await?;
            if let Some(id) = cancelled {
                live.pass(Outgoing::Control(ToAgent::CommandCancel { id }));
            }
        }
        Ok(())
    }

    /// Brings one open command to a link. A job says with its turn how long from now on the command may start.
    pub(super) async fn deliver(&self, row: CommandRow, live: &Live, turn: Option<Duration>) -> Result<()> {
        let now = self.source().steady();
        let is_known = row.journal_id.as_deref() == Some(&*live.journal_id);
        let is_under_way = row.status != CommandStatus::Queued;
        if !is_under_way && row.expires_at <= now {
            return self.end_without_satellite(&row, CommandStatus::Expired).await.map(drop);
        }
        if is_under_way && !is_known && !row.idempotent {
            return self.end_without_satellite(&row, CommandStatus::OutcomeUnknown).await.map(drop);
        }
        let payload = match self.payload_of(&row).await {
            Ok(payload) => payload,
            Err(error @ Error::Unavailable(_)) => return Err(error),
            Err(error) => {
                warn!(command.id = %row.id, error = %error, "stored command cannot be read");
                return self.end_without_satellite(&row, CommandStatus::OutcomeUnknown).await.map(drop);
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
            return Ok(());
        }
        if is_known && self.end_if_over(row.id).await? {
            return Ok(());
        }
        // A journal that was told of the start of a command knows it, or is another one. Idempotent ones may start again.
        let started = row.status == CommandStatus::Started && !row.idempotent;
        self.send_command(live, row.id, payload, expires_at.unwrap_or(row.expires_at).since(now), started);
        Ok(())
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
    pub(super) async fn end_without_satellite(&self, row: &CommandRow, status: CommandStatus) -> Result<bool> {
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
    pub(super) async fn finish(&self, id: CommandId, context: &Context, outcome: CommandOutcome) -> Result<()> {
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
        self.inner.running.end(id, is_first.then_some(outcome));
    }
}
