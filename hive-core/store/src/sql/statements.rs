//! The SQL statements of all databases. SQL that differs between databases is in their `Dialect`. Conditions that depend on
//! a query are added by `filter`.

macro_rules! satellite_columns {
    () => {
        "id, name, team_id, status, capabilities, tags, claimed_tags, region, satellite_url, system_info, agent_version, \
         last_heartbeat, journal_id, start_id, journal_position, conflict_at, created_at, updated_at"
    };
}

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

macro_rules! command_finish {
    () => {
        "UPDATE satellite_commands SET status = $2, exit_code = $3, duration_ms = $4, truncated = $5, error_code = $6, \
         error_message = $7, started_at = COALESCE(started_at, $8 - $4 * 1000), finished_at = $8, updated_at = $8 WHERE id = $1"
    };
}

macro_rules! job_columns {
    () => {
        "j.id, j.status, j.summary, j.asked, j.teams, j.concurrency, j.timeout_seconds, j.expires_in_seconds, j.actor, \
         j.created_at, j.deadline_at, j.cancelled_at, j.finished_at, j.counts"
    };
}

macro_rules! session_select {
    () => {
        "SELECT s.id, s.satellite_id, t.name AS satellite_name, s.team_id, s.status, s.screen_cols, s.screen_rows, s.shell, \
         s.actor, s.created_at, s.ended_at, s.end_reason, s.exit_code, s.error_code, s.error_message \
         FROM sessions s JOIN satellites t ON t.id = s.satellite_id"
    };
}

macro_rules! token_columns {
    () => {
        "id, scope, team_id, description, created_by, created_at, expires_at, used_at, revoked_at, tags, allowed_tags, \
         for_satellite"
    };
}

macro_rules! user_columns {
    () => {
        "id, username, role, password_hash, login_generation, created_at, disabled_at"
    };
}

macro_rules! api_key_columns {
    () => {
        "id, user_id, name, key_hash, scopes, created_at, expires_at, revoked_at"
    };
}

macro_rules! audit_columns {
    () => {
        "seq, id, timestamp, actor_id, actor_name, action, target_type, target_id, satellite_id, team_id, record, \
         previous_hash, hash"
    };
}

macro_rules! audit_values_behind {
    () => {
        "$21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33"
    };
}

// Which hive it is

pub(super) const HIVE_GET: &str = "SELECT id, created_at, keys FROM hive";
pub(super) const HIVE_INSERT: &str = "INSERT INTO hive (id, created_at, keys) VALUES ($1, $2, $3)";
pub(super) const HIVE_KEYS_SET: &str = "UPDATE hive SET keys = $1";

// Satellites

pub(super) const SATELLITE_COUNT: &str = "SELECT COUNT(*) AS total FROM satellites s";
pub(super) const SATELLITE_LIST: &str = concat!("SELECT ", satellite_columns!(), " FROM satellites s");
pub(super) const SATELLITE_GET: &str =
    concat!("SELECT ", satellite_columns!(), " FROM satellites WHERE id = $1 AND deleted_at IS NULL");
pub(super) const SATELLITE_FIND: &str =
    concat!("SELECT ", satellite_columns!(), " FROM satellites WHERE name = $1 AND deleted_at IS NULL");
pub(super) const SATELLITE_KEY: &str = "SELECT api_key_hash, key_generation FROM satellites WHERE id = $1 AND deleted_at IS NULL AND api_key_hash IS NOT NULL";
pub(super) const SATELLITE_BY_NAME: &str = "SELECT id, team_id FROM satellites WHERE name = $1 AND deleted_at IS NULL";
pub(super) const SATELLITE_INSERT: &str = concat!(
    "INSERT INTO satellites (id, name, satellite_type, team_id, status, capabilities, tags, api_key_hash, key_generation, \
     hostname, system_info, agent_version, satellite_url, created_by, created_at, updated_at, claimed_tags) \
     VALUES ($1, $2, $3, $4, 'inactive', $5, $6, $7, 1, $8, $9, $10, $11, $12, $13, $13, $14) RETURNING ",
    satellite_columns!()
);
pub(super) const SATELLITE_RENEW: &str = concat!(
    "UPDATE satellites SET status = 'inactive', capabilities = $2, api_key_hash = $3, key_generation = key_generation + 1, \
     hostname = $4, system_info = $5, agent_version = $6, satellite_url = $7, updated_at = $8, claimed_tags = $9, \
     conflict_at = NULL WHERE id = $1 RETURNING ",
    satellite_columns!()
);
pub(super) const SATELLITE_UPDATE: &str = concat!(
    "UPDATE satellites SET name = COALESCE($2, name), tags = COALESCE($3, tags), status = COALESCE($4, status), \
     region = COALESCE($5, region), updated_at = $6, team_id = CASE WHEN $7 IS NULL THEN team_id ELSE $8 END, \
     satellite_type = CASE WHEN $7 IS NULL THEN satellite_type WHEN $8 IS NULL THEN 'global' ELSE 'team' END, \
     api_key_hash = COALESCE($7, api_key_hash), \
     key_generation = key_generation + CASE WHEN $7 IS NULL THEN 0 ELSE 1 END WHERE id = $1 AND deleted_at IS NULL RETURNING ",
    satellite_columns!()
);
pub(super) const SATELLITE_OF_TEAM: &str =
    "SELECT 1 AS there FROM satellites WHERE id = $1 AND deleted_at IS NULL AND team_id IS NOT DISTINCT FROM $2";
