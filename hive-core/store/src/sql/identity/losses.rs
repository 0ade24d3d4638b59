//! Revokes what a user or a key has lost the right to, in the transaction of the change.

use hive_wire::api::{CommandStatus, CommandType};
use hive_wire::{TeamId, Timestamp, UserId};
use serde_json::json;

use super::{Row, Statement, statements};
use crate::audit::AuditDraft;
use crate::sql::Value;
use crate::sql::many_rows::MAX_ROWS;
use crate::sql::writer::Transaction;
use crate::{CancelledCommand, Losses, NeededRoles, RemainingRights, StoreResult};

/// What the error of a cancelled command says.
const ACTOR_LOST_RIGHT: &str = "actor_disabled: the caller was disabled, or lost the right to this";

/// A queued command of an actor.
struct QueuedWork {
    command: CancelledCommand,
    command_type: CommandType,
    team: Option<TeamId>,
}

/// Revokes what a user made and may not make any more: queued commands and unused registration tokens, also those made by the
/// user's keys.
pub(super) async fn revoke_lost(
    transaction: &mut Transaction,
    user: UserId,
    rights: &RemainingRights,
    needed: &NeededRoles,
    now: Timestamp,
) -> StoreResult<Losses> {
    let queued = transaction.fetch_all(Statement::new(statements::USER_COMMANDS_QUEUED).text(user)).await?;
    let queued = queued.iter().map(read_queued).collect::<StoreResult<Vec<_>>>()?;
    let is_lost = |work: &QueuedWork| !rights.has(work.team, needed.of_command(&work.command_type));
    let commands: Vec<_> = queued.into_iter().filter(is_lost).map(|work| work.command).collect();
    cancel(transaction, &commands, now).await?;
    let mut registration_tokens = 0;
    for row in transaction.fetch_all(Statement::new(statements::USER_TOKENS_UNUSED).text(user)).await? {
        if !rights.has(row.parse_opt("team_id")?, &needed.tokens) {
            let revoke = Statement::new(statements::TOKEN_REVOKE).bind(row.text("id")?).time(now);
            registration_tokens += transaction.execute(revoke).await?;
        }
    }
    // Keys stay: they have what rights their owner has at the time of a call, and are valid again with the user.
    Ok(Losses { commands, registration_tokens, api_keys: 0 })
}

/// Revokes what was made with a key, which is revoked itself: other keys, unused registration tokens and queued commands.
pub(super) async fn revoke_made_with(
    transaction: &mut Transaction,
    keys: Vec<String>,
    now: Timestamp,
) -> StoreResult<Losses> {
    let mut losses = Losses::default();
    for key in keys {
        let queued = transaction.fetch_all(Statement::new(statements::KEY_COMMANDS_QUEUED).text(&key)).await?;
        let queued = queued.iter().map(|row| Ok(read_queued(row)?.command)).collect::<StoreResult<Vec<_>>>()?;
        cancel(transaction, &queued, now).await?;
        losses.commands.extend(queued);
        let tokens = Statement::new(statements::KEY_TOKENS_REVOKE).text(&key).time(now);
        losses.registration_tokens += transaction.execute(tokens).await?;
        let revoke = Statement::new(statements::API_KEY_REVOKE_MADE).text(&key).time(now);
        losses.api_keys += transaction.execute(revoke).await?;
    }
    Ok(losses)
}

/// Cancels commands that the transaction has read as queued. It holds the write lock, so that they still are.
async fn cancel(transaction: &mut Transaction, commands: &[CancelledCommand], now: Timestamp) -> StoreResult<()> {
    for part in commands.chunks(MAX_ROWS) {
        let rows = part.iter().map(|command| end_of(command, now)).collect();
        transaction.run_rows(&statements::COMMAND_FINISH_QUEUED, rows).await?;
    }
    Ok(())
}

/// The row of `COMMAND_FINISH_QUEUED`.
fn end_of(command: &CancelledCommand, now: Timestamp) -> Vec<Value> {
    let end = Statement::values_only().text(command.id).bind(CommandStatus::Cancelled.as_str());
    let end = end.number_opt(None::<i64>).number_opt(None::<i64>).bind(false);
    end.bind("FORBIDDEN").bind(ACTOR_LOST_RIGHT).time(now).values
}

/// Notes in a record what was revoked: the draft was made before that was known.
pub(super) fn add_losses(audit: &mut AuditDraft, losses: &Losses) {
    let Losses { commands, registration_tokens, api_keys } = losses;
    if commands.is_empty() && *registration_tokens == 0 && *api_keys == 0 {
        return;
    }
    if let Some(details) = audit.details.as_object_mut() {
        let targets = commands.iter().filter(|command| command.job_id.is_some()).count();
        let revoked = json!({
            "reason": "actor_disabled",
            "commands": commands.len() - targets,
            "job_targets": targets,
            "registration_tokens": registration_tokens,
            "api_keys": api_keys,
        });
        details.insert("revoked".into(), revoked);
    }
}

fn read_queued(row: &Row) -> StoreResult<QueuedWork> {
    let command = CancelledCommand {
        id: row.parse("id")?,
        satellite_id: row.parse("satellite_id")?,
        job_id: row.parse_opt("job_id")?,
    };
    Ok(QueuedWork { command, command_type: row.string_enum("command_type")?, team: row.parse_opt("target_team_id")? })
}
