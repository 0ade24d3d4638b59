//! The exit codes: of `hive exec` and `hive power` that of the worst target, of `hive shell` that of its program.
//!
//! | target | status |
//! |---|---|
//! | succeeded | 0 |
//! | succeeded, and not all of its output is there | 65 |
//! | failed with an exit code | that code, 1 to 255 |
//! | failed without one: refused, or could not be started | 126 |
//! | timed out | 124, as `timeout` |
//! | cancelled | 130 |
//! | not run, expired, of unknown outcome, or not ended | 255, as `ssh` |
//!
//! | session | status |
//! |---|---|
//! | its program exited | its exit code, 128 + the number of the signal that ended it |
//! | ended by a user | the same, 130 where there is none |
//! | timed out | 124 |
//! | could not be opened | 126 |
//! | lost, or the hive refuses the viewer | 255 |
//! | left with `~.`; it goes on | 0 |
//! | left by a signal; it goes on | 128 + the signal's number |

use hive_core::wire::api::{CommandStatus, EndReason, ExecResult, SessionEnd, TargetStatus};

/// The number of the signal behind Ctrl-C.
pub(crate) const SIGINT: i32 = nix::sys::signal::Signal::SIGINT as i32;
pub(crate) const INTERRUPTED: u8 = 130;
/// The command succeeded and its output was cut: `EX_DATAERR`.
const OUTPUT_TRUNCATED: u8 = 65;
/// The command was refused, or its program could not be started.
pub(crate) const NOT_STARTED: u8 = 126;
/// The session is lost.
pub(crate) const SESSION_LOST: u8 = 255;

/// Returns the highest exit code of all targets.
pub(crate) fn worst(results: &[ExecResult]) -> u8 {
    results.iter().map(|result| of_target(&result.status, result.exit_code, result.truncated)).max().unwrap_or(0)
}

/// Returns the exit code for one target.
pub(crate) fn of_target(status: &TargetStatus, exit_code: Option<i32>, is_truncated: bool) -> u8 {
    match status {
        TargetStatus::Command(CommandStatus::Succeeded) if is_truncated => OUTPUT_TRUNCATED,
        TargetStatus::Command(CommandStatus::Succeeded) => 0,
        TargetStatus::Command(CommandStatus::Failed) => {
            // A process sees only the low 8 bits of an exit code: 256 would come out as success.
            exit_code.map_or(NOT_STARTED, |code| code.clamp(1, 255) as u8)
        }
        TargetStatus::Command(CommandStatus::TimedOut) => 124,
        TargetStatus::Command(CommandStatus::Cancelled) => INTERRUPTED,
        TargetStatus::NotRun | TargetStatus::Command(_) => 255,
    }
}

/// Returns the exit code for a session that has ended.
pub(crate) fn of_session(end: &SessionEnd) -> u8 {
    let exit_code = end.exit_code.map(|code| code.clamp(0, 255) as u8);
    match end.reason {
        EndReason::Exited => exit_code.unwrap_or(0),
        EndReason::Killed => exit_code.unwrap_or(INTERRUPTED),
        EndReason::Timeout => 124,
        EndReason::Error => 126,
        EndReason::Lost => SESSION_LOST,
        // A reason of a newer hive: the exit code is all that is known.
        EndReason::Unknown(_) => exit_code.unwrap_or(SESSION_LOST),
    }
}

/// Returns the exit code after a signal with this number, as shells count it.
pub(crate) fn of_signal(number: i32) -> u8 {
    (128 + number).clamp(128, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use CommandStatus::*;

    fn check(status: CommandStatus, exit_code: Option<i32>, expected: u8) {
        assert_eq!(
            of_target(&TargetStatus::Command(status.clone()), exit_code, false),
            expected,
            "{status:?} {exit_code:?}"
        );
    }

    #[test]
    fn a_target_gives_the_documented_status() {
        check(Succeeded, Some(0), 0);
        check(Failed, Some(3), 3);
        check(Failed, Some(137), 137);
        check(Failed, Some(-1), 1);
        check(Failed, Some(100_000), 255);
        check(Failed, None, 126);
        check(TimedOut, Some(137), 124);
        check(Cancelled, None, 130);
        check(Expired, None, 255);
        check(OutcomeUnknown, None, 255);
        check(Started, None, 255);
        assert_eq!(of_target(&TargetStatus::NotRun, None, false), 255);
    }

    #[test]
    fn output_that_was_cut_is_no_plain_success() {
        let status = |status, exit_code| of_target(&TargetStatus::Command(status), Some(exit_code), true);
        assert_eq!((status(Succeeded, 0), status(Failed, 3), status(TimedOut, 137)), (65, 3, 124));
    }

    #[test]
    fn a_session_gives_its_program_s_status() {
        let check = |reason, exit_code, expected| {
            let end = SessionEnd { reason, exit_code, error: None };
            assert_eq!(of_session(&end), expected, "{end:?}");
        };
        check(EndReason::Exited, Some(0), 0);
        check(EndReason::Exited, Some(3), 3);
        check(EndReason::Exited, Some(128 + 9), 137);
        check(EndReason::Killed, Some(129), 129);
        check(EndReason::Killed, None, 130);
        check(EndReason::Timeout, Some(129), 124);
        check(EndReason::Error, None, 126);
        check(EndReason::Lost, None, 255);
        assert_eq!(of_signal(15), 143);
    }
}