/// Keeps the current key, which is about to be replaced.
pub(super) const SATELLITE_KEY_SUPERSEDE: &str = "INSERT INTO superseded_keys (satellite_id, generation, key_hash, superseded_at) \
     SELECT id, key_generation, api_key_hash, $2 FROM satellites \
     WHERE id = $1 AND deleted_at IS NULL AND api_key_hash IS NOT NULL";
pub(super) const SUPERSEDED_KEYS: &str = "SELECT k.key_hash FROM superseded_keys k JOIN satellites s ON s.id = k.satellite_id \
     WHERE k.satellite_id = $1 AND s.deleted_at IS NULL ORDER BY k.generation DESC LIMIT $2";
pub(super) const SUPERSEDED_KEYS_PRUNE: &str = "DELETE FROM superseded_keys WHERE superseded_at < $1";
pub(super) const SATELLITE_REMOVE: &str = "UPDATE satellites SET api_key_hash = NULL, key_generation = key_generation + 1, \
     deleted_at = $2, updated_at = $2 WHERE id = $1 AND deleted_at IS NULL";
pub(super) const SATELLITE_ACTIVATE: &str = "UPDATE satellites SET status = 'active', updated_at = $2 \
     WHERE id = $1 AND status = 'inactive' AND deleted_at IS NULL";
pub(super) const SATELLITE_SEEN: &str = "UPDATE satellites SET \
     last_heartbeat = CASE WHEN last_heartbeat > $2 THEN last_heartbeat ELSE $2 END, hostname = COALESCE($3, hostname), \
     system_info = COALESCE($4, system_info), agent_version = COALESCE($5, agent_version) WHERE id = $1 AND deleted_at IS NULL";
pub(super) const SATELLITE_REGISTERED_BY: &str = "SELECT s.id, s.name, s.team_id FROM satellites s \
     JOIN registration_tokens t ON t.satellite_id = s.id AND (t.team_id = s.team_id OR (t.team_id IS NULL AND s.team_id IS NULL)) \
     WHERE t.id = $1 AND t.attempt_hash = $2 AND t.used_at > $3 AND t.revoked_at IS NULL AND s.deleted_at IS NULL \
     AND NOT EXISTS (SELECT 1 FROM registration_tokens o WHERE o.satellite_id = s.id AND o.used_at > t.used_at)";
pub(super) const SATELLITE_KEY_RENEW: &str = concat!(
    "UPDATE satellites SET api_key_hash = $2, key_generation = key_generation + 1, updated_at = $3 WHERE id = $1 RETURNING ",
    satellite_columns!()
);
pub(super) const SATELLITE_JOURNAL_SET: &str =
    "UPDATE satellites SET journal_id = $2, start_id = $3, journal_position = $4 WHERE id = $1";
pub(super) const SATELLITE_JOURNAL_ADVANCE: &str = "UPDATE satellites SET journal_position = $3 \
     WHERE id = $1 AND journal_id = $2 AND (journal_position IS NULL OR journal_position < $3)";
pub(super) const SATELLITE_CONFLICT: &str =
    "UPDATE satellites SET conflict_at = $2 WHERE id = $1 AND deleted_at IS NULL";
