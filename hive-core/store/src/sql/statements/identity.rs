//! Statements for users, teams and API keys.

macro_rules! user_columns {
    () => {
        "id, username, role, password_hash, login_generation, created_at, disabled_at"
    };
}

macro_rules! api_key_columns {
    () => {
        "id, user_id, name, key_hash, scopes, created_at, expires_at, revoked_at, parent, selector, addresses, \
         rate_per_minute, last_used_at, previous_hash, previous_until"
    };
}

// A member may have the role that the team gives to all of its users.
macro_rules! role_in_team {
    () => {
        "CASE WHEN m.role = 'team_user' THEN t.team_user ELSE m.role END"
    };
}

pub(in crate::sql) const USER_INSERT: &str =
    "INSERT INTO users (id, username, role, password_hash, created_at) VALUES ($1, $2, $3, $4, $5)";
pub(in crate::sql) const USER_GET: &str = concat!("SELECT ", user_columns!(), " FROM users WHERE id = $1");
pub(in crate::sql) const USER_FIND: &str = concat!("SELECT ", user_columns!(), " FROM users WHERE username = $1");
pub(in crate::sql) const USER_LIST: &str = concat!("SELECT ", user_columns!(), " FROM users u");
pub(in crate::sql) const USER_ROWS_COUNTED: &str = counted!("users u");
/// Checks that another admin remains in the statement that changes one. The transaction holds the write lock, so that the
/// other one is not changed at the same time.
pub(in crate::sql) const USER_UPDATE: &str = concat!(
    "UPDATE users SET role = $2, disabled_at = $3, login_generation = login_generation + $4 WHERE id = $1 \
     AND (($2 = 'global_admin' AND $3 IS NULL) OR role <> 'global_admin' OR disabled_at IS NOT NULL \
     OR EXISTS (SELECT 1 FROM users o WHERE o.id <> $1 AND o.role = 'global_admin' AND o.disabled_at IS NULL)) RETURNING ",
    user_columns!()
);
// The comparison with the old hash ($3) makes one of several callers succeed. An admin sets a password without it.
pub(in crate::sql) const USER_PASSWORD_SET: &str = "UPDATE users SET password_hash = $2, login_generation = login_generation + 1 \
     WHERE id = $1 AND ($3 IS NULL OR password_hash = $3)";
pub(in crate::sql) const TEAM_INSERT: &str =
    "INSERT INTO teams (id, slug, created_at, team_user) VALUES ($1, $2, $3, $4)";
pub(in crate::sql) const TEAM_GET: &str = "SELECT id, slug, created_at, team_user FROM teams WHERE id = $1";
pub(in crate::sql) const TEAM_LIST: &str = "SELECT id, slug, created_at, team_user FROM teams t";
pub(in crate::sql) const TEAM_ROWS_COUNTED: &str = counted!("teams t");
pub(in crate::sql) const TEAM_UPDATE: &str =
    "UPDATE teams SET team_user = COALESCE($2, team_user) WHERE id = $1 RETURNING id, slug, created_at, team_user";
pub(in crate::sql) const TEAM_USERS: &str = "SELECT u.id, u.username, u.role, u.password_hash, u.login_generation, u.created_at, \
     u.disabled_at FROM team_members m JOIN users u ON u.id = m.user_id WHERE m.team_id = $1 AND m.role = 'team_user'";
pub(in crate::sql) const TEAM_MEMBER_PUT: &str = "INSERT INTO team_members (team_id, user_id, role) VALUES ($1, $2, $3) \
     ON CONFLICT (team_id, user_id) DO UPDATE SET role = excluded.role";
