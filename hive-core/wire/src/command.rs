//! The statuses and types of commands, the power actions, and how a command ended. The REST API and the link share them.

use crate::code::ErrorBody;
use crate::open_enum;

open_enum! {
    /// The status of a command. A command ends in exactly one terminal status; the first one counts.
    pub enum CommandStatus {
        /// Stored, and not delivered to a satellite yet.
        Queued = "queued",
        /// Delivered to a link. It may have started.
        Delivered = "delivered",
        /// Recorded in the journal of the satellite: it runs.
        Started = "started",
        /// Exit code 0.
        Succeeded = "succeeded",
        /// Another exit code, refused by the satellite, or could not be started.
        Failed = "failed",
        /// Killed at its timeout.
        TimedOut = "timed_out",
        /// Killed on request, or removed from the queue.
        Cancelled = "cancelled",
        /// Not started before its expiry. It never will be.
        Expired = "expired",
        /// It may have run, but its end was not reported. The hive does not run it again.
        OutcomeUnknown = "outcome_unknown",
    }
}

impl CommandStatus {
    /// Returns whether the status is final. An unknown status counts as final: a later version may add
    /// ways in which a command ends.
    pub fn is_terminal(&self) -> bool {
        !matches!(self, Self::Queued | Self::Delivered | Self::Started)
    }
}

/// How a command ended, apart from its status. It is the default while the command has not ended, and where no more is known of
/// its end than the status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandEnd {
    /// The exit code; 128 + the number where a signal ended it; none where its time was up.
    pub exit_code: Option<i32>,
    /// How long it ran, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Whether output beyond the cap was dropped.
    pub truncated: bool,
    /// Why it failed, where it was not the program's own exit.
    pub error: Option<ErrorBody>,
}

impl From<ErrorBody> for CommandEnd {
    /// The end of a command that did not run.
    fn from(error: ErrorBody) -> Self {
        Self { error: Some(error), ..Self::default() }
    }
}

open_enum! {
    /// The type of a command.
    pub enum CommandType {
        /// Runs a program.
        Exec = "exec",
        /// Changes the machine's power.
        Power = "power",
    }
}

open_enum! {
    /// A change of a machine's power.
    pub enum PowerAction {
        /// Turns it off.
        Shutdown = "shutdown",
        /// Starts it again.
        Reboot = "reboot",
        /// Suspends it to memory.
        Sleep = "sleep",
        /// Suspends it to disk.
        Hibernate = "hibernate",
        /// Takes back a delayed one.
        Cancel = "cancel",
    }
}

#[cfg(all(test, feature = "openapi"))]
mod tests {
    use utoipa::PartialSchema as _;
    use utoipa::openapi::{RefOr, Schema};

    use super::CommandStatus;
    use crate::open::OpenEnum as _;

    #[test]
    fn an_open_word_is_described_by_its_doc_comments() {
        let RefOr::T(Schema::Object(status)) = CommandStatus::schema() else { panic!("not an object") };
        let description = status.description.unwrap();
        assert!(description.starts_with("The status of a command."), "{description}");
        for word in CommandStatus::WORDS {
            let line = description.lines().find(|line| line.starts_with(&format!("- `{word}`: "))).unwrap();
            assert!(line.ends_with('.') && line.len() > word.len() + 8, "{line}");
        }
    }
}