pub(super) const SATELLITE_TAGS_CLEAR: &str = "DELETE FROM satellite_tags WHERE satellite_id = $1";
pub(super) const SATELLITE_TAG_INSERT: &str = "INSERT INTO satellite_tags (satellite_id, tag) VALUES ($1, $2)";
/// With `$5` the queued commands, without it those that were delivered.
pub(super) const SATELLITE_COMMANDS_END: &str = "UPDATE satellite_commands SET status = $2, \
     error_code = 'SATELLITE_NOT_FOUND', error_message = $3, finished_at = $4, updated_at = $4 \
     WHERE satellite_id = $1 AND finished_at IS NULL AND (status = 'queued') = $5";
pub(super) const SATELLITE_SESSIONS_END: &str = "UPDATE sessions SET status = 'ended', end_reason = 'killed', \
     error_code = 'SATELLITE_NOT_FOUND', error_message = $2, ended_at = $3 \
     WHERE satellite_id = $1 AND ended_at IS NULL";

// Commands

/// Inserts nothing if the satellite was removed or belongs to another team now.
pub(super) const COMMAND_INSERT: &str = command_insert!();
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
pub(super) const COMMAND_DELIVER: &str = "UPDATE satellite_commands SET status = 'delivered', journal_id = $2, \
     delivered_at = $3, updated_at = $3, attempts = attempts + 1, expires_at = COALESCE($4, expires_at) WHERE id = $1 AND finished_at IS NULL AND (status = 'queued' OR idempotent)";
pub(super) const COMMAND_START: &str = "UPDATE satellite_commands SET status = 'started', started_at = $2, updated_at = $2 \
     WHERE id = $1 AND status = 'delivered'";
pub(super) const COMMAND_REQUEUE: &str = "UPDATE satellite_commands SET status = 'queued', journal_id = NULL, \
     delivered_at = NULL, updated_at = $2 WHERE id = $1 AND status = 'delivered'";
pub(super) const COMMAND_SET_EXPIRY: &str =
    "UPDATE satellite_commands SET expires_at = $2 WHERE id = $1 AND status = 'queued'";
pub(super) const COMMAND_FINISH: &str = concat!(command_finish!(), " AND finished_at IS NULL");
pub(super) const COMMAND_FINISH_QUEUED: &str = concat!(command_finish!(), " AND status = 'queued'");
pub(super) const COMMAND_GET: &str = concat!("SELECT ", command_columns!(), " FROM satellite_commands WHERE id = $1");
pub(super) const COMMAND_LIST_OPEN: &str = concat!(
    "SELECT ",
    command_columns!(),
    " FROM satellite_commands WHERE satellite_id = $1 AND finished_at IS NULL ORDER BY created_at, id"
);
pub(super) const COMMAND_LIST_IN_FLIGHT: &str = concat!(
    "SELECT ",
    command_columns!(),
    " FROM satellite_commands WHERE satellite_id = $1 AND finished_at IS NULL AND status <> 'queued' \
     ORDER BY created_at, id"
);
pub(super) const COMMAND_LIST_QUEUED: &str = concat!(queued_select!(), " ORDER BY priority, created_at, id LIMIT $2");
pub(super) const COMMAND_PAGE: &str = concat!(
    queued_select!(),
    " AND priority = $2 AND command_type <> 'power' AND (created_at, id) > ($3, $4) ORDER BY created_at, id LIMIT $5"
);
pub(super) const COMMAND_PAGE_POWER: &str = concat!(
    queued_select!(),
    " AND priority = $2 AND command_type = 'power' AND (created_at, id) > ($3, $4) ORDER BY created_at, id LIMIT $5"
);
pub(super) const COMMAND_LIST_WAITING_JOBS: &str = "SELECT DISTINCT job_id FROM satellite_commands \
     WHERE satellite_id = $1 AND finished_at IS NULL AND status = 'queued' AND job_id IS NOT NULL";
pub(super) const COMMAND_COUNT_OPEN: &str = "SELECT satellite_id, created_by, \
     CAST(CASE WHEN job_id IS NULL THEN 0 ELSE 1 END AS BIGINT) AS is_of_job, COUNT(*) AS total FROM satellite_commands \
     WHERE finished_at IS NULL GROUP BY 1, 2, 3";
