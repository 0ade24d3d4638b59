//! How the command of one satellite is shown while it runs.

use hive_core::wire::agent::Channel;
use hive_core::wire::api::{CommandStatus, ExecResult, TargetStatus};

use crate::failure::Result;
use crate::{advice, output};

/// Where output goes.
pub(crate) enum View {
    /// Nowhere yet: it is collected for one JSON document.
    Collected,
    /// To ours, byte by byte: there is one target.
    Raw,
}

impl View {
    pub(crate) fn is_collected(&self) -> bool {
        matches!(self, Self::Collected)
    }

    pub(crate) fn on_output(&self, channel: Channel, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Collected => Ok(()),
            Self::Raw => output::raw(&channel, bytes),
        }
    }

    /// Says how a target ended, where its output does not say it.
    pub(crate) fn on_end(&self, result: &ExecResult) {
        // The exit code is ours: nothing to add, as with ssh.
        let is_told =
            result.error.is_none() && !result.truncated && result.exit_code.is_some() && is_plain(&result.status);
        if !self.is_collected() && !is_told {
            output::note(&ending(result));
            if let Some(advice) = advice::on_result(result) {
                output::advice(&advice);
            }
        }
    }
}

fn is_plain(status: &TargetStatus) -> bool {
    matches!(status, TargetStatus::Command(CommandStatus::Succeeded | CommandStatus::Failed))
}

/// One sentence on how a target ended.
pub(crate) fn ending(result: &ExecResult) -> String {
    let word = status_word(&result.status);
    let code = exit_code(&result.status, result.exit_code);
    let code = code.map(|code| format!(", exit code {code}")).unwrap_or_default();
    let cut = if result.truncated { ", output cut" } else { "" };
    let why = result.error.as_ref().map(|error| format!(": {}", error.message)).unwrap_or_default();
    format!("{}: {word}{code}{cut}{why}", result.satellite_name)
}

/// The exit code that is shown. A program whose time was up has none; older servers may send one.
pub(crate) fn exit_code(status: &TargetStatus, code: Option<i32>) -> Option<i32> {
    code.filter(|_| *status != TargetStatus::Command(CommandStatus::TimedOut))
}

pub(crate) fn status_word(status: &TargetStatus) -> &str {
    status.as_str()
}
