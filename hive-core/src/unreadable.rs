//! Rows of the store that cannot be read: they are skipped, logged once and counted.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Mutex;

use tracing::error;

use crate::sync::lock;
use crate::{Error, Result};

/// The rows that could not be read when they were last looked at.
#[derive(Default)]
pub(crate) struct UnreadableRows(Mutex<HashMap<(&'static str, String), String>>);

impl UnreadableRows {
    /// Checks the result of work on one row, of the table `kind`. A storage that is not reachable fails all of the work. Anything else
    /// concerns this row alone: it is logged, again only when it changes, and the work goes on with the other rows.
    pub(crate) fn pass_over<T>(&self, kind: &'static str, id: impl Display, result: Result<T>) -> Result<Option<T>> {
        let key = (kind, id.to_string());
        match result {
            Ok(value) => {
                lock(&self.0).remove(&key);
                Ok(Some(value))
            }
            Err(error @ Error::Unavailable(_)) => Err(error),
            Err(error) => {
                let text = with_causes(&error);
                let before = lock(&self.0).insert(key, text.clone());
                if before.as_ref() != Some(&text) {
                    error!(row.kind = kind, row.id = %id, error = text, "a row cannot be handled, and is passed over");
                }
                Ok(None)
            }
        }
    }

    /// Returns how many there are.
    pub(crate) fn count(&self) -> u64 {
        lock(&self.0).len() as u64
    }
}

/// The error with its causes, which say what is wrong with the row.
fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_passed_over_until_it_can_be_read_and_a_storage_that_is_gone_is_not() {
        let rows = UnreadableRows::default();
        let damaged = || Err::<(), _>(Error::Corrupt("column status".into()));
        for _ in 0..2 {
            assert!(matches!(rows.pass_over("command", "cmd_1", damaged()), Ok(None)));
        }
        assert!(matches!(rows.pass_over("command", "cmd_2", damaged()), Ok(None)));
        assert_eq!(rows.count(), 2);
        assert!(rows.pass_over("command", "cmd_1", Err::<(), _>(Error::unavailable("gone"))).is_err());
        assert!(matches!(rows.pass_over("command", "cmd_1", Ok(7)), Ok(Some(7))));
        assert_eq!(rows.count(), 1);
    }

    #[test]
    fn the_log_says_what_is_wrong_with_a_row() {
        let text = with_causes(&Error::Corrupt("column status".into()));
        assert_eq!(text, "stored data is damaged: column status");
    }
}