pub(super) const COMMAND_LIST: &str = concat!("SELECT ", command_columns!(), " FROM satellite_commands");
pub(super) const COMMAND_PAGE_NEWEST: &str = " ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?";
pub(super) const COMMAND_COUNT: &str = "SELECT COUNT(*) AS total FROM satellite_commands";
/// Its conditions are those of the index `satellite_commands_revoked`.
pub(super) const COMMAND_LIST_REVOKED: &str = "SELECT id FROM satellite_commands WHERE satellite_id = $1 \
     AND finished_at IS NOT NULL AND journal_id IS NOT NULL AND error_code = 'SATELLITE_NOT_FOUND' \
     AND journal_id = $2 AND finished_at > $3 ORDER BY finished_at DESC, id LIMIT $4";
pub(super) const COMMAND_LIST_OVERDUE: &str = "SELECT id FROM satellite_commands WHERE finished_at IS NULL \
     AND CASE status WHEN 'queued' THEN expires_at ELSE delivered_at + timeout_seconds * 1000000 + $2 END <= $1 \
     ORDER BY expires_at LIMIT $3";
pub(super) const OUTPUT_LENGTH: &str = "SELECT first_byte + length AS total FROM command_output \
     WHERE command_id = $1 AND channel = $2 ORDER BY first_byte DESC LIMIT 1";
pub(super) const OUTPUT_INSERT: &str =
    "INSERT INTO command_output (command_id, channel, first_byte, length, bytes) VALUES ($1, $2, $3, $4, $5)";
pub(super) const OUTPUT_LENGTHS: &str = "SELECT channel, MAX(first_byte + length) AS total FROM command_output \
     WHERE command_id = $1 GROUP BY channel";
pub(super) const OUTPUT_CHUNKS: &str = "SELECT first_byte, bytes FROM command_output \
     WHERE command_id = $1 AND channel = $2 AND first_byte + length > $3 ORDER BY first_byte LIMIT $4";
pub(super) const IDEMPOTENCY_PURGE: &str = "DELETE FROM idempotency_keys WHERE expires_at <= $1";
pub(super) const IDEMPOTENCY_FIND: &str =
    "SELECT body_hash, command_ids, job_id FROM idempotency_keys WHERE owner = $1 AND key = $2";
pub(super) const IDEMPOTENCY_INSERT: &str = "INSERT INTO idempotency_keys (owner, key, body_hash, command_ids, job_id, expires_at) VALUES ($1, $2, $3, $4, $5, $6)";

// Jobs

pub(super) const JOB_INSERT: &str = "INSERT INTO jobs (id, payload, summary, asked, teams, status, concurrency, \
     timeout_seconds, expires_in_seconds, actor, actor_kind, created_by, authorised_by, created_at, deadline_at) \
     VALUES ($1, $2, $3, $4, $5, 'running', $6, $7, $8, $9, $10, $11, $12, $13, $14)";
pub(super) const JOB_TEAM_INSERT: &str = "INSERT INTO job_teams (job_id, team_id) VALUES ($1, $2)";
pub(super) const JOB_TARGET_INSERT: &str = "INSERT INTO job_targets (job_id, place, satellite_id, satellite_name, \
     team_id, command_id, error_code, error_message) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
pub(super) const JOB_PAYLOAD: &str = "SELECT payload FROM jobs WHERE id = $1";
pub(super) const JOB_GET: &str = concat!("SELECT ", job_columns!(), " FROM jobs j WHERE j.id = $1");
pub(super) const JOB_LIST: &str = concat!("SELECT ", job_columns!(), " FROM jobs j");
pub(super) const JOB_PAGE: &str = " ORDER BY j.created_at DESC, j.id DESC LIMIT ? OFFSET ?";
pub(super) const JOB_COUNT: &str = "SELECT COUNT(*) AS total FROM jobs j";
/// `filter` appends the teams in sight.
pub(super) const JOB_TEAMS_ELSEWHERE: &str = "SELECT 1 FROM job_teams t WHERE t.job_id = j.id AND t.team_id";
pub(super) const JOB_LIST_OPEN: &str = "SELECT id FROM jobs WHERE finished_at IS NULL ORDER BY created_at, id";
pub(super) const JOB_COUNTS: &str = "SELECT c.status AS status, COUNT(*) AS targets FROM job_targets t \
     LEFT JOIN satellite_commands c ON c.id = t.command_id WHERE t.job_id = $1 GROUP BY c.status";