pub(in crate::sql) const TEAM_MEMBER_REMOVE: &str = "DELETE FROM team_members WHERE team_id = $1 AND user_id = $2";
pub(in crate::sql) const TEAM_MEMBER_LIST: &str = concat!(
    "SELECT m.user_id, u.username, ",
    role_in_team!(),
    " AS role, CAST(CASE WHEN m.role = 'team_user' THEN 1 ELSE 0 END AS BIGINT) AS follows_team FROM team_members m \
     JOIN teams t ON t.id = m.team_id JOIN users u ON u.id = m.user_id"
);
pub(in crate::sql) const TEAM_MEMBER_ROWS_COUNTED: &str = counted!("team_members m");
pub(in crate::sql) const TEAM_MEMBERSHIPS: &str = concat!(
    "SELECT m.team_id, ",
    role_in_team!(),
    " AS role FROM team_members m JOIN teams t ON t.id = m.team_id WHERE m.user_id = $1 ORDER BY m.team_id"
);
pub(in crate::sql) const API_KEY_INSERT: &str = concat!(
    "INSERT INTO api_keys (",
    api_key_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
);
/// One row for each team of the owner, or one without a team.
pub(in crate::sql) const API_KEY_OWNER: &str = concat!(
    "SELECT k.id, k.user_id, k.name, k.key_hash, k.scopes, k.created_at, k.expires_at, \
     k.revoked_at, k.parent, k.selector, k.addresses, k.rate_per_minute, k.last_used_at, k.previous_hash, k.previous_until, \
     u.username, u.role, u.created_at AS user_created_at, u.disabled_at, m.team_id, ",
    role_in_team!(),
    " AS team_role FROM api_keys k JOIN users u ON u.id = k.user_id LEFT JOIN team_members m ON m.user_id = k.user_id \
     LEFT JOIN teams t ON t.id = m.team_id WHERE k.id = $1"
);
pub(in crate::sql) const API_KEY_LIST: &str = concat!("SELECT ", api_key_columns!(), " FROM api_keys k");
pub(in crate::sql) const API_KEY_ROWS_COUNTED: &str = counted!("api_keys k");
pub(in crate::sql) const API_KEY_ROTATE: &str = concat!(
    "UPDATE api_keys SET previous_hash = CASE WHEN $5 IS NULL THEN NULL ELSE key_hash END, previous_until = $5, \
     key_hash = $3 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL \
     AND (expires_at IS NULL OR expires_at > $4) RETURNING ",
    api_key_columns!()
);
pub(in crate::sql) const API_KEY_REVOKE: &str =
    "UPDATE api_keys SET revoked_at = $3 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL";
/// The key and all that were made with it, and with those.
pub(in crate::sql) const API_KEY_LIST_MADE: &str = "WITH RECURSIVE made (id) AS (SELECT id FROM api_keys WHERE id = $1 \
     UNION SELECT k.id FROM made m JOIN api_keys k ON k.parent = m.id) SELECT id FROM made";
pub(in crate::sql) const API_KEY_REVOKE_MADE: &str =
    "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
pub(in crate::sql) const API_KEY_NOTE_USED: &str =
    "UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";
// The author of a command is a user or a key. Open commands are few, and have an index of their own.
pub(in crate::sql) const USER_COMMANDS_QUEUED: &str = "SELECT id, satellite_id, job_id, command_type, target_team_id \
     FROM satellite_commands WHERE finished_at IS NULL AND status = 'queued' \
     AND (created_by = $1 OR created_by IN (SELECT id FROM api_keys WHERE user_id = $1))";
pub(in crate::sql) const KEY_COMMANDS_QUEUED: &str = "SELECT id, satellite_id, job_id, command_type, target_team_id \
     FROM satellite_commands WHERE finished_at IS NULL AND status = 'queued' AND created_by = $1";
pub(in crate::sql) const USER_TOKENS_UNUSED: &str = "SELECT id, team_id FROM registration_tokens \
     WHERE used_at IS NULL AND revoked_at IS NULL AND actor_id = $1 UNION ALL SELECT t.id, t.team_id FROM api_keys k \
     JOIN registration_tokens t ON t.actor_id = k.id WHERE k.user_id = $1 AND t.used_at IS NULL AND t.revoked_at IS NULL";
pub(in crate::sql) const KEY_TOKENS_REVOKE: &str = "UPDATE registration_tokens SET revoked_at = $2 \
     WHERE actor_id = $1 AND used_at IS NULL AND revoked_at IS NULL";
