//! `CommandRouter` in this process.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use hive_wire::agent::Channel;
use hive_wire::api::{
    CommandInfo, CommandStatus, ExecCommand, ExecEvent, ExecResult, OutputEncoding, Page, PageRequest, PowerRequest,
    Target, TargetStatus,
};
use hive_wire::{CommandId, ErrorCode, JobId, SatelliteId};
use serde_json::json;

use super::dispatch::Prepared;
use super::in_flight::{Context, Place};
use super::payload::{Work, seal};
use super::queue::{Class, Full, Rank, Waiting};
use super::result::StoredOutput;
use crate::access::{Authority, Permission, sight};
use crate::hive::acting::{Handle, Subject};
use crate::hive::{ActingHive, Hive};
use crate::links::Live;
use crate::router::{CommandReport, CommandRouter, ExecOptions, ExecReport, OutputReader, check_idempotency_key};
use crate::satellites::registry::{inactive, is_usable, window};
use crate::store::{CommandRow, IdempotencyKey, Inserted, NewCommand, SatelliteRow};
use crate::{Error, Result, Subscription};

/// How long an idempotency key counts.
const IDEMPOTENCY_LIFETIME: Duration = Duration::from_hours(24);
/// Output of each stream that an error carries.
const MAX_ERROR_OUTPUT: usize = 1024 * 1024;

/// How a command is accepted, apart from what it does.
pub(crate) struct Acceptance {
    pub(crate) action: &'static str,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) live: Option<Live>,
    /// Whether somebody waits for its end: then it is immediate unless it says otherwise.
    pub(crate) is_awaited: bool,
}

#[async_trait]
impl CommandRouter for Handle {
    async fn exec_report(
        &self,
        satellite: SatelliteId,
        command: ExecCommand,
        options: ExecOptions,
    ) -> Result<ExecReport> {
        let row = self.satellite_for(satellite, Permission::SatellitesExec).await?;
        self.run_and_wait(row, Work::exec(command)?, "satellite.exec", options).await
    }

    async fn exec_multi_reports(
        &self,
        targets: Vec<Target>,
        command: ExecCommand,
        options: ExecOptions,
    ) -> Result<Vec<ExecReport>> {
        self.run_many_and_wait(targets, Work::exec(command)?, options).await
    }

    async fn exec_stream(
        &self,
        targets: Vec<Target>,
        command: ExecCommand,
        options: ExecOptions,
    ) -> Result<Subscription<ExecEvent>> {
        self.watch_exec(targets, Work::exec(command)?, options).await
    }

    async fn submit(&self, satellite: SatelliteId, command: ExecCommand, options: ExecOptions) -> Result<CommandId> {
        let row = self.satellite_for(satellite, Permission::SatellitesExec).await?;
        let live = usable_link(&self.hive, &row)?;
        let work = Work::exec(command)?;
        let idempotency_key = options.idempotency_key;
        let how = Acceptance { action: "satellite.exec", idempotency_key, live, is_awaited: false };
        self.accept(&row, work, how).await
    }

    async fn power(&self, satellite: SatelliteId, request: PowerRequest, options: ExecOptions) -> Result<ExecResult> {
        let row = self.satellite_for(satellite, Permission::SatellitesPower).await?;
        self.run_and_wait(row, Work::power(request)?, "satellite.power", options).await?.into_result().await
    }

    async fn report(&self, id: CommandId) -> Result<Option<CommandReport>> {
        let row = self.command_for(id, Permission::SatellitesRead).await?;
        Ok(row.map(|row| CommandReport::new(info(row), OutputReader::new(StoredOutput::new(&self.hive, id)))))
    }

    async fn output(&self, id: CommandId, channel: Channel, from: u64) -> Result<Bytes> {
        let no_command = || Error::NotFound { what: "command", id: id.to_string() };
        let report = self.report(id).await?.ok_or_else(no_command)?;
        report.output.read(channel, from).await
    }

