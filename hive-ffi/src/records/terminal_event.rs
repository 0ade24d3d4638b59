//! What happens in a terminal.

use std::time::Duration;

use hive_core::terminal;
use hive_core::wire::api;
use hive_core::wire::session::{Control, ToViewer};

use super::{ErrorBody, Size};

/// An event of a terminal.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum TerminalEvent {
    /// The next bytes of output: every byte once and in order, except for what a `Gap` or a `Reset` skips.
    Output {
        /// The bytes.
        data: Vec<u8>,
    },
    /// Output that was lost.
    Gap {
        /// How many bytes are missing.
        bytes: u64,
    },
    /// Output was skipped. Reset the screen, then write these escape sequences to it.
    Reset {
        /// Escape sequences that set the modes of the session on a fresh terminal.
        modes: String,
    },
    /// The connection to the hive is broken. The session continues, and the viewer reattaches by itself.
    Disconnected {
        /// The cause.
        cause: String,
        /// The delay before the next attempt.
        retry_in: Duration,
    },
    /// The connection is restored.
    Reconnected {
        /// Bytes of input that were lost, because another viewer has the keyboard now.
        lost_input: u64,
    },
    /// The keyboard has another holder.
    Control {
        /// Whether the holder is this viewer.
        is_mine: bool,
        /// The name of the holder.
        holder: Option<String>,
    },
    /// Another viewer asks for the keyboard.
    ControlRequested {
        /// Its number, for `grant_control`.
        by: u32,
        /// Its name.
        name: String,
    },
    /// The terminal has another size.
    Resized {
        /// The size.
        size: Size,
    },
    /// The satellite's link was lost, or is restored. The session continues.
    Link {
        /// Whether there is a link now.
        online: bool,
    },
    /// The program has ended. No event follows.
    Ended {
        /// `exited`, `killed`, `timeout`, `error` or `lost`.
        reason: String,
        /// The exit code; 128 + the number of the signal that ended it.
        exit_code: Option<i32>,
        /// Why the session could not be opened, or was lost.
        error: Option<ErrorBody>,
    },
    /// The hive refuses this viewer. The program may still run. No event follows.
    Refused {
        /// Why.
        error: ErrorBody,
    },
}

impl TerminalEvent {
    /// Converts an event; none for a message that means nothing to a viewer.
    pub(crate) fn from_core(event: terminal::TerminalEvent) -> Option<Self> {
        match event {
            // The end of the output stays with the object, which acknowledges it when the event is taken.
            terminal::TerminalEvent::Output { data, .. } => Some(Self::Output { data: data.into() }),
            // Offsets mean nothing to a caller that never saw one. The length of the gap does.
            terminal::TerminalEvent::Gap { from, to } => Some(Self::Gap { bytes: to.saturating_sub(from) }),
            terminal::TerminalEvent::Reset { modes } => Some(Self::Reset { modes }),
            terminal::TerminalEvent::Disconnected { cause, retry_in } => Some(Self::Disconnected { cause, retry_in }),
            terminal::TerminalEvent::Reconnected { lost_input } => Some(Self::Reconnected { lost_input }),
            terminal::TerminalEvent::Message(message) => Self::from_message(message),
            terminal::TerminalEvent::Ended(api::SessionEnd { reason, exit_code, error }) => {
                Some(Self::Ended { reason: reason.as_str().to_owned(), exit_code, error: error.map(ErrorBody::from) })
            }
            terminal::TerminalEvent::Refused(error) => Some(Self::Refused { error: error.into() }),
        }
    }

    fn from_message(message: ToViewer) -> Option<Self> {
        match message {
            ToViewer::Control(Control { is_mine, holder, .. }) => Some(Self::Control { is_mine, holder }),
            ToViewer::ControlRequested { by, name } => Some(Self::ControlRequested { by, name }),
            ToViewer::Resized(size) => Some(Self::Resized { size: size.into() }),
            ToViewer::Link { online } => Some(Self::Link { online }),
            // The others are for the terminal itself, which handles them before.
            _ => None,
        }
    }
}
