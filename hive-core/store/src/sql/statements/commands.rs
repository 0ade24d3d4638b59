//! Statements for commands.

macro_rules! command_columns {
    () => {
        "id, satellite_id, job_id, command_type, priority, payload, summary, idempotent, timeout_seconds, actor, target_team_id, status, \
         journal_id, exit_code, duration_ms, truncated, error_code, error_message, created_at, expires_at, finished_at"
    };
}

macro_rules! command_insert {
    () => {
        "INSERT INTO satellite_commands (id, satellite_id, job_id, command_type, payload, summary, idempotent, \
         timeout_seconds, actor, created_by, target_team_id, status, journal_id, truncated, created_at, expires_at, \
         delivered_at, updated_at, actor_kind, authorised_by, priority, attempts) \
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, FALSE, $14, $15, $16, $14, $17, $18, $19, $20 \
         WHERE EXISTS (SELECT 1 FROM satellites \
         WHERE id = $2 AND deleted_at IS NULL AND team_id IS NOT DISTINCT FROM $11)"
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
        "UPDATE satellite_commands SET status = $2, exit_code = $3, duration_ms = $4, truncated = $5, error_code = $6, \
         error_message = $7, started_at = COALESCE(started_at, $8 - $4 * 1000), finished_at = $8, updated_at = $8 \
         WHERE id = $1"
    };
}

/// Inserts nothing if the satellite was removed or belongs to another team now.
pub(in crate::sql) const COMMAND_INSERT: &str = command_insert!();
/// Both statements in one call, as two statements: SQLite has no INSERT in a WITH clause.
#[cfg(feature = "sqlite")]
pub(crate) const SQLITE_COMMAND_INSERT_AND_AUDIT: &str = concat!(
    command_insert!(),
    "; INSERT INTO audit_log (",
    audit_columns!(),
    ") SELECT ",
    audit_values_behind!(),
    " WHERE EXISTS (SELECT 1 FROM satellite_commands WHERE id = $1)"
);
/// Both in one statement: the extended protocol of PostgreSQL takes only one.
#[cfg(feature = "postgres")]
pub(crate) const POSTGRES_COMMAND_INSERT_AND_AUDIT: &str = concat!(
    "WITH command AS (",
    command_insert!(),
    " RETURNING id) INSERT INTO audit_log (",
    audit_columns!(),
    ") SELECT ",
    audit_values_behind!(),
    " FROM command"
);
// An idempotent command may run more than once, so that it may be delivered to another journal.
pub(in crate::sql) const COMMAND_DELIVER: &str = "UPDATE satellite_commands SET status = 'delivered', journal_id = $2, \
     delivered_at = $3, updated_at = $3, attempts = attempts + 1, expires_at = COALESCE($4, expires_at) WHERE id = $1 AND finished_at IS NULL AND (status = 'queued' OR idempotent)";
pub(in crate::sql) const COMMAND_START: &str = "UPDATE satellite_commands SET status = 'started', started_at = $2, updated_at = $2 \
     WHERE id = $1 AND status = 'delivered'";
pub(in crate::sql) const COMMAND_REQUEUE: &str = "UPDATE satellite_commands SET status = 'queued', journal_id = NULL, \
     delivered_at = NULL, updated_at = $2 WHERE id = $1 AND status = 'delivered'";
pub(in crate::sql) const COMMAND_SET_EXPIRY: &str =
    "UPDATE satellite_commands SET expires_at = $2 WHERE id = $1 AND status = 'queued'";
// The first final status stays: a command that has ended matches no row.
pub(in crate::sql) const COMMAND_FINISH: &str = concat!(command_finish!(), " AND finished_at IS NULL");
pub(in crate::sql) const COMMAND_FINISH_QUEUED: &str = concat!(command_finish!(), " AND status = 'queued'");
pub(in crate::sql) const COMMAND_GET: &str =
    concat!("SELECT ", command_columns!(), " FROM satellite_commands WHERE id = $1");
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
pub(in crate::sql) const COMMAND_PAGE_NEWEST: &str = " ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?";
pub(in crate::sql) const COMMAND_COUNT: &str = "SELECT COUNT(*) AS total FROM satellite_commands";
/// Its conditions are those of the index `satellite_commands_revoked`.
pub(in crate::sql) const COMMAND_LIST_REVOKED: &str = "SELECT id FROM satellite_commands WHERE satellite_id = $1 \
     AND finished_at IS NOT NULL AND journal_id IS NOT NULL AND error_code = 'SATELLITE_NOT_FOUND' \
     AND journal_id = $2 AND finished_at > $3 ORDER BY finished_at DESC, id LIMIT $4";
// The timeout of a delivered command counts from the delivery, because the satellite may not have reported the start.
pub(in crate::sql) const COMMAND_LIST_OVERDUE: &str = "SELECT id FROM satellite_commands WHERE finished_at IS NULL \
     AND CASE status WHEN 'queued' THEN expires_at ELSE delivered_at + timeout_seconds * 1000000 + $2 END <= $1 \
     ORDER BY expires_at LIMIT $3";
