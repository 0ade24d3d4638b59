//! Shows the command of one satellite while it runs.

use hive_core::wire::ErrorCode;
use hive_core::wire::agent::Channel;
use hive_core::wire::api::{CommandStatus, ExecResult, TargetStatus};

use crate::error::Result;
use crate::{hints, output};

/// Where the output goes, and how the target is named.
pub(crate) struct ExecDisplay {
    /// Output is collected for one JSON document. Otherwise it is written unchanged as it comes.
    pub(crate) is_collected: bool,
    /// The target as the user wrote it.
    pub(crate) target: String,
    /// The hint for a program that cannot be started.
    pub(crate) on_missing_program: Option<String>,
}

impl ExecDisplay {
    pub(crate) fn is_collected(&self) -> bool {
        self.is_collected
    }

    pub(crate) fn on_output(&self, channel: Channel, bytes: &[u8]) -> Result<()> {
        if self.is_collected { Ok(()) } else { output::raw(&channel, bytes) }
    }

    /// Notes that the satellite's link was lost, or is back.
    pub(crate) fn on_link(&self, is_online: bool, seconds_left: Option<u64>) {
        output::note(&link(&self.target, is_online, seconds_left));
    }

    /// Notes how the command ended, unless exit code and output say all of it.
    pub(crate) fn on_end(&self, result: &ExecResult) {
        // As with ssh: a program that ran to its end gives `hive` its exit code, and no message is added.
        let is_shown_by_output =
            result.error.is_none() && !result.truncated && result.exit_code.is_some() && is_plain(&result.status);
        if !self.is_collected() && !is_shown_by_output {
            output::note(&end_sentence(result));
            if let Some(hint) = self.hint(result) {
                output::hint(&hint);
            }
        }
    }

    fn hint(&self, result: &ExecResult) -> Option<String> {
        let is_not_started = result.exit_code.is_none()
            && result.error.as_ref().is_some_and(|error| error.code == ErrorCode::InvalidInput);
        if is_not_started && self.on_missing_program.is_some() {
            return self.on_missing_program.clone();
        }
        hints::for_result(result)
    }
}

fn is_plain(status: &TargetStatus) -> bool {
    matches!(status, TargetStatus::Command(CommandStatus::Succeeded | CommandStatus::Failed))
}

/// Returns the sentence on a link that was lost, or is back.
fn link(target: &str, is_online: bool, seconds_left: Option<u64>) -> String {
    if is_online {
        return format!("{target} is linked again");
    }
    let until = seconds_left.map(|left| format!("; in {left} s its outcome counts as unknown")).unwrap_or_default();
    format!("{target} lost its link to the hive, the command may go on there{until}")
}

/// Returns the sentence on how a target ended.
pub(crate) fn end_sentence(result: &ExecResult) -> String {
    let word = status_word(&result.status);
    let code = exit_code(&result.status, result.exit_code);
    let code = code.map(|code| format!(", exit code {code}")).unwrap_or_default();
    let cut = if result.truncated { ", output cut" } else { "" };
    let why = result.error.as_ref().map(|error| format!(": {}", error.message)).unwrap_or_default();
    format!("{}: {word}{code}{cut}{why}", result.satellite_name)
}

/// Returns the exit code to show. A program that timed out has none, though older servers send that of its kill signal.
pub(crate) fn exit_code(status: &TargetStatus, code: Option<i32>) -> Option<i32> {
    code.filter(|_| *status != TargetStatus::Command(CommandStatus::TimedOut))
}

pub(crate) fn status_word(status: &TargetStatus) -> &str {
    status.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_link_is_noted_with_its_consequence() {
        assert_eq!(
            link("web", false, Some(65)),
            "web lost its link to the hive, the command may go on there; in 65 s its outcome counts as unknown"
        );
        assert_eq!(link("web", true, None), "web is linked again");
    }
}
