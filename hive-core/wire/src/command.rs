//! Words about commands that the REST interface and the link share, and how a command ended.

use crate::code::ErrorBody;
use crate::open_enum;

open_enum! {
    /// How far a command is. It ends in exactly one terminal status; the first one wins.
    pub enum CommandStatus {
        /// Durable, and not yet on its way.
        Queued = "queued",
        /// Handed to a link: it may have started.
        Delivered = "delivered",
        /// In the satellite's journal.
        Started = "started",
        /// Exit code 0.
        Succeeded = "succeeded",
        /// Another exit code, refused by the satellite, or could not be started.
        Failed = "failed",
        /// Ended by force when its time was up.
        TimedOut = "timed_out",
        /// Ended by force on request, or taken out of the queue.
        Cancelled = "cancelled",
        /// Not started before its expiry, and it never will be.
        Expired = "expired",
        /// It may have run: a crash hid the end. Never run again by itself.
        OutcomeUnknown = "outcome_unknown",
    }
}

impl CommandStatus {
    /// Whether the status is final. An unknown one is: what ended in a way this version does not know has ended.
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
    /// What kind of thing a command does.
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
