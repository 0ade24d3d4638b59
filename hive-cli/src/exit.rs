//! What `hive exec` and `hive power` exit with: the worst target's status.
//!
//! | target | status |
//! |---|---|
//! | succeeded | 0 |
//! | failed with an exit code | that code, 1 to 255 |
//! | failed without one: refused, or could not be started | 126 |
//! | timed out | 124, as `timeout` |
//! | cancelled | 130 |
//! | not run, expired, of unknown outcome, or not ended | 255, as `ssh` |

use hive_core::wire::api::{CommandStatus, ExecResult, TargetStatus};

pub(crate) const INTERRUPTED: u8 = 130;

/// The highest status of all targets.
pub(crate) fn worst(results: &[ExecResult]) -> u8 {
    results.iter().map(|result| of(result.status, result.exit_code)).max().unwrap_or(0)
}

/// The status of one target.
pub(crate) fn of(status: TargetStatus, exit_code: Option<i32>) -> u8 {
    match status {
        TargetStatus::Command(CommandStatus::Succeeded) => 0,
        TargetStatus::Command(CommandStatus::Failed) => exit_code.map_or(126, |code| code.clamp(1, 255) as u8),
        TargetStatus::Command(CommandStatus::TimedOut) => 124,
        TargetStatus::Command(CommandStatus::Cancelled) => INTERRUPTED,
        TargetStatus::NotRun | TargetStatus::Command(_) => 255,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CommandStatus::*;

    fn check(status: CommandStatus, exit_code: Option<i32>, expected: u8) {
        assert_eq!(of(TargetStatus::Command(status), exit_code), expected, "{status:?} {exit_code:?}");
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
        assert_eq!(of(TargetStatus::NotRun, None), 255);
    }
}
