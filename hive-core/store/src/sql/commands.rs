//! Commands in an SQL database.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hive_wire::agent::{Channel, ErrorBody, Received};
use hive_wire::api::CommandStatus;
use hive_wire::{CommandId, ErrorCode, JobId, SatelliteId, TeamId, Timestamp};

use super::filter::Filter;
use super::writer::Transaction;
use super::{Row, SqlStore, Statement, output, text};
use crate::access::Sight;
use crate::audit::AuditDraft;
use crate::{
    CommandOutcome, CommandRow, CommandStore, Delivery, IdempotencyKey, Inserted, NewCommand, OpenCount, QueuePage,
    QueuedRow, StoreResult, Window,
};

#[async_trait]
impl CommandStore for SqlStore {
    async fn command_insert(
        &self,
        commands: Vec<NewCommand>,
        idempotency: Option<IdempotencyKey>,
        audit: AuditDraft,
    ) -> StoreResult<Inserted> {
        let commands = match <[NewCommand; 1]>::try_from(commands) {
            Ok([command]) if idempotency.is_none() => return self.insert_one(command, audit).await,
            Ok(command) => Vec::from(command),
            Err(commands) => commands,
        };
        self.write(move |transaction| {
            Box::pin(async move {
                let ids: Vec<_> = commands.iter().map(|command| command.id).collect();
                for command in &commands {
                    if !is_there(transaction, command.satellite_id, command.team_id).await? {
                        return Ok(Inserted::NoSatellite);
                    }
                }
                if let Some(key) = idempotency
                    && let Some(before) = claim(transaction, key, &ids, None, audit.timestamp).await?
                {
                    return Ok(match before {
                        Earlier::Commands(ids) => Inserted::Existing(ids),
                        Earlier::Job(_) | Earlier::Other => Inserted::Conflict,
                    });
                }
                for command in commands {
                    transaction.execute(bind(Statement::new(text::COMMAND_INSERT), command)).await?;
                }
                transaction.audit(audit).await?;
                Ok(Inserted::New)
            })
        })
        .await
    }

    async fn command_deliver(&self, id: CommandId, delivery: Delivery) -> StoreResult<bool> {
        let Delivery { journal_id, at, expires_at } = delivery;
        let statement = Statement::new(text::COMMAND_DELIVER).text(id).bind(journal_id).time(at).time_opt(expires_at);
        self.change(statement).await
    }

    async fn command_start(&self, id: CommandId, now: Timestamp) -> StoreResult<bool> {
        self.change(Statement::new(text::COMMAND_START).text(id).time(now)).await
    }

    async fn command_finish(
        &self,
        id: CommandId,
        outcome: CommandOutcome,
        audit: Vec<AuditDraft>,
    ) -> StoreResult<bool> {
        self.end_command(text::COMMAND_FINISH, id, outcome, audit).await
    }

    async fn command_finish_queued(
        &self,
        id: CommandId,
        outcome: CommandOutcome,
        audit: Vec<AuditDraft>,
    ) -> StoreResult<bool> {
        self.end_command(text::COMMAND_FINISH_QUEUED, id, outcome, audit).await
    }

    async fn command_requeue(&self, id: CommandId, now: Timestamp) -> StoreResult<bool> {
        self.change(Statement::new(text::COMMAND_REQUEUE).text(id).time(now)).await
    }

    async fn command_set_expiry(&self, id: CommandId, expires_at: Timestamp) -> StoreResult<bool> {
        self.change(Statement::new(text::COMMAND_SET_EXPIRY).text(id).time(expires_at)).await
    }

    async fn command_get(&self, id: CommandId) -> StoreResult<Option<CommandRow>> {
        let row = self.fetch_optional(Statement::new(text::COMMAND_GET).text(id)).await?;
        row.as_ref().map(read_command).transpose()
    }

    async fn command_list_open(&self, satellite: SatelliteId) -> StoreResult<Vec<CommandRow>> {
        self.commands(Statement::new(text::COMMAND_LIST_OPEN).text(satellite)).await
    }

    async fn command_list_in_flight(&self, satellite: SatelliteId) -> StoreResult<Vec<CommandRow>> {
        self.commands(Statement::new(text::COMMAND_LIST_IN_FLIGHT).text(satellite)).await
    }

    async fn command_list_queued(
        &self,
        satellite: SatelliteId,
        page: Option<QueuePage>,
        limit: u32,
    ) -> StoreResult<Vec<QueuedRow>> {
        let statement = match page {
            None => Statement::new(text::COMMAND_LIST_QUEUED).text(satellite).number(limit),
            Some(QueuePage { is_power, priority, after }) => {
                let (created_at, id) =
                    after.map_or((i64::MIN, String::new()), |(at, id)| (at.as_micros(), id.to_string()));
                let statement = Statement::new(if is_power { text::COMMAND_PAGE_POWER } else { text::COMMAND_PAGE });
                statement.text(satellite).number(priority).number(created_at).bind(id).number(limit)
            }
        };
        self.fetch_all(statement).await?.iter().map(read_queued).collect()
    }

