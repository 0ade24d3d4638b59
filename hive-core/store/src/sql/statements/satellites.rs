//! Statements for satellites and their keys.

use crate::sql::many_rows::ManyRowsStatement;

macro_rules! satellite_columns {
    () => {
        "id, name, team_id, status, capabilities, tags, claimed_tags, region, satellite_url, system_info, agent_version, \
         journal_id, start_id, journal_position, conflict_at, created_at, updated_at"
    };
}

pub(in crate::sql) const SATELLITE_ROWS_COUNTED: &str = counted!("satellites s");
pub(in crate::sql) const SATELLITE_LIST: &str = concat!("SELECT ", satellite_columns!(), " FROM satellites s");
pub(in crate::sql) const SATELLITE_LIST_IDS: &str = "SELECT s.id FROM satellites s";
pub(in crate::sql) const TAG_LIST: &str = "SELECT t.tag, COUNT(*) AS satellites FROM satellite_tags t \
     JOIN satellites s ON s.id = t.satellite_id";
pub(in crate::sql) const TAG_COUNT: &str = "SELECT COUNT(DISTINCT t.tag) AS total FROM satellite_tags t \
     JOIN satellites s ON s.id = t.satellite_id";
pub(in crate::sql) const SATELLITE_GET: &str =
    concat!("SELECT ", satellite_columns!(), " FROM satellites WHERE id = $1 AND deleted_at IS NULL");
pub(in crate::sql) const SATELLITE_FIND: &str =
    concat!("SELECT ", satellite_columns!(), " FROM satellites WHERE name = $1 AND deleted_at IS NULL");
// The conditions are those of the indices `satellite_commands_open` and `satellite_commands_revoked`. The cast: PostgreSQL would
// return a 4-byte integer, which is not read as an `i64`.
pub(in crate::sql) const SATELLITE_OPEN_WORK: &str = "SELECT s.status, \
     CAST(CASE WHEN EXISTS (SELECT 1 FROM satellite_commands c WHERE c.satellite_id = s.id AND c.finished_at IS NULL) \
     THEN 1 ELSE 0 END AS BIGINT) AS has_commands, \
     CAST(CASE WHEN EXISTS (SELECT 1 FROM satellite_commands c WHERE c.satellite_id = s.id AND c.finished_at IS NOT NULL \
     AND c.journal_id IS NOT NULL AND c.error_code = 'SATELLITE_NOT_FOUND') THEN 1 ELSE 0 END AS BIGINT) AS has_revoked \
     FROM satellites s WHERE s.id = $1 AND s.deleted_at IS NULL";
pub(in crate::sql) const SATELLITE_KEY: &str = "SELECT api_key_hash, key_generation FROM satellites WHERE id = $1 AND deleted_at IS NULL AND api_key_hash IS NOT NULL";
pub(in crate::sql) const SATELLITE_BY_NAME: &str =
    "SELECT id, team_id FROM satellites WHERE name = $1 AND deleted_at IS NULL";
pub(in crate::sql) const SATELLITE_INSERT: &str = concat!(
    "INSERT INTO satellites (id, name, satellite_type, team_id, status, capabilities, tags, api_key_hash, key_generation, \
     hostname, system_info, agent_version, satellite_url, created_by, created_at, updated_at, claimed_tags) \
     VALUES ($1, $2, $3, $4, 'inactive', $5, $6, $7, 1, $8, $9, $10, $11, $12, $13, $13, $14) RETURNING ",
    satellite_columns!()
);
// A new key settles a conflict: only one of the two processes gets it.
pub(in crate::sql) const SATELLITE_RENEW: &str = concat!(
    "UPDATE satellites SET status = 'inactive', capabilities = $2, api_key_hash = $3, key_generation = key_generation + 1, \
     hostname = $4, system_info = $5, agent_version = $6, satellite_url = $7, updated_at = $8, claimed_tags = $9, \
     conflict_at = NULL WHERE id = $1 RETURNING ",
    satellite_columns!()
);
// A new key ($7) is what tells an assignment from none: the new team ($8) may be NULL in both cases.
pub(in crate::sql) const SATELLITE_UPDATE: &str = concat!(
    "UPDATE satellites SET name = COALESCE($2, name), tags = COALESCE($3, tags), status = COALESCE($4, status), \
     region = COALESCE($5, region), updated_at = $6, team_id = CASE WHEN $7 IS NULL THEN team_id ELSE $8 END, \
     satellite_type = CASE WHEN $7 IS NULL THEN satellite_type WHEN $8 IS NULL THEN 'global' ELSE 'team' END, \
     api_key_hash = COALESCE($7, api_key_hash), \
     key_generation = key_generation + CASE WHEN $7 IS NULL THEN 0 ELSE 1 END WHERE id = $1 AND deleted_at IS NULL RETURNING ",
    satellite_columns!()
);
pub(in crate::sql) static SATELLITE_GET_MANY: ManyRowsStatement = ManyRowsStatement::new(
    "wanted",
    concat!(
        "SELECT ",
        satellite_columns!(),
        " FROM satellites WHERE id IN (SELECT wanted FROM v) AND deleted_at IS NULL"
    ),
);
pub(in crate::sql) static SATELLITE_FIND_MANY: ManyRowsStatement = ManyRowsStatement::new(
    "wanted",
    concat!(
        "SELECT ",
        satellite_columns!(),
        " FROM satellites WHERE name IN (SELECT wanted FROM v) AND deleted_at IS NULL"
    ),
);
pub(in crate::sql) const SATELLITE_OF_TEAM: &str =
    "SELECT 1 AS there FROM satellites WHERE id = $1 AND deleted_at IS NULL AND team_id IS NOT DISTINCT FROM $2";
