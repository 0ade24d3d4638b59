//! The messages about a session beside its output, one sentence each.

use hive_core::wire::SessionId;
use hive_core::wire::api::{EndReason, SessionEnd};
use hive_core::wire::session::Control;

use super::outcome::ViewOutcome;

/// Returns how to attach to the session again.
pub(crate) fn reattach(id: SessionId) -> String {
    format!("the session goes on; attach again with `hive sessions attach {id}`")
}

/// The connection to the hive is broken.
pub(super) fn disconnected(cause: &str) -> String {
    format!("the link to the hive broke ({cause}); trying again …")
}

/// The connection is there again.
pub(super) fn reconnected(lost_input: u64) -> String {
    match lost_input {
        0 => "attached again".into(),
        lost => format!("attached again; {} did not arrive, type again", bytes_typed(lost)),
    }
}

/// Output is missing.
pub(super) fn gap(from: u64, to: u64) -> String {
    format!("{} bytes of output were lost", to.saturating_sub(from))
}

/// The satellite's link was lost, or is back.
pub(super) fn link(satellite: &str, is_online: bool) -> String {
    if is_online {
        format!("{satellite} is linked again")
    } else {
        format!("{satellite} lost its link to the hive; the session waits there")
    }
}

/// Another viewer asks for the keyboard.
pub(super) fn control_requested(name: &str) -> String {
    format!("{name} asks for the keyboard; ~G gives it")
}

/// Who has the keyboard now, if that has changed.
pub(super) fn control_changed(before: &Control, now: &Control, is_read_only: bool) -> Option<String> {
    // A message of control also comes when only the offset of the input changed.
    if (before.is_mine, &before.holder) == (now.is_mine, &now.holder) {
        return None;
    }
    match (now.is_mine, before.is_mine) {
        (true, true) => None,
        (true, false) => Some("you have the keyboard".into()),
        (false, _) => Some(control_holder(now, is_read_only)),
    }
}

/// Who else has the keyboard, and how to get it.
pub(super) fn control_holder(control: &Control, is_read_only: bool) -> String {
    let who = control.holder.as_deref().unwrap_or("nobody");
    match (is_read_only, &control.holder) {
        (true, _) => format!("read-only; {who} has the keyboard"),
        (false, Some(_)) => format!("{who} has the keyboard; ~R asks for it, ~T takes it"),
        (false, None) => format!("{who} has the keyboard; ~T takes it"),
    }
}

/// Why the view ended.
pub(super) fn view_ended(satellite: &str, id: SessionId, outcome: &ViewOutcome) -> Option<String> {
    match outcome {
        ViewOutcome::Ended(end) => session_ended(satellite, end),
        ViewOutcome::Detached => Some(format!("detached; {}", reattach(id))),
        ViewOutcome::Signal(number) => Some(format!("ended by signal {number}; {}", reattach(id))),
        ViewOutcome::Refused(error) => Some(error.message.clone()),
    }
}

/// How a session ended. `None` where its program exited: `hive` exits with the same code.
pub(crate) fn session_ended(satellite: &str, end: &SessionEnd) -> Option<String> {
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
        assert_eq!(control_changed(before, now, false).as_deref(), expected);
    }

    #[test]
    fn a_change_of_the_keyboard_s_holder_is_noted() {
        check(&mine(), &mine(), None);
        check(&held_by(Some("ann")), &mine(), Some("you have the keyboard"));
        check(&mine(), &held_by(Some("ann")), Some("ann has the keyboard; ~R asks for it, ~T takes it"));
        check(&held_by(Some("ann")), &held_by(None), Some("nobody has the keyboard; ~T takes it"));
        check(&held_by(Some("ann")), &Control { input: 7, ..held_by(Some("ann")) }, None);
    }

    #[test]
    fn a_reader_is_not_told_how_to_type() {
        let notice = control_changed(&held_by(None), &held_by(Some("ann")), true);
        assert_eq!(notice.as_deref(), Some("read-only; ann has the keyboard"));
    }

    #[test]
    fn lost_input_is_noted() {
        assert_eq!(reconnected(0), "attached again");
        assert_eq!(reconnected(1), "attached again; 1 typed byte did not arrive, type again");
    }

    #[test]
    fn an_end_is_noted_unless_the_exit_code_tells_it() {
        let end = |reason| SessionEnd { reason, exit_code: None, error: None };
        assert_eq!(session_ended("web", &end(EndReason::Exited)), None);
        assert_eq!(session_ended("web", &end(EndReason::Lost)).as_deref(), Some("the session on web was lost"));
    }
}