    async fn command_list_waiting_jobs(&self, satellite: SatelliteId) -> StoreResult<Vec<JobId>> {
        let rows = self.fetch_all(Statement::new(text::COMMAND_LIST_WAITING_JOBS).text(satellite)).await?;
        rows.iter().map(|row| row.parse("job_id")).collect()
    }

    async fn command_count_open(&self) -> StoreResult<Vec<OpenCount>> {
        let rows = self.fetch_all(Statement::new(text::COMMAND_COUNT_OPEN)).await?;
        rows.iter().map(read_open_count).collect()
    }

    async fn command_list(
        &self,
        satellite: SatelliteId,
        sight: &Sight,
        window: Window,
    ) -> StoreResult<(Vec<CommandRow>, u64)> {
        let mut filter = Filter::default();
        filter.and_text("satellite_id = ?", Some(satellite)).in_sight("target_team_id", sight);
        let list = filter.statement(text::COMMAND_LIST, text::COMMAND_PAGE_NEWEST, &window.values());
        let rows = self.commands(list).await?;
        Ok((rows, self.fetch_total(filter.statement(text::COMMAND_COUNT, "", &[])).await?))
    }

    async fn command_list_revoked(
        &self,
        satellite: SatelliteId,
        journal_id: &str,
        since: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<CommandId>> {
        let statement = Statement::new(text::COMMAND_LIST_REVOKED);
        let statement = statement.text(satellite).bind(journal_id).time(since).number(limit);
        self.fetch_all(statement).await?.iter().map(|row| row.parse("id")).collect()
    }

    async fn command_list_overdue(&self, now: Timestamp, grace: Duration, limit: u32) -> StoreResult<Vec<CommandRow>> {
        self.commands(Statement::new(text::COMMAND_LIST_OVERDUE).time(now).number(grace.as_micros()).number(limit))
            .await
    }

    async fn command_output_append(
        &self,
        id: CommandId,
        channel: Channel,
        offset: u64,
        bytes: Bytes,
    ) -> StoreResult<()> {
        self.write(move |transaction| Box::pin(output::append(transaction, id, channel, offset, bytes))).await
    }

    async fn command_output_len(&self, id: CommandId) -> StoreResult<Received> {
        output::lengths(self, id).await
    }

    async fn command_output(&self, id: CommandId, channel: Channel, from: u64, limit: usize) -> StoreResult<Bytes> {
        output::read(self, id, channel, from, limit).await
    }
}

impl SqlStore {
    async fn commands(&self, statement: Statement) -> StoreResult<Vec<CommandRow>> {
        self.fetch_all(statement).await?.iter().map(read_command).collect()
    }

