//! Statements for registration tokens.

macro_rules! token_columns {
    () => {
        "id, scope, team_id, description, created_by, created_at, expires_at, used_at, revoked_at, tags, allowed_tags, \
         for_satellite"
    };
}

pub(in crate::sql) const TOKEN_INSERT: &str = "INSERT INTO registration_tokens (id, scope, team_id, description, actor, \
     actor_kind, created_by, authorised_by, created_at, expires_at, tags, allowed_tags, for_satellite, actor_id) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
pub(in crate::sql) const TOKEN_ROW: &str =
    concat!("SELECT actor, max_uses, ", token_columns!(), " FROM registration_tokens WHERE id = $1");
pub(in crate::sql) const TOKEN_GET: &str =
    concat!("SELECT ", token_columns!(), " FROM registration_tokens WHERE id = $1");
pub(in crate::sql) const TOKEN_LIST: &str = concat!("SELECT ", token_columns!(), " FROM registration_tokens t");
pub(in crate::sql) const TOKEN_ROWS_COUNTED: &str = counted!("registration_tokens t");
// The conditions and the change are one statement, so that at most one of several callers consumes a token.
pub(in crate::sql) const TOKEN_TAKE: &str = "UPDATE registration_tokens SET used_at = $2, uses = uses + 1, \
     attempt_hash = $3, satellite_id = $4 \
     WHERE id = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $2";
pub(in crate::sql) const TOKEN_REVOKE: &str =
    "UPDATE registration_tokens SET revoked_at = $2 WHERE id = $1 AND used_at IS NULL AND revoked_at IS NULL";
