//! Statements for allow lists.

pub(in crate::sql) const TEAM_ALLOW_LISTS: &str = "SELECT id, addresses FROM teams WHERE addresses IS NOT NULL";
pub(in crate::sql) const SATELLITE_ALLOW_LISTS: &str =
    "SELECT id, addresses FROM satellites WHERE addresses IS NOT NULL AND deleted_at IS NULL";
pub(in crate::sql) const TEAM_ALLOW_LIST_SET: &str = "UPDATE teams SET addresses = $2 WHERE id = $1";
pub(in crate::sql) const SATELLITE_ALLOW_LIST_SET: &str =
    "UPDATE satellites SET addresses = $2 WHERE id = $1 AND deleted_at IS NULL";