    /// The common case, and the one that has to be fast.
    async fn insert_one(&self, command: NewCommand, audit: AuditDraft) -> StoreResult<Inserted> {
        self.write_simple(move |transaction| {
            Box::pin(async move {
                let statements = Statement::new(transaction.dialect().command_insert_and_audit);
                let record = transaction.audit_with(bind(statements, command), audit).await?;
                Ok(if record.is_some() { Inserted::New } else { Inserted::NoSatellite })
            })
        })
        .await
    }
}

/// Whether a satellite is there and of this team. The transaction holds the write lock, so that it stays so.
pub(super) async fn is_there(
    transaction: &mut Transaction,
    satellite: SatelliteId,
    team: Option<TeamId>,
) -> StoreResult<bool> {
    let statement = Statement::new(text::SATELLITE_OF_TEAM).text(satellite).text_opt(team);
    Ok(transaction.fetch_optional(statement).await?.is_some())
}

impl SqlStore {
    /// Gives a command its end; whether it had none.
    async fn end_command(
        &self,
        text: &'static str,
        id: CommandId,
        outcome: CommandOutcome,
        audit: Vec<AuditDraft>,
    ) -> StoreResult<bool> {
        let finish = finish(Statement::new(text), id, &outcome);
        if outcome.output.is_empty() {
            return self.write_simple(move |transaction| Box::pin(end(transaction, finish, id, outcome, audit))).await;
        }
        self.write(move |transaction| Box::pin(end(transaction, finish, id, outcome, audit))).await
    }
}

async fn end(
    transaction: &mut Transaction,
    finish: Statement,
    id: CommandId,
    outcome: CommandOutcome,
    audit: Vec<AuditDraft>,
) -> StoreResult<bool> {
    if transaction.execute(finish).await? == 0 {
        return Ok(false);
    }
    for (channel, offset, bytes) in outcome.output {
        output::append(transaction, id, channel, offset, bytes).await?;
    }
    for draft in audit {
        transaction.audit(draft).await?;
    }
    Ok(true)
}

/// What an idempotency key stands for already.
pub(super) enum Earlier {
    /// The same request, which stored these.
    Commands(Vec<CommandId>),
    /// The same request, which stored this one.
    Job(JobId),
    /// Another request.
    Other,
}

/// Claims an idempotency key for these commands or this job, or returns what it stands for already.
pub(super) async fn claim(
    transaction: &mut Transaction,
    key: IdempotencyKey,
    commands: &[CommandId],
    job: Option<JobId>,
    now: Timestamp,
) -> StoreResult<Option<Earlier>> {
    transaction.execute(Statement::new(text::IDEMPOTENCY_PURGE).time(now)).await?;
    let found =
        transaction.fetch_optional(Statement::new(text::IDEMPOTENCY_FIND).text(&key.owner).text(&key.key)).await?;
    if let Some(row) = found {
        return Ok(Some(match row.parse_opt("job_id")? {
            _ if row.text("body_hash")? != key.body_hash => Earlier::Other,
            Some(job) => Earlier::Job(job),
            None => Earlier::Commands(row.json("command_ids")?),
        }));
    }
    let statement = Statement::new(text::IDEMPOTENCY_INSERT)
        .bind(key.owner)
        .bind(key.key)
        .bind(key.body_hash)
        .json(&commands)
        .text_opt(job)
        .time(key.expires_at);
    transaction.execute(statement).await?;
    Ok(None)
}

pub(super) fn bind(statement: Statement, command: NewCommand) -> Statement {
    let (status, journal_id, delivered_at, attempts) = match command.delivery {
        Some(Delivery { journal_id, at, .. }) => (CommandStatus::Delivered, Some(journal_id), Some(at), 1),
        None => (CommandStatus::Queued, None, None, 0),
    };
    statement
        .text(command.id)
        .text(command.satellite_id)
        .text_opt(command.job_id)
        .word(command.command_type)
        .bind(command.payload)
        .bind(command.summary)
        .bind(command.idempotent)
        .number(command.timeout_seconds)
        .json(&command.actor)
        .bind(command.actor.id)
        .text_opt(command.team_id)
        .bind(status.as_str())
        .bind(journal_id)
        .time(command.created_at)
        .time(command.expires_at)
        .time_opt(delivered_at)
        .bind(command.actor.kind)
        .text(command.authorised_by)
        .number(command.priority)
        .number(attempts)
}

fn finish(statement: Statement, id: CommandId, outcome: &CommandOutcome) -> Statement {
    let error = outcome.error.as_ref();
    statement
        .text(id)
        .bind(outcome.status.as_str())
        .number_opt(outcome.exit_code)
        .number_opt(outcome.duration_ms)
        .bind(outcome.truncated)
        .bind(error.map(|error| error.code.as_str()))
        .text_opt(error.map(|error| &error.message))
        .time(outcome.finished_at)
}

fn read_command(row: &Row) -> StoreResult<CommandRow> {
    Ok(CommandRow {
        id: row.parse("id")?,
        satellite_id: row.parse("satellite_id")?,
        job_id: row.parse_opt("job_id")?,
        command_type: row.word("command_type")?,
        priority: row.number("priority")?,
        payload: row.text("payload")?,
        summary: row.text("summary")?,
        idempotent: row.flag("idempotent")?,
        timeout_seconds: row.number("timeout_seconds")?,
        actor: row.json("actor")?,
        team_id: row.parse_opt("target_team_id")?,
        status: row.parse("status")?,
        journal_id: row.text_opt("journal_id")?,
        exit_code: row.number_opt("exit_code")?,
        duration_ms: row.number_opt("duration_ms")?,
        truncated: row.flag("truncated")?,
        error: read_error(row)?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        finished_at: row.time_opt("finished_at")?,
    })
}

fn read_queued(row: &Row) -> StoreResult<QueuedRow> {
    Ok(QueuedRow {
        id: row.parse("id")?,
        command_type: row.word("command_type")?,
        priority: row.number("priority")?,
        created_at: row.time("created_at")?,
    })
}

fn read_open_count(row: &Row) -> StoreResult<OpenCount> {
    Ok(OpenCount {
        satellite_id: row.parse("satellite_id")?,
        created_by: row.text("created_by")?,
        is_of_job: row.number::<i64>("is_of_job")? != 0,
        count: row.number("total")?,
    })
}

/// Reads the columns `error_code` and `error_message`.
pub(super) fn read_error(row: &Row) -> StoreResult<Option<ErrorBody>> {
    let Some(code) = row.word_opt::<ErrorCode>("error_code")? else {
        return Ok(None);
    };
    Ok(Some(ErrorBody { code, message: row.text_opt("error_message")?.unwrap_or_default() }))
}