    async fn list(&self, satellite: SatelliteId, page: PageRequest) -> Result<Page<CommandInfo>> {
        let window = window(page)?;
        let sight = sight(&self.principal, &Permission::SatellitesRead);
        let hidden = self.satellite_seen_now(satellite, Permission::SatellitesRead).await?;
        let (rows, total) = self.hive.store().command_list(satellite, &sight, window).await?;
        if let Some(hidden) = hidden.filter(|_| total == 0) {
            return Err(hidden);
        }
        let items = rows.into_iter().map(info).collect();
        Ok(Page { items, total, page: page.page, per_page: page.per_page })
    }

    async fn cancel(&self, id: CommandId) -> Result<CommandInfo> {
        let no_command = || Error::NotFound { what: "command", id: id.to_string() };
        let row = self.command_for(id, Permission::SatellitesExec).await?.ok_or_else(no_command)?;
        if !row.status.is_terminal() {
            let subject = Subject::new("command", id).of_team(row.team_id);
            self.hive.check_disk().await?;
            let record = self.intent("command.cancel", subject, json!({ "satellite_id": row.satellite_id }));
            self.hive.store().audit_append(record).await?;
            self.hive.cancel(row).await?;
        }
        self.get(id, OutputEncoding::Lossy).await?.ok_or_else(no_command)
    }
}

impl ActingHive {
    /// Finds a command on a satellite the principal may use `permission` on.
    async fn command_for(&self, id: CommandId, permission: Permission) -> Result<Option<CommandRow>> {
        use crate::access::{Reach, Verdict, may};
        let Some(row) = self.hive.store().command_get(id).await? else {
            return Ok(None);
        };
        match may(&self.principal, &permission, Reach::satellite(row.team_id)) {
            Verdict::Allow => Ok(Some(row)),
            Verdict::Forbid => Err(Error::Forbidden(permission.as_str().into())),
            Verdict::Hide => Ok(None),
        }
    }

    async fn run_and_wait(
        &self,
        row: SatelliteRow,
        work: Work,
        action: &'static str,
        options: ExecOptions,
    ) -> Result<ExecReport> {
        let Some(live) = usable_link(&self.hive, &row)? else {
            return Err(Error::SatelliteOffline(row.name.to_string()));
        };
        let timeout = self.hive.patience(work.timeout_seconds);
        let place = Place { satellite: row.id, name: row.name.clone() };
        let how = Acceptance { action, idempotency_key: options.idempotency_key, live: Some(live), is_awaited: true };
        let id = self.accept(&row, work, how).await?;
        let standing = self.hive.standing(id, &place, timeout).await?;
        as_answer(id, self.hive.report(id, standing, options.encoding).await?).await
    }

    /// Makes a command durable and, where there is a place for it, hands it over. It is carried through even if whoever asked for
    /// it does not wait: a command is stored and on its way, or was never stored.
    pub(crate) async fn accept(&self, row: &SatelliteRow, work: Work, how: Acceptance) -> Result<CommandId> {
        let (acting, row) = (self.clone(), row.clone());
        let accepting = self.hive.inner.tasks.spawn(async move { acting.store_and_hand_over(&row, work, how).await });
        accepting.await.map_err(Error::internal)?
    }

