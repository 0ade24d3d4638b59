//! Commands in an SQL database.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hive_wire::agent::{Channel, ErrorBody, Received};
use hive_wire::api::{CommandEnd, CommandSort, CommandStatus, CommandType};
use hive_wire::{CommandId, ErrorCode, JobId, SatelliteId, TeamId, Timestamp};

use super::filter::Filter;
use super::idempotency::{self, EarlierRequest};
use super::many_rows::MAX_ROWS;
use super::writer::{ChangeKind, CommandChange, Transaction};
use super::{Row, SqlStore, Statement, Value, output, statements};
use crate::access::VisibleScope;
use crate::audit::AuditDraft;
use crate::{
    CommandInsertOutcome, CommandOutcome, CommandRow, CommandStore, Delivery, IdempotencyKey, NewCommand,
    OpenCommandCount, QueuePage, QueuedCommandRow, RowRange, StoreResult, TurnRow,
};

/// Commands that one statement reads by their ids.
const READ_AT_ONCE: usize = 128;

#[async_trait]
impl CommandStore for SqlStore {
    async fn command_insert(
        &self,
        commands: Vec<NewCommand>,
        idempotency: Option<IdempotencyKey>,
        audit: AuditDraft,
    ) -> StoreResult<CommandInsertOutcome> {
        // One command without an idempotency key shares a statement with others: this is most of what a hive writes.
        let commands = match <[NewCommand; 1]>::try_from(commands) {
            Ok([command]) if idempotency.is_none() => {
                let (id, values) = (command.id, command_row(command));
                let is_new = self.change(id, ChangeKind::Insert, values, Vec::new(), vec![audit]).await?;
                return Ok(if is_new { CommandInsertOutcome::New } else { CommandInsertOutcome::NoSatellite });
            }
            Ok(command) => Vec::from(command),
            Err(commands) => commands,
        };
        self.write(move |transaction| {
            Box::pin(async move {
                let ids: Vec<_> = commands.iter().map(|command| command.id).collect();
                // Checked before anything is inserted, so that the outcome needs no rollback.
                for command in &commands {
                    if !is_in_team(transaction, command.satellite_id, command.team_id).await? {
                        return Ok(CommandInsertOutcome::NoSatellite);
                    }
                }
                if let Some(key) = idempotency
                    && let Some(earlier) = idempotency::claim(transaction, key, &ids, None, audit.timestamp).await?
                {
                    return Ok(match earlier {
                        EarlierRequest::Commands(ids) => CommandInsertOutcome::Existing(ids),
                        EarlierRequest::Job(_) | EarlierRequest::Different => CommandInsertOutcome::Conflict,
                    });
                }
                insert(transaction, commands).await?;
                transaction.audit(audit);
                Ok(CommandInsertOutcome::New)
            })
        })
        .await
    }

    async fn command_deliver(&self, id: CommandId, delivery: Delivery) -> StoreResult<bool> {
        let Delivery { journal_id, at, expires_at } = delivery;
        let row = Statement::values_only().text(id).bind(journal_id).time(at).time_opt(expires_at).values;
        self.change(id, ChangeKind::Deliver, row, Vec::new(), Vec::new()).await
    }

    async fn command_start(&self, id: CommandId, now: Timestamp) -> StoreResult<bool> {
        let row = Statement::values_only().text(id).time(now).values;
        self.change(id, ChangeKind::Start, row, Vec::new(), Vec::new()).await
    }

    async fn command_finish(
        &self,
        id: CommandId,
        outcome: CommandOutcome,
        audit: Vec<AuditDraft>,
    ) -> StoreResult<bool> {
        self.change(id, ChangeKind::Finish, outcome_row(id, &outcome), outcome.output, audit).await
    }

    async fn command_finish_queued(
        &self,
        id: CommandId,
        outcome: CommandOutcome,
        audit: Vec<AuditDraft>,
    ) -> StoreResult<bool> {
        self.change(id, ChangeKind::FinishQueued, outcome_row(id, &outcome), outcome.output, audit).await
    }

    async fn command_requeue(&self, id: CommandId, now: Timestamp) -> StoreResult<bool> {
        self.execute_unaudited(Statement::new(statements::COMMAND_REQUEUE).text(id).time(now)).await
    }

    async fn command_set_expiry(&self, id: CommandId, expires_at: Timestamp) -> StoreResult<bool> {
        self.execute_unaudited(Statement::new(statements::COMMAND_SET_EXPIRY).text(id).time(expires_at)).await
    }

    async fn command_get(&self, id: CommandId) -> StoreResult<Option<CommandRow>> {
        let row = self.fetch_optional(Statement::new(statements::COMMAND_GET).text(id)).await?;
        row.as_ref().map(read_command).transpose()
    }

    async fn command_list_turns(&self, ids: Vec<CommandId>) -> StoreResult<Vec<TurnRow>> {
        let mut turns = Vec::with_capacity(ids.len());
        for batch in ids.chunks(READ_AT_ONCE) {
            let rows = self.fetch_all(turns_of(batch)).await?;
            for row in &rows {
                turns
                    .push(TurnRow { command: read_command(row)?, satellite: row.string_enum_opt("satellite_status")? });
            }
        }
        Ok(turns)
    }

