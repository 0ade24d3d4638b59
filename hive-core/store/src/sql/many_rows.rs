//! Statements that take many rows in one call.
//!
//! Each call of a statement costs the same however many rows it has: on SQLite a change of the thread, on PostgreSQL a round
//! trip. The rows are the values of a table expression `v`, so that all databases have the same statement:
//!
//! ```sql
//! WITH v (command, at) AS (VALUES ($1, $2), ($3, $4)) UPDATE … FROM v WHERE id = v.command RETURNING id
//! ```
//!
//! On SQLite the placeholders are `?`. It keeps the names of others in a list, which is searched for each placeholder of each
//! call: 1,000 of them would take a millisecond.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::OnceLock;

use super::{Statement, Value};

/// The most rows of one statement. With the widest rows, this is well below the most placeholders of a statement, which are
/// 32,766 in SQLite.
pub(super) const MAX_ROWS: usize = 1024;
/// A statement has a text for each power of two up to [`MAX_ROWS`].
const SIZES: usize = MAX_ROWS.ilog2() as usize + 1;

/// A statement that takes rows. A row of NULLs must have no effect.
#[derive(Debug)]
pub(super) struct ManyRowsStatement {
    /// The names of the columns of `v`.
    columns: &'static str,
    /// The statement after the table expression.
    body: &'static str,
    /// The texts with and without numbers, by the power of two. The driver prepares a text once, so that there must be few of them.
    numbered: [OnceLock<String>; SIZES],
    unnumbered: [OnceLock<String>; SIZES],
}

impl ManyRowsStatement {
    pub(super) const fn new(columns: &'static str, body: &'static str) -> Self {
        Self {
            columns,
            body,
            numbered: [const { OnceLock::new() }; SIZES],
            unnumbered: [const { OnceLock::new() }; SIZES],
        }
    }

    /// Returns the statement with these rows, at least one and at most [`MAX_ROWS`]. They are filled up to a power of two with
    /// rows of NULLs.
    pub(super) fn with_rows(&'static self, rows: Vec<Vec<Value>>, is_numbered: bool) -> Statement {
        let empty: Vec<Value> = rows[0].iter().map(Value::to_null).collect();
        let size = rows.len().next_power_of_two();
        let texts = if is_numbered { &self.numbered } else { &self.unnumbered };
        let text = texts[size.ilog2() as usize].get_or_init(|| self.text(size, empty.len(), is_numbered));
        let mut values = Vec::with_capacity(size * empty.len());
        let missing = size - rows.len();
        values.extend(rows.into_iter().flatten());
        for _ in 0..missing {
            values.extend(empty.iter().cloned());
        }
        Statement { text: Cow::Borrowed(text), values }
    }

    /// Returns the text of the statement with two rows.
    #[cfg(all(test, feature = "sqlite"))]
    pub(super) fn example(&self) -> String {
        self.text(2, self.columns.split(',').count(), false)
    }

    fn text(&self, size: usize, width: usize, is_numbered: bool) -> String {
        let mut text = format!("WITH v ({}) AS (VALUES ", self.columns);
        for placeholder in 1..=size * width {
            let before = match placeholder {
                1 => "(",
                _ if placeholder % width == 1 || width == 1 => "), (",
                _ => ", ",
            };
            text.push_str(before);
            if is_numbered {
                write!(text, "${placeholder}").expect("a String takes all text");
            } else {
                text.push('?');
            }
        }
        text + ")) " + self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static PAIRS: ManyRowsStatement = ManyRowsStatement::new("a, b", "SELECT a FROM v");

    #[test]
    fn rows_are_filled_up_to_a_power_of_two() {
        let rows = (1..=3).map(|number| vec![Value::from("x"), Value::from(number)]).collect();
        let Statement { text, values } = PAIRS.with_rows(rows, true);
        assert_eq!(text, "WITH v (a, b) AS (VALUES ($1, $2), ($3, $4), ($5, $6), ($7, $8)) SELECT a FROM v");
        assert_eq!(values[4..], ["x".into(), 3.into(), Value::Text(None), Value::Integer(None)]);
    }

    #[test]
    fn one_row_needs_no_filling_and_sqlite_no_numbers() {
        let Statement { text, values } = PAIRS.with_rows(vec![vec![Value::from("x"), Value::from(1)]], false);
        assert_eq!((&*text, values.len()), ("WITH v (a, b) AS (VALUES (?, ?)) SELECT a FROM v", 2));
    }
}
