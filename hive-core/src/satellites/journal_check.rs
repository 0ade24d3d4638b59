//! Decides whether the journal that a satellite presents is the one that the hive has seen. It does no I/O; `handshake`
//! acts on the decision.
//!
//! A satellite may be copied, or rolled back with its data directory. Then the id of its journal is the same and its
//! content is not: commands that the hive has delivered may be missing in it and would run a second time. Two values
//! show this: the number of records ever appended, which never falls, and the processes that wrote the journal, because
//! each of them lists those before it.

use hive_wire::agent::Handshake;

use crate::store::JournalRow;

/// Separates the id that a satellite reports from the suffix by which the hive distinguishes journals of this id.
const SEPARATOR: char = '.';

/// The journal behind a link, as its handshake describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PresentedJournal {
    pub(crate) id: String,
    pub(crate) position: Option<u64>,
    pub(crate) start_id: Option<String>,
    pub(crate) earlier_start_ids: Vec<String>,
}

/// How it compares with the journal that was seen last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JournalCheck {
    /// No journal of this satellite was seen before.
    First,
    /// It is the one that was seen last, and holds all that was delivered to it.
    Same,
    /// It has another id: the memory of what ran is lost.
    Lost,
    /// It has fewer records than it had.
    RolledBack,
    /// Another process has written it since, which this one does not know.
    Copied,
}

impl PresentedJournal {
    /// Reads a handshake.
    pub(crate) fn of(handshake: &Handshake) -> Self {
        Self {
            id: handshake.journal_id.clone(),
            position: handshake.journal_position,
            start_id: handshake.start_id.clone(),
            earlier_start_ids: handshake.earlier_start_ids.clone(),
        }
    }

    /// Compares it with the journal that was seen last.
    pub(crate) fn check(&self, seen: Option<&JournalRow>) -> JournalCheck {
        let Some(seen) = seen else { return JournalCheck::First };
        // The id of a handshake has no separator (`check_id`), so that what stands before the first one is the id that
        // the satellite reports.
        let seen_id = seen.id.split(SEPARATOR).next();
        if seen_id != Some(&self.id) {
            return JournalCheck::Lost;
        }
        let (Some(start_id), Some(seen_start)) = (&self.start_id, &seen.start_id) else {
            return JournalCheck::Same;
        };
        let knows_it = start_id == seen_start || self.earlier_start_ids.contains(seen_start);
        // An agent of an earlier version lists none. That says nothing about the processes before it.
        if !knows_it && !self.earlier_start_ids.is_empty() {
            return JournalCheck::Copied;
        }
        if self.is_behind(seen.position) { JournalCheck::RolledBack } else { JournalCheck::Same }
    }

    /// Whether records are missing that were there.
    pub(crate) fn is_behind(&self, seen: Option<u64>) -> bool {
        self.position.zip(seen).is_some_and(|(position, seen)| position < seen)
    }

    /// Returns what the store keeps of it. `word` distinguishes journals with the same id.
    pub(crate) fn remembered(&self, seen: Option<&JournalRow>, check: JournalCheck, word: &str) -> JournalRow {
        let seen_position = seen.and_then(|seen| seen.position);
        let (id, position) = match (check, seen) {
            (JournalCheck::Same, Some(seen)) => (seen.id.clone(), self.position.max(seen_position)),
            (JournalCheck::First, _) | (_, None) => (self.id.clone(), self.position),
            // Without a process, nothing but the id tells journals apart: each id counts as one.
            _ if self.start_id.is_none() => (self.id.clone(), self.position),
            _ => (format!("{}{SEPARATOR}{word}", self.id), self.position),
        };
        JournalRow { id, start_id: self.start_id.clone(), position }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use JournalCheck::{Copied, First, Lost, RolledBack, Same};

    fn seen(id: &str, start_id: Option<&str>, position: Option<u64>) -> JournalRow {
        JournalRow { id: id.into(), start_id: start_id.map(Into::into), position }
    }

    fn presented(id: &str, start_id: Option<&str>, earlier: &[&str], position: Option<u64>) -> PresentedJournal {
        let earlier_start_ids = earlier.iter().map(|&id| id.into()).collect();
        PresentedJournal { id: id.into(), position, start_id: start_id.map(Into::into), earlier_start_ids }
    }

    #[test]
    fn a_journal_is_the_same_only_with_all_that_it_held() {
        let last = seen("journal", Some("b"), Some(10));
        let check = |start: &str, earlier: &[&str], position, expected| {
            let found = presented("journal", Some(start), earlier, Some(position)).check(Some(&last));
            assert_eq!(found, expected, "{start} behind {earlier:?} at {position}");
        };
        check("b", &["a"], 10, Same);
        check("b", &["a"], 14, Same);
        check("b", &["a"], 9, RolledBack);
        check("c", &["a", "b"], 10, Same);
        check("c", &["a", "b"], 9, RolledBack);
        check("c", &["b", "x", "y"], 11, Same);
        // Copies that were made before `b` began.
        check("c", &["a"], 10, Copied);
        check("c", &["a"], 99, Copied);
        check("a", &["z"], 10, Copied);
        // An agent that does not list them.
        check("c", &[], 10, Same);
        check("c", &[], 9, RolledBack);
    }

    #[test]
    fn who_tells_no_process_is_told_by_the_id_alone() {
        let check = |last: Option<JournalRow>, id: &str, position, expected| {
            assert_eq!(presented(id, None, &[], position).check(last.as_ref()), expected, "{id} after {last:?}");
        };
        check(None, "journal", None, First);
        check(Some(seen("journal", None, None)), "journal", None, Same);
        check(Some(seen("journal", Some("a"), Some(10))), "journal", None, Same);
        check(Some(seen("journal", None, None)), "other", None, Lost);
        let upgraded = presented("journal", Some("a"), &[], Some(0)).check(Some(&seen("journal", None, None)));
        assert_eq!(upgraded, Same);
    }

    #[test]
    fn each_copy_and_each_return_is_a_journal_of_its_own() {
        let last = seen("journal", Some("b"), Some(10));
        let rolled_back = presented("journal", Some("c"), &["a", "b"], Some(7));
        let now = rolled_back.remembered(Some(&last), rolled_back.check(Some(&last)), "1");
        assert_eq!(now, seen("journal.1", Some("c"), Some(7)));
        assert_eq!(rolled_back.check(Some(&now)), Same, "it is known from here on");
        let again = presented("journal", Some("d"), &["a", "b"], Some(7));
        assert_eq!(again.check(Some(&now)), Copied);
        assert_eq!(again.remembered(Some(&now), Copied, "2").id, "journal.2");
        // The process whose machine was rolled back under it is behind itself, each time anew.
        let same_process = presented("journal", Some("c"), &["a", "b"], Some(5));
        assert_eq!(same_process.check(Some(&now)), RolledBack);
        let grown = presented("journal", Some("c"), &["a", "b"], Some(9));
        assert_eq!(grown.remembered(Some(&now), Same, "3"), seen("journal.1", Some("c"), Some(9)));
    }

    #[test]
    fn the_position_that_is_remembered_never_falls() {
        let last = seen("journal", None, Some(10));
        let silent = presented("journal", None, &[], None);
        assert_eq!(silent.remembered(Some(&last), Same, "1").position, Some(10));
        assert_eq!(silent.remembered(None, First, "1"), seen("journal", None, None));
        assert_eq!(presented("other", None, &[], None).remembered(Some(&last), Lost, "1").id, "other");
    }
}
