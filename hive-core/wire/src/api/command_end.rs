//! What the messages about the end of a command have in common. They list the fields of a [`CommandEnd`] among others, in the order
//! in which they are written; here they are converted.

use super::{CommandInfo, ExecResult, JobTarget, TargetStatus};
use crate::agent::CommandResult;
use crate::command::CommandEnd;
use crate::{CommandId, SatelliteId, SatelliteName};

impl CommandInfo {
    /// Returns how the command ended, apart from its status.
    pub fn end(&self) -> CommandEnd {
        let (exit_code, duration_ms, truncated) = (self.exit_code, self.duration_ms, self.truncated);
        CommandEnd { exit_code, duration_ms, truncated, error: self.error.clone() }
    }
}

impl JobTarget {
    /// Returns how the command of the target ended, apart from its status, or why it was not run.
    pub fn end(&self) -> CommandEnd {
        let (exit_code, duration_ms, truncated) = (self.exit_code, self.duration_ms, self.truncated);
        CommandEnd { exit_code, duration_ms, truncated, error: self.error.clone() }
    }
}

impl From<CommandResult> for CommandEnd {
    fn from(result: CommandResult) -> Self {
        let CommandResult { id: _, status: _, exit_code, duration_ms, sent: _, truncated, error } = result;
        Self { exit_code, duration_ms: Some(duration_ms), truncated, error }
    }
}

impl ExecResult {
    /// Returns the result of a command without its output.
    pub fn without_output(
        satellite_id: SatelliteId,
        satellite_name: SatelliteName,
        command_id: Option<CommandId>,
        status: TargetStatus,
        end: CommandEnd,
    ) -> Self {
        let CommandEnd { exit_code, duration_ms, truncated, error } = end;
        Self {
            satellite_id,
            satellite_name,
            command_id,
            status,
            exit_code,
            stdout: String::new(),
            stderr: String::new(),
            duration_ms: duration_ms.unwrap_or(0),
            truncated,
            error,
        }
    }
}