pub(super) const JOB_TARGET_LIST: &str = "SELECT t.satellite_id, t.satellite_name, t.team_id, t.command_id, c.status, \
     c.exit_code, c.duration_ms, COALESCE(c.truncated, FALSE) AS truncated, \
     COALESCE(t.error_code, c.error_code) AS error_code, COALESCE(t.error_message, c.error_message) AS error_message, \
     c.expires_at, c.finished_at, \
     COALESCE((SELECT MAX(first_byte + length) FROM command_output WHERE command_id = t.command_id \
     AND channel = 'stdout'), 0) AS stdout_bytes, \
     COALESCE((SELECT MAX(first_byte + length) FROM command_output WHERE command_id = t.command_id \
     AND channel = 'stderr'), 0) AS stderr_bytes \
     FROM job_targets t LEFT JOIN satellite_commands c ON c.id = t.command_id \
     WHERE t.job_id = $1 ORDER BY t.place LIMIT $2 OFFSET $3";
pub(super) const JOB_TARGET_COUNT: &str = "SELECT COUNT(*) AS total FROM job_targets WHERE job_id = $1";
pub(super) const JOB_CANCEL: &str =
    "UPDATE jobs SET status = 'cancelling', cancelled_at = $2 WHERE id = $1 AND status = 'running'";
pub(super) const JOB_COMMANDS_CANCEL: &str = "UPDATE satellite_commands SET status = 'cancelled', finished_at = $2, \
     updated_at = $2 WHERE status = 'queued' AND id IN (SELECT command_id FROM job_targets WHERE job_id = $1)";
pub(super) const JOB_FINISH: &str = "UPDATE jobs SET status = $2, counts = $3, finished_at = $4 \
     WHERE id = $1 AND finished_at IS NULL AND NOT EXISTS (SELECT 1 FROM job_targets t \
     JOIN satellite_commands c ON c.id = t.command_id WHERE t.job_id = $1 AND c.finished_at IS NULL)";

// Sessions

/// Counts and inserts in one statement. The transaction holds the write lock, so that the count stays true.
pub(super) const SESSION_INSERT: &str = "INSERT INTO sessions (id, satellite_id, team_id, status, screen_cols, \
     screen_rows, shell, actor, actor_kind, created_by, authorised_by, created_at) \
     SELECT $1, $2, $3, 'starting', $4, $5, $6, $7, $8, $9, $10, $11 \
     WHERE (SELECT COUNT(*) FROM sessions WHERE satellite_id = $2 AND ended_at IS NULL) < $12 \
     AND EXISTS (SELECT 1 FROM satellites WHERE id = $2 AND deleted_at IS NULL AND team_id IS NOT DISTINCT FROM $3)";
pub(super) const SESSION_OPEN: &str = "UPDATE sessions SET status = 'open' WHERE id = $1 AND status = 'starting'";
pub(super) const SESSION_END: &str = "UPDATE sessions SET status = 'ended', end_reason = $2, exit_code = $3, \
     error_code = $4, error_message = $5, ended_at = $6 WHERE id = $1 AND ended_at IS NULL";
pub(super) const SESSION_RESIZE: &str =
    "UPDATE sessions SET screen_cols = $2, screen_rows = $3 WHERE id = $1 AND ended_at IS NULL";
pub(super) const SESSION_LIST_OPEN_IDS: &str = "SELECT id FROM sessions WHERE ended_at IS NULL ORDER BY created_at, id";
pub(super) const SESSION_LIST: &str = session_select!();
pub(super) const SESSION_GET: &str = concat!(session_select!(), " WHERE s.id = $1");

// Users, teams, API keys, registration tokens

pub(super) const USER_INSERT: &str =
    "INSERT INTO users (id, username, role, password_hash, created_at) VALUES ($1, $2, $3, $4, $5)";
pub(super) const USER_GET: &str = concat!("SELECT ", user_columns!(), " FROM users WHERE id = $1");
pub(super) const USER_FIND: &str = concat!("SELECT ", user_columns!(), " FROM users WHERE username = $1");
pub(super) const USER_LIST: &str =
    concat!("SELECT ", user_columns!(), " FROM users ORDER BY username LIMIT $1 OFFSET $2");
pub(super) const USER_COUNT: &str = "SELECT COUNT(*) AS total FROM users";
/// Checks that another admin remains in the statement that changes one. The transaction holds the write lock, so that the
/// other one is not changed at the same time.
pub(super) const USER_UPDATE: &str = concat!(
    "UPDATE users SET role = $2, disabled_at = $3, login_generation = login_generation + $4 WHERE id = $1 \
     AND (($2 = 'global_admin' AND $3 IS NULL) OR role <> 'global_admin' OR disabled_at IS NOT NULL \
     OR EXISTS (SELECT 1 FROM users o WHERE o.id <> $1 AND o.role = 'global_admin' AND o.disabled_at IS NULL)) RETURNING ",
    user_columns!()
);
pub(super) const USER_PASSWORD_SET: &str = "UPDATE users SET password_hash = $2, login_generation = login_generation + 1 \
     WHERE id = $1 AND ($3 IS NULL OR password_hash = $3)";
