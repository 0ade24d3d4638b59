//! Statements for commands.

use crate::sql::many_rows::ManyRowsStatement;

macro_rules! command_columns {
    () => {
        "id, satellite_id, job_id, command_type, priority, payload, summary, idempotent, timeout_seconds, actor, target_team_id, status, \
         journal_id, exit_code, duration_ms, truncated, error_code, error_message, created_at, expires_at, finished_at"
    };
}

macro_rules! queued_select {
    () => {
        "SELECT id, command_type, priority, created_at FROM satellite_commands \
         WHERE satellite_id = $1 AND finished_at IS NULL AND status = 'queued' AND job_id IS NULL"
    };
}

// The start of a short command may not have been stored: it is the end less the duration, which is in milliseconds.
macro_rules! command_finish {
    () => {
        "UPDATE satellite_commands SET status = v.status, exit_code = v.exit_code, duration_ms = v.duration_ms, \
         truncated = v.truncated, error_code = v.error_code, error_message = v.error_message, \
         started_at = COALESCE(started_at, v.at - v.duration_ms * 1000), finished_at = v.at, updated_at = v.at \
         FROM v WHERE id = v.command"
    };
}

macro_rules! command_finish_columns {
    () => {
        "command, status, exit_code, duration_ms, truncated, error_code, error_message, at"
    };
}

/// Returns the commands that were inserted: none for a satellite that was removed or belongs to another team now.
pub(in crate::sql) static COMMAND_INSERT: ManyRowsStatement = ManyRowsStatement::new(
    "command, satellite, job_id, command_type, payload, summary, idempotent, timeout_seconds, actor, created_by, \
     team, status, journal_id, created_at, expires_at, delivered_at, actor_kind, authorised_by, priority, attempts",
    "INSERT INTO satellite_commands (id, satellite_id, job_id, command_type, payload, summary, idempotent, \
     timeout_seconds, actor, created_by, target_team_id, status, journal_id, truncated, created_at, expires_at, \
     delivered_at, updated_at, actor_kind, authorised_by, priority, attempts) \
     SELECT v.command, v.satellite, v.job_id, v.command_type, v.payload, v.summary, v.idempotent, v.timeout_seconds, \
     v.actor, v.created_by, v.team, v.status, v.journal_id, FALSE, v.created_at, v.expires_at, v.delivered_at, \
     v.created_at, v.actor_kind, v.authorised_by, v.priority, v.attempts FROM v \
     WHERE EXISTS (SELECT 1 FROM satellites s \
     WHERE s.id = v.satellite AND s.deleted_at IS NULL AND s.team_id IS NOT DISTINCT FROM v.team) RETURNING id",
);
// An idempotent command may run more than once, so that it may be delivered to another journal.
pub(in crate::sql) static COMMAND_DELIVER: ManyRowsStatement = ManyRowsStatement::new(
    "command, journal, at, expires",
    "UPDATE satellite_commands SET status = 'delivered', journal_id = v.journal, delivered_at = v.at, \
     updated_at = v.at, attempts = attempts + 1, expires_at = COALESCE(v.expires, expires_at) \
     FROM v WHERE id = v.command AND finished_at IS NULL AND (status = 'queued' OR idempotent) RETURNING id",
);
pub(in crate::sql) static COMMAND_START: ManyRowsStatement = ManyRowsStatement::new(
    "command, at",
    "UPDATE satellite_commands SET status = 'started', started_at = v.at, updated_at = v.at \
     FROM v WHERE id = v.command AND status = 'delivered' RETURNING id",
);
pub(in crate::sql) const COMMAND_REQUEUE: &str = "UPDATE satellite_commands SET status = 'queued', journal_id = NULL, \
     delivered_at = NULL, updated_at = $2 WHERE id = $1 AND status = 'delivered'";
pub(in crate::sql) const COMMAND_SET_EXPIRY: &str =
    "UPDATE satellite_commands SET expires_at = $2 WHERE id = $1 AND status = 'queued'";