    async fn store_and_hand_over(&self, row: &SatelliteRow, work: Work, how: Acceptance) -> Result<CommandId> {
        let hive = &self.hive;
        let Acceptance { action, idempotency_key, live, is_awaited } = how;
        let key = self.idempotency(idempotency_key, &json!([row.id, work.payload, work.timeout_seconds]))?;
        let id = CommandId::new(hive.source().seed());
        let rank = work.rank(if is_awaited { Rank::Immediate } else { Rank::Normal });
        let class = Class::of(&work.command_type());
        let details = work.details(&hive.inner.keys.vault).with("command_id", json!(id));
        let record = self.intent(action, Subject::satellite(row), details.into_value());
        let caller = self.principal.actor().id;
        self.count_in(row, Some(&caller))?;
        let is_online = live.is_some();
        let place = live.filter(|live| live.queue.reserve(id, class, rank, hive.source().steady()));
        let command = self.new_command(id, row, &work, rank, None, place.as_ref());
        let (created_at, expires_at) = (command.created_at, command.expires_at);
        if place.is_some() || (is_awaited && is_online) {
            hive.inner.running.begin(id, self.context(row, &work, None), hive_wire::agent::Received::default());
        }
        match hive.store().command_insert(vec![command], key, record).await {
            Ok(Inserted::New) => {}
            other => {
                hive.inner.running.end(id, None);
                hive.inner.open.remove(row.id, Some(&caller));
                hive.free_place(row.id, id);
                return match other? {
                    Inserted::Existing(ids) => {
                        let id = ids.first().copied().ok_or_else(|| Error::internal("no command of that key"))?;
                        // It may be of a team that the caller has left since.
                        if !matches!(self.command_for(id, Permission::SatellitesExec).await, Ok(Some(_))) {
                            return Err(key_of_another());
                        }
                        hive.take_up(id, row.id).await?;
                        Ok(id)
                    }
                    Inserted::NoSatellite => Err(Error::SatelliteNotFound(row.id.to_string())),
                    _ => Err(key_of_another()),
                };
            }
        }
        match (place, hive.inner.links.get(row.id)) {
            (Some(place), _) => {
                let prepared =
                    Prepared { id, satellite: row.id, class, payload: work.payload, expires_at, started: false };
                // Many callers at once must not close the link of a satellite that reads as fast as it can.
                match place.ready().now_or_never() {
                    Some(_) => hive.hand_to_link(prepared, &place).await?,
                    None => hive.hand_over_when_ready(prepared, place),
                }
            }
            (None, Some(live)) => drop(hive.enqueue(row.id, &live, Waiting { id, class, rank, created_at, job: None })),
            (None, None) => {}
        }
        Ok(id)
    }

    /// Counts a command that is about to be stored, unless its queue is full. One of a job counts for no caller.
    pub(crate) fn count_in(&self, row: &SatelliteRow, caller: Option<&str>) -> Result<()> {
        let settings = self.hive.settings();
        self.hive.inner.open.add(row.id, caller, settings).map_err(|full| match full {
            Full::Satellite => {
                Error::QueueFull { satellite: Some(row.name.to_string()), limit: settings.max_queue_per_satellite }
            }
            Full::Caller => Error::QueueFull { satellite: None, limit: settings.max_open_per_caller },
        })
    }

    pub(crate) fn new_command(
        &self,
        id: CommandId,
        row: &SatelliteRow,
        work: &Work,
        rank: Rank,
        job_id: Option<JobId>,
        live: Option<&Live>,
    ) -> NewCommand {
        NewCommand {
            id,
            satellite_id: row.id,
            job_id,
            command_type: work.command_type(),
            priority: rank.number(),
            payload: match job_id {
                Some(_) => String::new(),
                None => seal(&work.payload, id, &self.hive.inner.keys.vault, self.hive.source()),
            },
            summary: work.summary(),
            idempotent: work.idempotent,
            timeout_seconds: work.timeout_seconds,
            actor: self.principal.actor(),
            authorised_by: Authority::Role,
            team_id: row.team_id,
            created_at: self.hive.source().now(),
            // What is over is decided by a time that does not jump.
            expires_at: self.hive.source().steady().plus(Duration::from_secs(u64::from(work.expires_in_seconds))),
            delivery: live.map(|live| self.hive.delivery(live)),
        }
    }

    pub(crate) fn context(&self, row: &SatelliteRow, work: &Work, job: Option<JobId>) -> Context {
        Context {
            satellite: row.id,
            team: row.team_id,
            job,
            command_type: work.command_type(),
            actor: self.principal.actor(),
        }
    }

    /// The caller's key for "the same request again", with what makes the request the same.
    pub(crate) fn idempotency(
        &self,
        key: Option<String>,
        request: &serde_json::Value,
    ) -> Result<Option<IdempotencyKey>> {
        let Some(key) = key else { return Ok(None) };
        check_idempotency_key(&key)?;
        let owner = self.principal.user().map_or_else(|| "system".to_owned(), |user| user.to_string());
        // Keyed, because the request holds what is sealed everywhere else. Bound to its key, so that equal requests of
        // different keys do not show.
        let request = request.to_string();
        let parts = [owner.as_bytes(), key.as_bytes(), request.as_bytes()];
        let body_hash = self.hive.inner.keys.vault.digest("idempotency key", &parts);
        let expires_at = self.hive.source().steady().plus(IDEMPOTENCY_LIFETIME);
        Ok(Some(IdempotencyKey { owner, key, body_hash, expires_at }))
    }
}

