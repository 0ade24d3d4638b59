//! Statements for the audit log.

pub(in crate::sql) const AUDIT_INSERT: &str = concat!(
    "INSERT INTO audit_log (",
    audit_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
);
pub(in crate::sql) const AUDIT_LIST: &str = "SELECT seq, record, previous_hash, hash FROM audit_log a";
pub(in crate::sql) const AUDIT_COUNT: &str = "SELECT COUNT(*) AS total FROM audit_log a";
pub(in crate::sql) const AUDIT_RECORDS: &str =
    "SELECT seq, record, previous_hash, hash FROM audit_log WHERE seq >= $1 ORDER BY seq LIMIT $2";
pub(in crate::sql) const AUDIT_ROWS: &str =
    concat!("SELECT ", audit_columns!(), " FROM audit_log WHERE seq >= $1 ORDER BY seq LIMIT $2");