// The first final status stays: a command that has ended matches no row.
pub(in crate::sql) static COMMAND_FINISH: ManyRowsStatement = ManyRowsStatement::new(
    command_finish_columns!(),
    concat!(command_finish!(), " AND finished_at IS NULL RETURNING id"),
);
pub(in crate::sql) static COMMAND_FINISH_QUEUED: ManyRowsStatement = ManyRowsStatement::new(
    command_finish_columns!(),
    concat!(command_finish!(), " AND satellite_commands.status = 'queued' RETURNING id"),
);
pub(in crate::sql) const COMMAND_GET: &str =
    concat!("SELECT ", command_columns!(), " FROM satellite_commands WHERE id = $1");
/// The ids follow in parentheses.
pub(in crate::sql) const COMMAND_LIST_TURNS: &str = concat!(
    "SELECT ",
    command_columns!(),
    ", (SELECT s.status FROM satellites s WHERE s.id = satellite_commands.satellite_id AND s.deleted_at IS NULL) \
     AS satellite_status FROM satellite_commands WHERE id IN "
);
pub(in crate::sql) const COMMAND_LIST_OPEN: &str = concat!(
    "SELECT ",
    command_columns!(),
    " FROM satellite_commands WHERE satellite_id = $1 AND finished_at IS NULL ORDER BY created_at, id"
);
pub(in crate::sql) const COMMAND_LIST_IN_FLIGHT: &str = "SELECT id, command_type FROM satellite_commands \
     WHERE satellite_id = $1 AND finished_at IS NULL AND status <> 'queued' ORDER BY created_at, id";
pub(in crate::sql) const COMMAND_LIST_QUEUED: &str =
    concat!(queued_select!(), " ORDER BY priority, created_at, id LIMIT $2");
// The comparison of pairs continues after the last command of the page before, in the order of `satellite_commands_open`.
pub(in crate::sql) const COMMAND_PAGE: &str = concat!(
    queued_select!(),
    " AND priority = $2 AND command_type <> 'power' AND (created_at, id) > ($3, $4) ORDER BY created_at, id LIMIT $5"
);
pub(in crate::sql) const COMMAND_PAGE_POWER: &str = concat!(
    queued_select!(),
    " AND priority = $2 AND command_type = 'power' AND (created_at, id) > ($3, $4) ORDER BY created_at, id LIMIT $5"
);
pub(in crate::sql) const COMMAND_LIST_WAITING_JOBS: &str = "SELECT DISTINCT job_id FROM satellite_commands \
     WHERE satellite_id = $1 AND finished_at IS NULL AND status = 'queued' AND job_id IS NOT NULL";
// The cast: PostgreSQL would return a 4-byte integer, which is not read as an `i64`.
pub(in crate::sql) const COMMAND_COUNT_OPEN: &str = "SELECT satellite_id, created_by, \
     CAST(CASE WHEN job_id IS NULL THEN 0 ELSE 1 END AS BIGINT) AS is_of_job, COUNT(*) AS total FROM satellite_commands \
     WHERE finished_at IS NULL GROUP BY 1, 2, 3";
pub(in crate::sql) const COMMAND_LIST: &str = concat!("SELECT ", command_columns!(), " FROM satellite_commands");
pub(in crate::sql) const COMMAND_ROWS_COUNTED: &str = counted!("satellite_commands");
/// `filter` appends the ids.
pub(in crate::sql) const COMMAND_LIST_UNFINISHED: &str = "SELECT id FROM satellite_commands";
/// Its conditions are those of the index `satellite_commands_revoked`.
pub(in crate::sql) const COMMAND_LIST_REVOKED: &str = "SELECT id FROM satellite_commands WHERE satellite_id = $1 \
     AND finished_at IS NOT NULL AND journal_id IS NOT NULL AND error_code = 'SATELLITE_NOT_FOUND' \
     AND journal_id = $2 AND finished_at > $3 ORDER BY finished_at DESC, id LIMIT $4";
// The timeout of a delivered command counts from the delivery, because the satellite may not have reported the start. Each half
// has an index of its own, with the same condition and the same expression.
pub(in crate::sql) const COMMAND_LIST_OVERDUE: &str = "SELECT id FROM (SELECT id, expires_at FROM satellite_commands \
     WHERE finished_at IS NULL AND status = 'queued' AND expires_at <= $1 UNION ALL \
     SELECT id, expires_at FROM satellite_commands \
     WHERE finished_at IS NULL AND status <> 'queued' AND delivered_at + timeout_seconds * 1000000 <= $2) AS overdue \
     ORDER BY expires_at LIMIT $3";