impl Hive {
    /// How long a call waits for a command: its timeout, and the time to kill and to report.
    pub(crate) fn patience(&self, timeout_seconds: u32) -> Duration {
        Duration::from_secs(u64::from(timeout_seconds)) + self.settings().result_grace
    }

    /// Brings a command to its satellite that is stored and that nobody here works on: its commit came through, and the
    /// answer to it did not.
    async fn take_up(&self, id: CommandId, satellite: SatelliteId) -> Result<()> {
        match self.inner.links.get(satellite) {
            Some(live) if self.inner.running.follow(id).is_none() => self.deliver_again(id, &live).await,
            _ => Ok(()),
        }
    }

    /// Ends a command: a queued one at once, a running one by its satellite, for which this waits.
    async fn cancel(&self, row: CommandRow) -> Result<()> {
        use hive_wire::agent::ToAgent;
        if row.status == CommandStatus::Queued && self.end_without_satellite(&row, CommandStatus::Cancelled).await? {
            return Ok(());
        }
        let Some(live) = self.inner.links.get(row.satellite_id) else {
            return Err(Error::SatelliteOffline(row.satellite_id.to_string()));
        };
        if self.inner.running.follow(row.id).is_none() {
            // Its satellite has just come back, and was not told of it yet.
            self.deliver_again(row.id, &live).await?;
        }
        let Some(mut progress) = self.inner.running.cancel(row.id) else {
            return Ok(());
        };
        let message = crate::link::Outgoing::Control(ToAgent::CommandCancel { id: row.id });
        live.send(message).map_err(|_| Error::SatelliteOffline(row.satellite_id.to_string()))?;
        let end = progress.wait_for(|progress| progress.finished.is_some());
        // A tree that cannot be killed in time leaves the command as it is; the caller sees that in what it gets.
        drop(tokio::time::timeout(self.settings().result_grace, end).await);
        Ok(())
    }
}

/// The same key was used for what is another request, or the caller may not know of any more.
pub(crate) fn key_of_another() -> Error {
    Error::Conflict("the idempotency key was used for another request".into())
}

/// A satellite's link, where the satellite may be used at all.
pub(crate) fn usable_link(hive: &Hive, row: &SatelliteRow) -> Result<Option<Live>> {
    if !is_usable(&row.status) {
        return Err(inactive(row));
    }
    Ok(hive.inner.links.get(row.id))
}

/// A waiting call's answer: a timeout and a refusal are errors there.
async fn as_answer(id: CommandId, report: ExecReport) -> Result<ExecReport> {
    let result = &report.result;
    let is_blocked = result.error.as_ref().is_some_and(|error| error.code == ErrorCode::CommandBlocked);
    match &result.status {
        TargetStatus::Command(CommandStatus::Failed) if is_blocked => {
            let why = result.error.as_ref().map(|error| error.message.clone());
            Err(Error::CommandBlocked(why.unwrap_or_default()))
        }
        TargetStatus::Command(status) if *status == CommandStatus::TimedOut || !status.is_terminal() => {
            let result = report.into_result_with(MAX_ERROR_OUTPUT).await?;
            Err(Error::CommandTimeout { command: id, result: Some(Box::new(result)) })
        }
        _ => Ok(report),
    }
}

/// A stored command as clients see it, without its output.
fn info(row: CommandRow) -> CommandInfo {
    CommandInfo {
        id: row.id,
        satellite_id: row.satellite_id,
        command_type: row.command_type,
        summary: row.summary,
        status: row.status,
        exit_code: row.exit_code,
        stdout: String::new(),
        stderr: String::new(),
        duration_ms: row.duration_ms,
        truncated: row.truncated,
        error: row.error,
        created_by: row.actor.name,
        created_at: row.created_at,
        expires_at: row.expires_at,
        finished_at: row.finished_at,
    }
}
