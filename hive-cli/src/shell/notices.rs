//! What is said about a session beside its output, one sentence each.

use hive_core::wire::SessionId;
use hive_core::wire::api::{EndReason, SessionEnd};
use hive_core::wire::session::Control;

use super::outcome::ViewOutcome;

/// How to come back to a session.
pub(crate) fn come_back(id: SessionId) -> String {
    format!("the session lives on; come back with `hive sessions attach {id}`")
}

/// The way to the hive is broken.
pub(super) fn away(cause: &str) -> String {
    format!("the link to the hive broke ({cause}); trying again …")
}

/// It is there again.
pub(super) fn back(lost_input: u64) -> String {
    match lost_input {
        0 => "attached again".into(),
        lost => format!("attached again; {} reached nobody, type again", bytes_typed(lost)),
    }
}

/// Output is missing.
pub(super) fn gap(from: u64, to: u64) -> String {
    format!("{} bytes of output were lost", to.saturating_sub(from))
}

/// A satellite's link has gone or come back.
pub(super) fn link(satellite: &str, is_online: bool) -> String {
    if is_online {
        format!("{satellite} is linked again")
    } else {
        format!("{satellite} lost its link to the hive; the session waits there")
    }
}

/// Somebody wants the keyboard.
pub(super) fn requested(name: &str) -> String {
    format!("{name} asks for the keyboard; ~G gives it")
}

/// Who has the keyboard, where that has changed.
pub(super) fn control(before: &Control, now: &Control, is_read_only: bool) -> Option<String> {
    if (before.is_mine, &before.holder) == (now.is_mine, &now.holder) {
        return None;
    }
    match (now.is_mine, before.is_mine) {
        (true, true) => None,
        (true, false) => Some("you have the keyboard".into()),
        (false, _) => Some(holder(now, is_read_only)),
    }
}

/// Who else has the keyboard, and how to get it.
pub(super) fn holder(control: &Control, is_read_only: bool) -> String {
    let who = control.holder.as_deref().unwrap_or("nobody");
    match (is_read_only, &control.holder) {
        (true, _) => format!("read-only; {who} has the keyboard"),
        (false, Some(_)) => format!("{who} has the keyboard; ~R asks for it, ~T takes it"),
        (false, None) => format!("{who} has the keyboard; ~T takes it"),
    }
}

/// How it came that a view is over.
pub(super) fn left(satellite: &str, id: SessionId, left: &ViewOutcome) -> Option<String> {
    match left {
        ViewOutcome::Ended(end) => ended(satellite, end),
        ViewOutcome::Detached => Some(format!("detached; {}", come_back(id))),
        ViewOutcome::Signal(number) => Some(format!("told to leave by signal {number}; {}", come_back(id))),
        ViewOutcome::Refused(error) => Some(error.message.clone()),
    }
}

/// How a session ended. Nothing where its program just exited: the exit code is ours.
pub(crate) fn ended(satellite: &str, end: &SessionEnd) -> Option<String> {
    let how = match &end.reason {
        EndReason::Exited => return None,
        EndReason::Killed => "was ended",
        EndReason::Timeout => "was ended, because it was not used or its satellite was away for too long",
        EndReason::Error => "could not be opened",
        EndReason::Lost => "was lost",
        EndReason::Unknown(word) => &format!("ended as {word:?}"),
    };
    let why = end.error.as_ref().map(|error| format!(": {}", error.message)).unwrap_or_default();
    Some(format!("the session on {satellite} {how}{why}"))
}

fn bytes_typed(count: u64) -> String {
    if count == 1 { "1 typed byte".into() } else { format!("{count} typed bytes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: Option<&str>) -> Control {
        Control { is_mine: false, input: 0, holder: holder.map(str::to_owned) }
    }

    fn mine() -> Control {
        Control { is_mine: true, input: 0, holder: Some("me".into()) }
    }

    fn check(before: &Control, now: &Control, expected: Option<&str>) {
        assert_eq!(control(before, now, false).as_deref(), expected);
    }

    #[test]
    fn who_has_the_keyboard_is_said_when_it_changes() {
        check(&mine(), &mine(), None);
        check(&held_by(Some("ann")), &mine(), Some("you have the keyboard"));
        check(&mine(), &held_by(Some("ann")), Some("ann has the keyboard; ~R asks for it, ~T takes it"));
        check(&held_by(Some("ann")), &held_by(None), Some("nobody has the keyboard; ~T takes it"));
        check(&held_by(Some("ann")), &Control { input: 7, ..held_by(Some("ann")) }, None);
    }

    #[test]
    fn a_reader_is_not_told_how_to_type() {
        let said = control(&held_by(None), &held_by(Some("ann")), true);
        assert_eq!(said.as_deref(), Some("read-only; ann has the keyboard"));
    }

    #[test]
    fn what_was_typed_in_vain_is_said() {
        assert_eq!(back(0), "attached again");
        assert_eq!(back(1), "attached again; 1 typed byte reached nobody, type again");
    }

    #[test]
    fn an_end_that_the_exit_code_does_not_tell_is_said() {
        let end = |reason| SessionEnd { reason, exit_code: None, error: None };
        assert_eq!(ended("web", &end(EndReason::Exited)), None);
        assert_eq!(ended("web", &end(EndReason::Lost)).as_deref(), Some("the session on web was lost"));
    }
}
