//! Parts of sorted lists in SQL.
//!
//! A list goes on behind a key by a comparison of pairs, `(value, id) > ($1, $2)`, which an index on both columns answers. A
//! column with NULLs is sorted by an expression that puts a number in their place, above or below all others: the databases
//! sort NULLs differently by themselves. Its index is on the same expression.

use hive_wire::api::{
    ApiKeySort, AuditSort, CommandSort, GroupSort, JobSort, JobTargetSort, RegistrationTokenSort, SessionSort, TagSort,
    TeamMemberSort, TeamSort, UserSort,
};

use super::filter::Filter;
use super::{Statement, Value};
use crate::row_order::{KeyKind, RowOrder, SortValue};
use crate::{RowRange, RowStart, SatelliteOrder};

/// Stands for a missing number. No time in microseconds is as large, and it is a literal of both databases in either sign.
const MISSING: i64 = 9_000_000_000_000_000_000;

/// A column in SQL.
pub(super) struct SqlColumn {
    /// The column.
    value: &'static str,
    /// The column with the id; `None` where no two rows of a list have the same value.
    id: Option<&'static str>,
}

/// A column by which SQL sorts.
pub(super) trait SqlOrder: RowOrder {
    fn sql(self) -> SqlColumn;
}

macro_rules! sql_orders {
    ($($sort:ident { $($column:ident => $value:literal $(, $id:literal)?;)* })*) => {$(
        impl SqlOrder for $sort {
            fn sql(self) -> SqlColumn {
                match self {
                    $(Self::$column => SqlColumn { value: $value, id: None$(.or(Some($id)))? },)*
                }
            }
        }
    )*};
}

sql_orders! {
    SatelliteOrder {
        // No two satellites have the same name: the lists leave out those that are removed.
        Name => "s.name";
        Status => "s.status", "s.id";
        CreatedAt => "s.created_at", "s.id";
    }
    TagSort {
        Tag => "t.tag";
    }
    GroupSort {
        Name => "g.name", "g.id";
        CreatedAt => "g.created_at", "g.id";
    }
    CommandSort {
        CreatedAt => "created_at", "id";
    }
    JobSort {
        CreatedAt => "j.created_at", "j.id";
        FinishedAt => "j.finished_at", "j.id";
    }
    JobTargetSort {
        // A job has its satellites by name.
        SatelliteName => "t.place";
    }
    SessionSort {
        CreatedAt => "s.created_at", "s.id";
    }
    UserSort {
        Username => "u.username";
        CreatedAt => "u.created_at", "u.id";
    }
    TeamSort {
        Slug => "t.slug";
        CreatedAt => "t.created_at", "t.id";
    }
    TeamMemberSort {
        Username => "u.username";
    }
    ApiKeySort {
        CreatedAt => "k.created_at", "k.id";
        Name => "k.name", "k.id";
        LastUsedAt => "k.last_used_at", "k.id";
    }
    RegistrationTokenSort {
        CreatedAt => "t.created_at", "t.id";
        ExpiresAt => "t.expires_at", "t.id";
    }
    AuditSort {
        Seq => "a.seq";
    }
}

impl Filter {
    /// Returns the statement `select` for a part of the list with these conditions.
    pub(super) fn part<C: SqlOrder>(&self, select: &str, range: &RowRange<C>) -> Statement {
        self.part_grouped(select, "", range)
    }

    /// As [`part`](Self::part), with `grouping` between the conditions and the order.
    pub(super) fn part_grouped<C: SqlOrder>(&self, select: &str, grouping: &str, range: &RowRange<C>) -> Statement {
        let order = OrderBy::new(range.sort.column, range.sort.is_descending);
        let mut filter = self.clone();
        let offset = match &range.start {
            RowStart::Offset(offset) => (*offset).try_into().unwrap_or(i64::MAX),
            RowStart::After(key) => {
                let value = match &key.value {
                    Some(SortValue::Number(number)) => Value::from(*number),
                    Some(SortValue::Text(text)) => Value::from(text.as_str()),
                    // The row behind which it goes on has no value, and is among the last.
                    None => Value::from(order.missing),
                };
                // Behind a key nothing is skipped, however long the list is.
                order.after(&mut filter, value, &key.id);
                0
            }
        };
        let rest = format!("{grouping}{} LIMIT ? OFFSET ?", order.clause());
        filter.statement(select, &rest, &[range.limit.into(), offset])
    }
}