    async fn command_list_open(&self, satellite: SatelliteId) -> StoreResult<Vec<CommandRow>> {
        self.commands(Statement::new(statements::COMMAND_LIST_OPEN).text(satellite)).await
    }

    async fn command_list_in_flight(&self, satellite: SatelliteId) -> StoreResult<Vec<(CommandId, CommandType)>> {
        let rows = self.fetch_all(Statement::new(statements::COMMAND_LIST_IN_FLIGHT).text(satellite)).await?;
        rows.iter().map(|row| Ok((row.parse("id")?, row.string_enum("command_type")?))).collect()
    }

    async fn command_list_queued(
        &self,
        satellite: SatelliteId,
        page: Option<QueuePage>,
        limit: u32,
    ) -> StoreResult<Vec<QueuedCommandRow>> {
        let statement = match page {
            None => Statement::new(statements::COMMAND_LIST_QUEUED).text(satellite).number(limit),
            Some(QueuePage { is_power, priority, after }) => {
                let (created_at, id) =
                    // Without a key the page begins before the first command.
                    after.map_or((i64::MIN, String::new()), |(at, id)| (at.as_micros(), id.to_string()));
                let statement =
                    Statement::new(if is_power { statements::COMMAND_PAGE_POWER } else { statements::COMMAND_PAGE });
                statement.text(satellite).number(priority).number(created_at).bind(id).number(limit)
            }
        };
        self.fetch_all(statement).await?.iter().map(read_queued).collect()
    }

    async fn command_list_waiting_jobs(&self, satellite: SatelliteId) -> StoreResult<Vec<JobId>> {
        let rows = self.fetch_all(Statement::new(statements::COMMAND_LIST_WAITING_JOBS).text(satellite)).await?;
        rows.iter().map(|row| row.parse("job_id")).collect()
    }

    async fn command_count_open(&self) -> StoreResult<Vec<OpenCommandCount>> {
        let rows = self.fetch_all(Statement::new(statements::COMMAND_COUNT_OPEN)).await?;
        rows.iter().map(read_open_count).collect()
    }

    async fn command_list(
        &self,
        satellite: SatelliteId,
        visible: &VisibleScope,
        range: RowRange<CommandSort>,
    ) -> StoreResult<(Vec<CommandRow>, u64)> {
        let mut filter = Filter::default();
        filter.and_text("satellite_id = ?", Some(satellite)).visible_to(
            "target_team_id",
            Some("satellite_id"),
            visible,
        );
        self.fetch_part(&filter, statements::COMMAND_LIST, statements::COMMAND_ROWS_COUNTED, range, read_command).await
    }

