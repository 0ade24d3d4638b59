//! What a hive has promised about each command, beside what became of it. Pure: what is wrong is said, not looked for.

/// The statuses of a command that has not ended.
pub(crate) const OPEN: [&str; 3] = ["queued", "delivered", "started"];

/// What a caller was told about a command in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is durable under this id; how it ended, where the caller waited for that.
    Acknowledged { id: String, status: Option<String> },
    /// Nothing was stored.
    Refused,
    /// There was no answer, or one that promises nothing.
    Nothing,
}

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Writes its number and ends by itself.
    Short,
    /// Writes its number and goes on until its time is up.
    Endless,
}

/// One command, when everything is over.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) work: Work,
    pub(crate) told: Told,
    /// The status it has in the end, with the code of its error; of those that have an id.
    pub(crate) ended: Option<(String, Option<String>)>,
    /// How often its number was written.
    pub(crate) runs: u32,
}

/// Says which promise was broken, if one was.
pub(crate) fn violation(entry: &Entry) -> Option<String> {
    if entry.runs > 1 {
        return Some(format!("it ran {} times", entry.runs));
    }
    let has_run = entry.runs == 1;
    match &entry.told {
        // The request may have arrived or not: both are right.
        Told::Nothing => None,
        Told::Refused => has_run.then(|| "it was refused, and ran".to_owned()),
        Told::Acknowledged { status: told, .. } => {
            let Some((status, error)) = &entry.ended else {
                return Some("it was acknowledged, and is lost".to_owned());
            };
            if told.as_ref().is_some_and(|told| told != status) {
                return Some(format!("its end was told as {told:?}, and is {status} now"));
            }
            check_end(entry.work, status, error.as_deref(), has_run)
        }
    }
}

fn check_end(work: Work, status: &str, error: Option<&str>, has_run: bool) -> Option<String> {
    match (work, status) {
        // It promises nothing, so that it breaks no promise.
        (_, "outcome_unknown") => None,
        // Its satellite was stopped, and says so. Whether it had come to writing its number, nobody says.
        (_, "cancelled") if error == Some("UNAVAILABLE") => None,
        (Work::Short, "succeeded") | (Work::Endless, "timed_out") => {
            (!has_run).then(|| format!("it {status}, and never ran"))
        }
        _ => Some(format!("it ended as {status} ({error:?})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(status: Option<&str>) -> Told {
        Told::Acknowledged { id: "cmd_x".into(), status: status.map(str::to_owned) }
    }

    fn check(told: Told, ended: Option<(&str, Option<&str>)>, runs: u32, expected: Option<&str>) {
        let ended = ended.map(|(status, error)| (status.to_owned(), error.map(str::to_owned)));
        let entry = Entry { work: Work::Short, told, ended, runs };
        let found = violation(&entry);
        match expected {
            None => assert_eq!(found, None, "{entry:?}"),
            Some(words) => assert!(found.as_ref().is_some_and(|found| found.contains(words)), "{entry:?}: {found:?}"),
        }
    }

    #[test]
    fn what_was_promised_is_kept() {
        let done = Some(("succeeded", None));
        check(acknowledged(None), done, 1, None);
        check(acknowledged(Some("succeeded")), done, 1, None);
        check(acknowledged(None), Some(("outcome_unknown", None)), 0, None);
        check(acknowledged(None), Some(("outcome_unknown", None)), 1, None);
        check(acknowledged(None), Some(("cancelled", Some("UNAVAILABLE"))), 0, None);
        check(Told::Refused, None, 0, None);
        check(Told::Nothing, None, 1, None);
    }

    #[test]
    fn each_broken_promise_is_seen() {
        let done = Some(("succeeded", None));
        check(acknowledged(None), done, 2, Some("2 times"));
        check(Told::Nothing, None, 2, Some("2 times"));
        check(acknowledged(None), None, 0, Some("lost"));
        check(acknowledged(None), done, 0, Some("never ran"));
        check(acknowledged(Some("succeeded")), Some(("outcome_unknown", None)), 1, Some("told"));
        check(acknowledged(None), Some(("cancelled", None)), 0, Some("cancelled"));
        check(acknowledged(None), Some(("expired", None)), 0, Some("expired"));
        check(acknowledged(None), Some(("failed", None)), 1, Some("failed"));
        check(Told::Refused, None, 1, Some("refused"));
    }
}