/// The order of a statement.
struct OrderBy {
    value: String,
    is_expression: bool,
    id: Option<&'static str>,
    is_descending: bool,
    missing: i64,
}

impl OrderBy {
    fn new<C: SqlOrder>(column: C, is_descending: bool) -> Self {
        let SqlColumn { value, id } = column.sql();
        // Last in both directions.
        let missing = if is_descending { -MISSING } else { MISSING };
        let is_expression = column.kind() == KeyKind::OptionalNumber;
        let value = if is_expression { format!("COALESCE({value}, {missing})") } else { value.to_owned() };
        Self { value, is_expression, id, is_descending, missing }
    }

    fn clause(&self) -> String {
        let direction = if self.is_descending { " DESC" } else { "" };
        // In the same direction, so that one index answers both columns.
        let id = self.id.map(|id| format!(", {id}{direction}")).unwrap_or_default();
        format!(" ORDER BY {}{direction}{id}", self.value)
    }

    fn after(&self, filter: &mut Filter, value: Value, id: &str) {
        let comparison = if self.is_descending { '<' } else { '>' };
        let value = filter.bind_value(value);
        if self.is_expression {
            // It follows from the comparison of pairs. SQLite finds no place in an index on an expression by that.
            filter.and_raw(&format!("{} {comparison}= {value}", self.value));
        }
        let condition = match self.id {
            None => format!("{} {comparison} {value}", self.value),
            Some(column) => {
                let id = filter.bind(id);
                format!("({}, {column}) {comparison} ({value}, {id})", self.value)
            }
        };
        filter.and_raw(&condition);
    }
}

#[cfg(test)]
mod tests {
    use hive_wire::api::Sort;

    use super::*;
    use crate::row_order::SortKey;

    fn check<C: SqlOrder>(sort: Sort<C>, start: RowStart, expected: &str) {
        let mut filter = Filter::default();
        filter.and_raw("x IS NULL");
        assert_eq!(filter.part("SELECT 1", &RowRange { sort, start, limit: 5 }).text, expected);
    }

    #[test]
    fn a_list_is_sorted_by_its_column_and_then_by_id() {
        let start = || RowStart::Offset(10);
        let by_name = "SELECT 1 WHERE x IS NULL ORDER BY s.name LIMIT $1 OFFSET $2";
        check(Sort::ascending(SatelliteOrder::Name), start(), by_name);
        let newest = "SELECT 1 WHERE x IS NULL ORDER BY s.created_at DESC, s.id DESC LIMIT $1 OFFSET $2";
        check(Sort::descending(SatelliteOrder::CreatedAt), start(), newest);
    }

    #[test]
    fn a_list_goes_on_behind_a_key() {
        let after = RowStart::After(SortKey::number(7, "job_1"));
        let newest = "SELECT 1 WHERE x IS NULL AND (j.created_at, j.id) < ($1, $2) \
             ORDER BY j.created_at DESC, j.id DESC LIMIT $3 OFFSET $4";
        check(Sort::descending(JobSort::CreatedAt), after, newest);
        let after = RowStart::After(SortKey::text("web", ""));
        let by_name = "SELECT 1 WHERE x IS NULL AND s.name > $1 ORDER BY s.name LIMIT $2 OFFSET $3";
        check(Sort::ascending(SatelliteOrder::Name), after, by_name);
    }

    #[test]
    fn what_has_no_value_is_last_in_both_directions() {
        let after = || RowStart::After(SortKey { value: None, id: "job_1".into() });
        let oldest = "SELECT 1 WHERE x IS NULL AND COALESCE(j.finished_at, 9000000000000000000) >= $1 \
             AND (COALESCE(j.finished_at, 9000000000000000000), j.id) > ($1, $2) \
             ORDER BY COALESCE(j.finished_at, 9000000000000000000), j.id LIMIT $3 OFFSET $4";
        check(Sort::ascending(JobSort::FinishedAt), after(), oldest);
        let newest = "SELECT 1 WHERE x IS NULL AND COALESCE(j.finished_at, -9000000000000000000) <= $1 \
             AND (COALESCE(j.finished_at, -9000000000000000000), j.id) < ($1, $2) \
             ORDER BY COALESCE(j.finished_at, -9000000000000000000) DESC, j.id DESC LIMIT $3 OFFSET $4";
        check(Sort::descending(JobSort::FinishedAt), after(), newest);
    }
}