    async fn command_list_revoked(
        &self,
        satellite: SatelliteId,
        journal_id: &str,
        since: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<CommandId>> {
        let statement = Statement::new(statements::COMMAND_LIST_REVOKED);
        let statement = statement.text(satellite).bind(journal_id).time(since).number(limit);
        self.fetch_all(statement).await?.iter().map(|row| row.parse("id")).collect()
    }

    async fn command_list_overdue(&self, now: Timestamp, grace: Duration, limit: u32) -> StoreResult<Vec<CommandId>> {
        let statement = Statement::new(statements::COMMAND_LIST_OVERDUE).time(now).time(now.minus(grace));
        self.fetch_all(statement.number(limit)).await?.iter().map(|row| row.parse("id")).collect()
    }

    async fn command_list_unfinished(&self, ids: &[CommandId]) -> StoreResult<Vec<CommandId>> {
        let mut filter = Filter::default();
        filter.one_of("id", ids).and_raw("finished_at IS NULL");
        let rows = self.fetch_all(filter.statement(statements::COMMAND_LIST_UNFINISHED, "", &[])).await?;
        rows.iter().map(|row| row.parse("id")).collect()
    }

    async fn command_output_append(
        &self,
        id: CommandId,
        channel: Channel,
        offset: u64,
        bytes: Bytes,
    ) -> StoreResult<()> {
        self.write(move |transaction| {
            Box::pin(async move { output::append(transaction, id, &channel, offset, bytes).await })
        })
        .await
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

    /// Changes a command. Output and audit records are stored only if the change applies. Returns whether it did.
    async fn change(
        &self,
        id: CommandId,
        kind: ChangeKind,
        values: Vec<Value>,
        output: Vec<(Channel, u64, Bytes)>,
        audit: Vec<AuditDraft>,
    ) -> StoreResult<bool> {
        self.writer.change(CommandChange { id, kind, values, output, audit }).await
    }
}

/// Whether a satellite exists and belongs to this team. The transaction holds the write lock, so that the answer stays true.
pub(super) async fn is_in_team(
    transaction: &mut Transaction,
    satellite: SatelliteId,
    team: Option<TeamId>,
) -> StoreResult<bool> {
    let statement = Statement::new(statements::SATELLITE_OF_TEAM).text(satellite).text_opt(team);
    Ok(transaction.fetch_optional(statement).await?.is_some())
}

/// Inserts commands, except those whose satellite was removed or belongs to another team now. Returns the ids of the inserted
/// ones.
pub(super) async fn insert(transaction: &mut Transaction, commands: Vec<NewCommand>) -> StoreResult<HashSet<String>> {
    let mut rows: Vec<_> = commands.into_iter().map(command_row).collect();
    let mut inserted = HashSet::new();
    while !rows.is_empty() {
        let rest = rows.split_off(MAX_ROWS.min(rows.len()));
        let rows = transaction.run_rows(&statements::COMMAND_INSERT, std::mem::replace(&mut rows, rest)).await?;
        for row in &rows {
            inserted.insert(row.text("id")?);
        }
    }
    Ok(inserted)
}

/// Returns the values of a command for the statement that inserts it.
fn command_row(command: NewCommand) -> Vec<Value> {
    // A command with a delivery is stored as delivered, which saves the write of the delivery.
    let (status, journal_id, delivered_at, attempts) = match command.delivery {
        Some(Delivery { journal_id, at, .. }) => (CommandStatus::Delivered, Some(journal_id), Some(at), 1),
        None => (CommandStatus::Queued, None, None, 0),
    };
    Statement::values_only()
        .text(command.id)
        .text(command.satellite_id)
        .text_opt(command.job_id)
        .string_enum(command.command_type)
        .bind(command.payload)
        .bind(command.summary)
        .bind(command.idempotent)
        .number(command.timeout_seconds)
        .json(&command.actor)
        // Actor and kind have columns of their own: one is counted by, the other constrained.
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
        .values
}

fn outcome_row(id: CommandId, outcome: &CommandOutcome) -> Vec<Value> {
    let CommandEnd { exit_code, duration_ms, truncated, error } = &outcome.end;
    let error = error.as_ref();
    Statement::values_only()
        .text(id)
        .bind(outcome.status.as_str())
        .number_opt(*exit_code)
        .number_opt(*duration_ms)
        .bind(*truncated)
        .bind(error.map(|error| error.code.as_str()))
        .text_opt(error.map(|error| &error.message))
        .time(outcome.finished_at)
        .values
}

fn read_command(row: &Row) -> StoreResult<CommandRow> {
    Ok(CommandRow {
        id: row.parse("id")?,
        satellite_id: row.parse("satellite_id")?,
        job_id: row.parse_opt("job_id")?,
        command_type: row.string_enum("command_type")?,
        priority: row.number("priority")?,
        payload: row.text("payload")?,
        summary: row.text("summary")?,
        idempotent: row.bool("idempotent")?,
        timeout_seconds: row.number("timeout_seconds")?,
        actor: row.json("actor")?,
        team_id: row.parse_opt("target_team_id")?,
        status: row.parse("status")?,
        journal_id: row.text_opt("journal_id")?,
        end: read_end(row)?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        finished_at: row.time_opt("finished_at")?,
    })
}

fn turns_of(ids: &[CommandId]) -> Statement {
    // Few texts, which a connection prepares once: the last id fills up the list.
    let count = ids.len().next_power_of_two();
    let placeholders: Vec<_> = (1..=count).map(|index| format!("${index}")).collect();
    let text = format!("{}({})", statements::COMMAND_LIST_TURNS, placeholders.join(", "));
    let filled = ids.iter().chain(ids.last().into_iter().cycle()).take(count);
    filled.fold(Statement { text: text.into(), values: Vec::new() }, Statement::text)
}

fn read_queued(row: &Row) -> StoreResult<QueuedCommandRow> {
    Ok(QueuedCommandRow {
        id: row.parse("id")?,
        command_type: row.string_enum("command_type")?,
        priority: row.number("priority")?,
        created_at: row.time("created_at")?,
    })
}

fn read_open_count(row: &Row) -> StoreResult<OpenCommandCount> {
    Ok(OpenCommandCount {
        satellite_id: row.parse("satellite_id")?,
        created_by: row.text("created_by")?,
        is_of_job: row.number::<i64>("is_of_job")? != 0,
        count: row.number("total")?,
    })
}

/// Reads the columns of a command's end, which a target of a job has too.
pub(super) fn read_end(row: &Row) -> StoreResult<CommandEnd> {
    Ok(CommandEnd {
        exit_code: row.number_opt("exit_code")?,
        duration_ms: row.number_opt("duration_ms")?,
        truncated: row.bool("truncated")?,
        error: read_error(row)?,
    })
}

/// Reads the columns `error_code` and `error_message`.
pub(super) fn read_error(row: &Row) -> StoreResult<Option<ErrorBody>> {
    let Some(code) = row.string_enum_opt::<ErrorCode>("error_code")? else {
        return Ok(None);
    };
    Ok(Some(ErrorBody { code, message: row.text_opt("error_message")?.unwrap_or_default() }))
}
