//! Statements for the audit log.

use crate::sql::many_rows::ManyRowsStatement;

pub(in crate::sql) static AUDIT_INSERT: ManyRowsStatement = ManyRowsStatement::new(
    audit_columns!(),
    concat!(
        "INSERT INTO audit_log (",
        audit_columns!(),
        ") SELECT ",
        audit_columns!(),
        " FROM v WHERE seq IS NOT NULL"
    ),
);
pub(in crate::sql) const AUDIT_HEAD: &str = "SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1";
pub(in crate::sql) const AUDIT_LIST: &str = "SELECT seq, record, previous_hash, hash FROM audit_log a";
pub(in crate::sql) const AUDIT_ROWS_COUNTED: &str = counted!("audit_log a");
pub(in crate::sql) const AUDIT_RECORDS: &str =
    "SELECT seq, record, previous_hash, hash FROM audit_log WHERE seq >= $1 ORDER BY seq LIMIT $2";
pub(in crate::sql) const AUDIT_ROWS: &str =
    concat!("SELECT ", audit_columns!(), " FROM audit_log WHERE seq >= $1 ORDER BY seq LIMIT $2");