/// Keeps the current key, which is about to be replaced.
pub(in crate::sql) const SATELLITE_KEY_SUPERSEDE: &str = "INSERT INTO superseded_keys (satellite_id, generation, key_hash, superseded_at) \
     SELECT id, key_generation, api_key_hash, $2 FROM satellites \
     WHERE id = $1 AND deleted_at IS NULL AND api_key_hash IS NOT NULL";
pub(in crate::sql) const SUPERSEDED_KEYS: &str = "SELECT k.key_hash FROM superseded_keys k JOIN satellites s ON s.id = k.satellite_id \
     WHERE k.satellite_id = $1 AND s.deleted_at IS NULL ORDER BY k.generation DESC LIMIT $2";
pub(in crate::sql) const SUPERSEDED_KEYS_PRUNE: &str = "DELETE FROM superseded_keys WHERE superseded_at < $1";
// The generation increases too, so that a link with the deleted key is recognised as outdated.
pub(in crate::sql) const SATELLITE_REMOVE: &str = "UPDATE satellites SET api_key_hash = NULL, key_generation = key_generation + 1, \
     deleted_at = $2, updated_at = $2 WHERE id = $1 AND deleted_at IS NULL";
// The condition on the status makes one of several callers the one that did it.
pub(in crate::sql) const SATELLITE_ACTIVATE: &str = "UPDATE satellites SET status = 'active', updated_at = $2 \
     WHERE id = $1 AND status = 'inactive' AND deleted_at IS NULL";
pub(in crate::sql) const SATELLITE_DESCRIBE: &str = "UPDATE satellites SET hostname = COALESCE($2, hostname), \
     system_info = COALESCE($3, system_info), agent_version = COALESCE($4, agent_version) WHERE id = $1 AND deleted_at IS NULL";
// The last condition: after a later registration, the attempt of an earlier one must not replace its key.
pub(in crate::sql) const SATELLITE_REGISTERED_BY: &str = "SELECT s.id, s.name, s.team_id FROM satellites s \
     JOIN registration_tokens t ON t.satellite_id = s.id AND (t.team_id = s.team_id OR (t.team_id IS NULL AND s.team_id IS NULL)) \
     WHERE t.id = $1 AND t.attempt_hash = $2 AND t.used_at > $3 AND t.revoked_at IS NULL AND s.deleted_at IS NULL \
     AND NOT EXISTS (SELECT 1 FROM registration_tokens o WHERE o.satellite_id = s.id AND o.used_at > t.used_at)";
pub(in crate::sql) const SATELLITE_KEY_RENEW: &str = concat!(
    "UPDATE satellites SET api_key_hash = $2, key_generation = key_generation + 1, updated_at = $3 WHERE id = $1 RETURNING ",
    satellite_columns!()
);
pub(in crate::sql) const SATELLITE_JOURNAL_SET: &str =
    "UPDATE satellites SET journal_id = $2, start_id = $3, journal_position = $4 WHERE id = $1";
// Positions are buffered: one may be older than the stored one, or of a journal that was replaced since.
pub(in crate::sql) const SATELLITE_JOURNAL_ADVANCE: &str = "UPDATE satellites SET journal_position = $3 \
     WHERE id = $1 AND journal_id = $2 AND (journal_position IS NULL OR journal_position < $3)";
pub(in crate::sql) const SATELLITE_CONFLICT: &str =
    "UPDATE satellites SET conflict_at = $2 WHERE id = $1 AND deleted_at IS NULL";
pub(in crate::sql) const SATELLITE_TAGS_CLEAR: &str = "DELETE FROM satellite_tags WHERE satellite_id = $1";
pub(in crate::sql) const SATELLITE_TAG_INSERT: &str = "INSERT INTO satellite_tags (satellite_id, tag) VALUES ($1, $2)";
/// With `$5` the queued commands, without it those that were delivered.
pub(in crate::sql) const SATELLITE_COMMANDS_END: &str = "UPDATE satellite_commands SET status = $2, \
     error_code = 'SATELLITE_NOT_FOUND', error_message = $3, finished_at = $4, updated_at = $4 \
     WHERE satellite_id = $1 AND finished_at IS NULL AND (status = 'queued') = $5";
pub(in crate::sql) const SATELLITE_SESSIONS_END: &str = "UPDATE sessions SET status = 'ended', end_reason = 'killed', \
     error_code = 'SATELLITE_NOT_FOUND', error_message = $2, ended_at = $3 \
     WHERE satellite_id = $1 AND ended_at IS NULL";
