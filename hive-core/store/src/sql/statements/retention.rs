//! Statements that delete what is kept long enough. Each changes a bounded number of rows.

// CROSS JOIN: SQLite then reads the chunks in the order of their commands, the oldest first, and stops at the limit.
macro_rules! old_chunks {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM command_output o CROSS JOIN satellite_commands c WHERE c.id = o.command_id AND o.command_id <= $2 \
             AND c.finished_at < $1 ORDER BY o.command_id, o.channel DESC, o.first_byte DESC LIMIT $3"
        )
    };
}

// A job is created before it ends, so that the index on its creation finds those that are old.
macro_rules! old_jobs_without_targets {
    () => {
        "SELECT j.id FROM jobs j WHERE j.created_at < $1 AND j.finished_at < $1 \
         AND NOT EXISTS (SELECT 1 FROM job_targets t WHERE t.job_id = j.id) ORDER BY j.created_at, j.id LIMIT $2"
    };
}

pub(in crate::sql) const OUTPUT_PRUNE_MARK: &str = concat!(
    "UPDATE satellite_commands SET truncated = TRUE WHERE NOT truncated AND id IN (SELECT command_id FROM (",
    old_chunks!("o.command_id"),
    ") chunks)"
);
pub(in crate::sql) const OUTPUT_PRUNE: &str = concat!(
    "DELETE FROM command_output WHERE (command_id, channel, first_byte) IN (",
    old_chunks!("o.command_id, o.channel, o.first_byte"),
    ")"
);
pub(in crate::sql) const COMMAND_PRUNE: &str = "DELETE FROM satellite_commands WHERE id IN (SELECT c.id \
     FROM satellite_commands c WHERE c.id <= $2 AND c.finished_at < $1 \
     AND NOT EXISTS (SELECT 1 FROM job_targets t WHERE t.command_id = c.id) \
     AND NOT EXISTS (SELECT 1 FROM command_output o WHERE o.command_id = c.id) ORDER BY c.id LIMIT $3)";
pub(in crate::sql) const JOB_TARGETS_PRUNE: &str = "DELETE FROM job_targets WHERE (job_id, place) IN (SELECT t.job_id, t.place \
     FROM jobs j CROSS JOIN job_targets t WHERE t.job_id = j.id AND j.created_at < $1 AND j.finished_at < $1 \
     ORDER BY j.created_at, j.id, t.place DESC LIMIT $2)";
pub(in crate::sql) const JOB_TEAMS_PRUNE: &str =
    concat!("DELETE FROM job_teams WHERE job_id IN (", old_jobs_without_targets!(), ")");
pub(in crate::sql) const JOB_PRUNE: &str = concat!("DELETE FROM jobs WHERE id IN (", old_jobs_without_targets!(), ")");
pub(in crate::sql) const SESSION_PRUNE: &str = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions \
     WHERE created_at < $1 AND ended_at < $1 ORDER BY created_at, id LIMIT $2)";
pub(in crate::sql) const SATELLITE_TAGS_PRUNE: &str = "DELETE FROM satellite_tags WHERE (satellite_id, tag) IN \
     (SELECT g.satellite_id, g.tag FROM satellites s CROSS JOIN satellite_tags g WHERE g.satellite_id = s.id \
     AND s.deleted_at < $1 LIMIT $2)";
pub(in crate::sql) const SATELLITE_KEYS_PRUNE: &str = "DELETE FROM superseded_keys WHERE (satellite_id, generation) IN \
     (SELECT k.satellite_id, k.generation FROM satellites s CROSS JOIN superseded_keys k WHERE k.satellite_id = s.id \
     AND s.deleted_at < $1 LIMIT $2)";
// The name stays: sessions show it.
pub(in crate::sql) const SATELLITE_CLEAR: &str = "UPDATE satellites SET capabilities = '[]', tags = '[]', claimed_tags = '[]', \
     hostname = '', system_info = '{}', start_id = NULL, journal_id = NULL, journal_position = NULL, conflict_at = NULL, \
     agent_version = NULL, satellite_url = NULL, region = NULL WHERE id IN (SELECT id FROM satellites \
     WHERE deleted_at < $1 AND (capabilities <> '[]' OR tags <> '[]' OR claimed_tags <> '[]' OR hostname <> '' \
     OR system_info <> '{}' OR start_id IS NOT NULL OR journal_id IS NOT NULL OR journal_position IS NOT NULL \
     OR conflict_at IS NOT NULL OR agent_version IS NOT NULL OR satellite_url IS NOT NULL \
     OR region IS NOT NULL) LIMIT $2)";
pub(in crate::sql) const SATELLITE_PRUNE: &str = "DELETE FROM satellites WHERE id IN (SELECT s.id FROM satellites s \
     WHERE s.deleted_at < $1 AND NOT EXISTS (SELECT 1 FROM satellite_commands c WHERE c.satellite_id = s.id) \
     AND NOT EXISTS (SELECT 1 FROM sessions e WHERE e.satellite_id = s.id) \
     AND NOT EXISTS (SELECT 1 FROM satellite_tags g WHERE g.satellite_id = s.id) \
     AND NOT EXISTS (SELECT 1 FROM superseded_keys k WHERE k.satellite_id = s.id) LIMIT $2)";
/// Nothing if the last record is not there with its hash: another process was first, or the log was changed.
pub(in crate::sql) const AUDIT_PRUNE: &str = "DELETE FROM audit_log WHERE seq BETWEEN $1 AND $2 \
     AND EXISTS (SELECT 1 FROM audit_log l WHERE l.seq = $2 AND l.hash = $3)";
