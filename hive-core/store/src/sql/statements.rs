//! The SQL statements of all databases. SQL that differs between databases is in their `Dialect`. Conditions that depend on
//! a query are added by `filter`.

macro_rules! audit_columns {
    () => {
        "seq, id, timestamp, actor_id, actor_name, action, target_type, target_id, satellite_id, team_id, record, \
         previous_hash, hash"
    };
}

// `filter` appends the conditions, and COUNT_LIMIT closes the sub-query: no more rows are counted than that.
macro_rules! counted {
    ($table:literal) => {
        concat!("SELECT COUNT(*) AS total FROM (SELECT 1 AS counted FROM ", $table)
    };
}

mod allow_lists;
mod answers;
mod audit;
mod commands;
mod groups;
mod idempotency;
mod identity;
mod jobs;
mod output;
#[cfg(all(test, feature = "sqlite"))]
pub(super) mod plans;
mod registration_tokens;
mod retention;
mod satellites;
mod sessions;
mod telemetry;

pub(super) use allow_lists::*;
pub(super) use answers::*;
pub(super) use audit::*;
pub(super) use commands::*;
pub(super) use groups::*;
pub(super) use idempotency::*;
pub(super) use identity::*;
pub(super) use jobs::*;
pub(super) use output::*;
pub(super) use registration_tokens::*;
pub(super) use retention::*;
pub(super) use satellites::*;
pub(super) use sessions::*;
pub(super) use telemetry::*;

pub(super) const COUNT_LIMIT: &str = " LIMIT ?) AS rows_counted";

pub(super) const HIVE_GET: &str = "SELECT id, created_at, keys FROM hive";
pub(super) const HIVE_INSERT: &str = "INSERT INTO hive (id, created_at, keys) VALUES ($1, $2, $3)";
pub(super) const HIVE_KEYS_SET: &str = "UPDATE hive SET keys = $1";