pub(super) const TEAM_INSERT: &str = "INSERT INTO teams (id, slug, created_at) VALUES ($1, $2, $3)";
pub(super) const TEAM_LIST: &str = "SELECT id, slug, created_at FROM teams ORDER BY slug";
pub(super) const TEAM_MEMBER_PUT: &str = "INSERT INTO team_members (team_id, user_id, role) VALUES ($1, $2, $3) \
     ON CONFLICT (team_id, user_id) DO UPDATE SET role = excluded.role";
pub(super) const TEAM_MEMBER_REMOVE: &str = "DELETE FROM team_members WHERE team_id = $1 AND user_id = $2";
pub(super) const TEAM_MEMBER_LIST: &str = "SELECT m.user_id, u.username, m.role FROM team_members m \
     JOIN users u ON u.id = m.user_id WHERE m.team_id = $1 ORDER BY u.username";
pub(super) const TEAM_MEMBERSHIPS: &str = "SELECT team_id, role FROM team_members WHERE user_id = $1 ORDER BY team_id";
pub(super) const API_KEY_INSERT: &str =
    concat!("INSERT INTO api_keys (", api_key_columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
/// One row for each team of the owner, or one without a team.
pub(super) const API_KEY_OWNER: &str = "SELECT k.id, k.user_id, k.name, k.key_hash, k.scopes, k.created_at, k.expires_at, \
     k.revoked_at, u.username, u.role, u.created_at AS user_created_at, u.disabled_at, m.team_id, m.role AS team_role \
     FROM api_keys k JOIN users u ON u.id = k.user_id LEFT JOIN team_members m ON m.user_id = k.user_id WHERE k.id = $1";
pub(super) const API_KEY_LIST: &str =
    concat!("SELECT ", api_key_columns!(), " FROM api_keys WHERE user_id = $1 ORDER BY created_at DESC, id DESC");
pub(super) const API_KEY_ROTATE: &str = concat!(
    "UPDATE api_keys SET key_hash = $3 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL \
     AND (expires_at IS NULL OR expires_at > $4) RETURNING ",
    api_key_columns!()
);
pub(super) const API_KEY_REVOKE: &str =
    "UPDATE api_keys SET revoked_at = $3 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL";
pub(super) const TOKEN_INSERT: &str = "INSERT INTO registration_tokens (id, scope, team_id, description, actor, \
     actor_kind, created_by, authorised_by, created_at, expires_at, tags, allowed_tags, for_satellite) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
pub(super) const TOKEN_ROW: &str =
    concat!("SELECT actor, max_uses, ", token_columns!(), " FROM registration_tokens WHERE id = $1");
pub(super) const TOKEN_GET: &str = concat!("SELECT ", token_columns!(), " FROM registration_tokens WHERE id = $1");
pub(super) const TOKEN_LIST: &str = concat!("SELECT ", token_columns!(), " FROM registration_tokens t");
pub(super) const TOKEN_TAKE: &str = "UPDATE registration_tokens SET used_at = $2, uses = uses + 1, \
     attempt_hash = $3, satellite_id = $4 \
     WHERE id = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $2";
pub(super) const TOKEN_REVOKE: &str =
    "UPDATE registration_tokens SET revoked_at = $2 WHERE id = $1 AND used_at IS NULL AND revoked_at IS NULL";

// Audit

pub(super) const AUDIT_INSERT: &str = concat!(
    "INSERT INTO audit_log (",
    audit_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
);
pub(super) const AUDIT_LIST: &str = "SELECT seq, record, previous_hash, hash FROM audit_log a";
pub(super) const AUDIT_COUNT: &str = "SELECT COUNT(*) AS total FROM audit_log a";
pub(super) const AUDIT_RECORDS: &str =
    "SELECT seq, record, previous_hash, hash FROM audit_log WHERE seq >= $1 ORDER BY seq LIMIT $2";
pub(super) const AUDIT_ROWS: &str =
    concat!("SELECT ", audit_columns!(), " FROM audit_log WHERE seq >= $1 ORDER BY seq LIMIT $2");
