//! How a command is accepted: counted, stored and, where there is a slot for it, handed over.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hive_wire::agent::Received;
use hive_wire::api::CommandStatus;
use hive_wire::{CommandId, JobId, SatelliteId, Timestamp};
use serde_json::json;

use super::Commands;
use super::dispatch::PreparedCommand;
use super::in_flight::{CommandMeta, SatelliteRef};
use super::payload::{Work, action_of, seal};
use super::queue::{CommandClass, FullQueue, QueuedCommand, Rank};
use super::result::into_answer;
use crate::access::{Permission, Principal};
use crate::audit::draft::{Subject, intent};
use crate::authorization::inactive;
use crate::commands::{ExecOptions, ExecReport};
use crate::idempotency::key_in_use;
use crate::store::{CommandInsertOutcome, NewCommand, SatelliteRow};
use crate::{Error, Result};

/// How a command is accepted, apart from what it does.
pub(crate) struct AcceptOptions {
    pub(crate) idempotency_key: Option<String>,
    /// Whether a call waits for its end: then it is immediate unless the request has a priority.
    pub(crate) is_awaited: bool,
}

impl Commands {
    /// Checks that commands may be given to a satellite. Returns whether it is online.
    pub(crate) fn check_usable(&self, row: &SatelliteRow) -> Result<bool> {
        if !row.status.accepts_commands() {
            return Err(inactive(row));
        }
        Ok(self.presence.is_online(row.id))
    }

    /// Checks that commands may be given to a satellite, and that it is online.
    pub(crate) fn check_online(&self, row: &SatelliteRow) -> Result<()> {
        if self.check_usable(row)? { Ok(()) } else { Err(Error::SatelliteOffline(row.name.to_string())) }
    }

    /// Runs a command on a satellite that is online, and waits for its end.
    pub(crate) async fn run(
        self: &Arc<Self>,
        principal: &Principal,
        row: SatelliteRow,
        work: Work,
        options: ExecOptions,
    ) -> Result<ExecReport> {
        // Before anything is stored: a call that waits leaves no command behind for an offline satellite.
        self.check_online(&row)?;
        let timeout = self.call_timeout(work.timeout_seconds);
        let satellite = SatelliteRef { satellite: row.id, name: row.name.clone() };
        let accept = AcceptOptions { idempotency_key: options.idempotency_key, is_awaited: true };
        let id = self.accept(principal, &row, work, accept).await?;
        let snapshot = self.snapshot(id, &satellite, timeout).await?;
        into_answer(id, self.report(id, snapshot, options.encoding).await?).await
    }

    /// Stores a command and, where there is a slot for it, hands it over. A caller that is cancelled changes nothing: a command is
    /// stored and on its way, or was never stored.
    pub(crate) async fn accept(
        self: &Arc<Self>,
        principal: &Principal,
        row: &SatelliteRow,
        work: Work,
        options: AcceptOptions,
    ) -> Result<CommandId> {
        let (commands, principal, row) = (self.clone(), principal.clone(), row.clone());
        self.context
            .run_to_end(async move { commands.store_and_hand_over(&principal, &row, work, options).await })
            .await
    }

    async fn store_and_hand_over(
        self: &Arc<Self>,
        principal: &Principal,
        row: &SatelliteRow,
        work: Work,
        options: AcceptOptions,
    ) -> Result<CommandId> {
        self.context.check_disk_space().await?;
        let AcceptOptions { idempotency_key, is_awaited } = options;
        // What makes two requests the same. Priority and expiry do not count, so that a repetition may have less time
        // left.
        let request = json!([row.id, work.payload, work.timeout_seconds]);
        let key = self.idempotency_key(principal, idempotency_key, &request)?;
        let id = CommandId::new(self.context.seed());
        let rank = work.rank(if is_awaited { Rank::Immediate } else { Rank::Normal });
        let command_type = work.command_type();
        let (class, action) = (CommandClass::of(&command_type), action_of(&command_type));
        let details = work.details(&self.keys.vault).with("command_id", json!(id));
        let record = intent(&self.context, principal, action, Subject::satellite(row), details.into_value());
        let caller = principal.actor().id;
        // Counted before the first await, so that calls at the same time cannot exceed the limit together.
        self.count(row, Some(&caller))?;
        let is_online = self.presence.is_online(row.id);
        let link = self.links.get(row.id);
        // The slot is taken before the command is stored, so that no other call gets it meanwhile.
        let link = link.filter(|link| link.queue.reserve(id, class, rank, self.context.steady()));
        let payload = seal(&work.payload, id, &self.keys.vault, self.context.source());
        let command = self.new_command(principal, id, row, &work, rank, payload);
        // Where it has a slot, it is stored as delivered, so that the hand-over costs no second write.
        let command = command.delivery(link.as_ref().map(|link| self.delivery(link)));
        let (created_at, expires_at) = (command.created_at, command.expires_at);
        // Before it is stored: a link that opens right then delivers it, and its result may arrive before this task goes on.
        // A call that waits follows the command from here on, also while it is queued: otherwise it would look for it in
        // the store.
        if link.is_some() || (is_awaited && is_online) {
            self.in_flight.begin(id, command_meta(principal, row, &work), Received::default());
        }
        // One transaction: there is no command without the record of its intent.
        match self.store.command_insert(vec![command], key, record).await {
            Ok(CommandInsertOutcome::New) => {
                let status = if link.is_some() { CommandStatus::Delivered } else { CommandStatus::Queued };
                self.report_status(id, &command_meta(principal, row, &work), status, None);
            }
            // An insert that failed may have been committed all the same. Then the next link finds the command in the
            // store, or the same request again does, by its idempotency key (`take_up`).
            other => {
                self.in_flight.end(id, None);
                self.open.remove(row.id, Some(&caller));
                self.free_slot(row.id, id);
                return self.existing(principal, row, other?).await;
            }
        }
        // The link is looked up again: one that opened before the commit did not find the command in the store.
        match (link, self.links.get(row.id)) {
            (Some(link), _) => {
                let prepared =
                    PreparedCommand { id, satellite: row.id, class, payload: work.payload, expires_at, started: false };
                // Many callers at once must not close the link of a satellite that reads as fast as it can.
                match link.handle.wait_for_capacity(prepared.lane()).now_or_never() {
                    Some(_) => self.send_prepared(prepared, &link).await?,
                    None => self.send_when_ready(prepared, link),
                }
            }
            (None, Some(link)) => {
                // A link that opened after the commit has read it already: a queue has each command once.
                self.enqueue(&link, QueuedCommand { id, class, rank, created_at, job: None });
            }
            (None, None) => {}
        }
        Ok(id)
    }

