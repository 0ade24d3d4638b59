//! Statements for terminal sessions.

macro_rules! session_select {
    () => {
        "SELECT s.id, s.satellite_id, t.name AS satellite_name, s.team_id, s.status, s.screen_cols, s.screen_rows, s.shell, \
         s.actor, s.created_at, s.ended_at, s.end_reason, s.exit_code, s.error_code, s.error_message \
         FROM sessions s JOIN satellites t ON t.id = s.satellite_id"
    };
}

/// Counts and inserts in one statement. The transaction holds the write lock, so that the count stays true.
pub(in crate::sql) const SESSION_INSERT: &str = "INSERT INTO sessions (id, satellite_id, team_id, status, screen_cols, \
     screen_rows, shell, actor, actor_kind, created_by, authorised_by, created_at) \
     SELECT $1, $2, $3, 'starting', $4, $5, $6, $7, $8, $9, $10, $11 \
     WHERE (SELECT COUNT(*) FROM sessions WHERE satellite_id = $2 AND ended_at IS NULL) < $12 \
     AND EXISTS (SELECT 1 FROM satellites WHERE id = $2 AND deleted_at IS NULL AND team_id IS NOT DISTINCT FROM $3)";
pub(in crate::sql) const SESSION_OPEN: &str =
    "UPDATE sessions SET status = 'open' WHERE id = $1 AND status = 'starting'";
pub(in crate::sql) const SESSION_END: &str = "UPDATE sessions SET status = 'ended', end_reason = $2, exit_code = $3, \
     error_code = $4, error_message = $5, ended_at = $6 WHERE id = $1 AND ended_at IS NULL";
pub(in crate::sql) const SESSION_RESIZE: &str =
    "UPDATE sessions SET screen_cols = $2, screen_rows = $3 WHERE id = $1 AND ended_at IS NULL";
pub(in crate::sql) const SESSION_LIST_OPEN_IDS: &str =
    "SELECT id FROM sessions WHERE ended_at IS NULL ORDER BY created_at, id";
pub(in crate::sql) const SESSION_LIST: &str = session_select!();
pub(in crate::sql) const SESSION_ROWS_COUNTED: &str = counted!("sessions s");
pub(in crate::sql) const SESSION_GET: &str = concat!(session_select!(), " WHERE s.id = $1");
