//! How a process ended, as a status with an exit code and an error. No I/O.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use hive_wire::ErrorCode;
use hive_wire::agent::{ErrorBody, Received};
use hive_wire::api::CommandStatus;

use crate::process_tree::Survivors;
use crate::system_error;

/// How a process ended.
#[derive(Debug)]
pub(crate) struct ProcessOutcome {
    pub(crate) status: CommandStatus,
    pub(crate) exit_code: Option<i32>,
    pub(crate) error: Option<ErrorBody>,
    pub(crate) duration: Duration,
    pub(crate) output_len: Received,
    pub(crate) is_truncated: bool,
}

impl ProcessOutcome {
    /// The outcome of a command that was not run.
    pub(crate) fn without_run(status: CommandStatus, error: Option<ErrorBody>) -> Self {
        Self {
            status,
            exit_code: None,
            error,
            duration: Duration::ZERO,
            output_len: Received::default(),
            is_truncated: false,
        }
    }
}

/// What ended a process.
#[derive(Debug, Clone, Copy)]
pub(super) enum EndCause {
    Exited,
    TimedOut,
    Cancelled,
    Stopped,
}

/// The exit code is reported as the process gave it. A process that timed out gave none; for one that was cancelled
/// only the signal is reported. A main process that cannot be killed has no exit status.
pub(super) fn outcome(
    ending: EndCause,
    status: std::io::Result<Option<ExitStatus>>,
    survivors: &Survivors,
) -> (CommandStatus, Option<i32>, Option<ErrorBody>) {
    let of_signal = |status: &ExitStatus| status.signal().map(|signal| 128 + signal);
    let exit_code = status.as_ref().ok().and_then(Option::as_ref).and_then(|status| match ending {
        EndCause::Exited => status.code().or_else(|| of_signal(status)),
        EndCause::TimedOut => None,
        EndCause::Cancelled | EndCause::Stopped => of_signal(status),
    });
    let (status, error) = match ending {
        // Not `UNAVAILABLE`, which invites the caller to try again while the command still runs.
        EndCause::TimedOut => (CommandStatus::TimedOut, survivors.message().map(|left| (ErrorCode::Internal, left))),
        EndCause::Cancelled => (CommandStatus::Cancelled, survivors.message().map(|left| (ErrorCode::Internal, left))),
        EndCause::Stopped => {
            let left = survivors.message().map(|left| format!("; {left}")).unwrap_or_default();
            (CommandStatus::Cancelled, Some((ErrorCode::Unavailable, format!("the satellite was stopped{left}"))))
        }
        EndCause::Exited => match (exit_code, status) {
            (Some(0), _) => (CommandStatus::Succeeded, None),
            (_, Ok(_)) => (CommandStatus::Failed, None),
            (_, Err(error)) => (
                CommandStatus::OutcomeUnknown,
                Some((ErrorCode::Internal, format!("cannot wait for the process: {}", system_error::text(&error)))),
            ),
        },
    };
    (status, exit_code, error.map(|(code, message)| ErrorBody { code, message }))
}