    /// The answer where the store has the command of this idempotency key, or nothing was stored.
    async fn existing(
        self: &Arc<Self>,
        principal: &Principal,
        row: &SatelliteRow,
        inserted: CommandInsertOutcome,
    ) -> Result<CommandId> {
        match inserted {
            CommandInsertOutcome::Existing(ids) => {
                let id = ids.first().copied().ok_or_else(|| Error::internal("no command of that key"))?;
                // It may be of a team that the caller has left since.
                if !matches!(self.find_for(principal, id, &Permission::SatellitesExec).await, Ok(Some(_))) {
                    return Err(key_in_use());
                }
                self.take_up(id, row.id).await?;
                Ok(id)
            }
            CommandInsertOutcome::NoSatellite => Err(Error::SatelliteNotFound(row.id.to_string())),
            _ => Err(key_in_use()),
        }
    }

    /// Brings a command to its satellite that is stored and not in flight: its commit came through, and the answer to it did
    /// not.
    async fn take_up(self: &Arc<Self>, id: CommandId, satellite: SatelliteId) -> Result<()> {
        match self.links.get(satellite) {
            Some(link) if self.in_flight.follow(id).is_none() => self.deliver_again(id, &link).await,
            _ => Ok(()),
        }
    }

    /// Counts a command that is about to be stored, unless its queue is full. `caller` is left out for a command of a job.
    pub(crate) fn count(&self, row: &SatelliteRow, caller: Option<&str>) -> Result<()> {
        let settings = self.context.settings();
        self.open.add(row.id, caller, settings).map_err(|full| match full {
            FullQueue::Satellite => {
                Error::QueueFull { satellite: Some(row.name.to_string()), limit: settings.max_queue_per_satellite }
            }
            FullQueue::Caller => Error::QueueFull { satellite: None, limit: settings.max_open_per_caller },
        })
    }

    /// A command of a job as it is stored. It waits for its turn until the job's deadline; its own expiry counts from its
    /// hand-over. What it does is stored with the job.
    pub(crate) fn job_command(
        &self,
        principal: &Principal,
        id: CommandId,
        row: &SatelliteRow,
        work: &Work,
        (job, deadline_at): (JobId, Timestamp),
    ) -> NewCommand {
        let command = self.new_command(principal, id, row, work, work.rank(Rank::Normal), String::new());
        command.job_id(Some(job)).expires_at(deadline_at)
    }

    fn new_command(
        &self,
        principal: &Principal,
        id: CommandId,
        row: &SatelliteRow,
        work: &Work,
        rank: Rank,
        payload: String,
    ) -> NewCommand {
        // Whether something is over is decided by the time that does not jump.
        let expires_at = self.context.steady().plus(Duration::from_secs(u64::from(work.expires_in_seconds)));
        NewCommand::new(id, row.id, principal.actor(), self.context.now(), expires_at)
            .command_type(work.command_type())
            .priority(rank.number())
            .payload(payload)
            .summary(work.summary())
            .idempotent(work.idempotent)
            .timeout_seconds(work.timeout_seconds)
            .team_id(row.team_id)
    }
}

/// What records and answers need to know of a command that is about to be stored.
fn command_meta(principal: &Principal, row: &SatelliteRow, work: &Work) -> CommandMeta {
    CommandMeta {
        satellite: row.id,
        team: row.team_id,
        job: None,
        command_type: work.command_type(),
        actor: principal.actor(),
    }
}
