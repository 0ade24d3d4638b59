//! Terminals.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use hive_core::session;
use hive_core::wire::api;
use hive_core::wire::session::{self as wire, ToViewer};

use super::ErrorBody;
use super::convert::{enum_text, system_time};

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Size {
    /// Columns, 1 to 1000.
    #[uniffi(default = 80)]
    pub cols: u16,
    /// Rows, 1 to 1000.
    #[uniffi(default = 24)]
    pub rows: u16,
}

impl From<Size> for api::Size {
    fn from(Size { cols, rows }: Size) -> Self {
        Self { cols, rows }
    }
}

impl From<api::Size> for Size {
    fn from(api::Size { cols, rows }: api::Size) -> Self {
        Self { cols, rows }
    }
}

/// How a terminal is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct SessionOptions {
    /// The path of a program to run as a login shell; the user's own unless given.
    #[uniffi(default = None)]
    pub shell: Option<String>,
    /// Added to its environment. Values may be secrets.
    #[uniffi(default)]
    pub env: HashMap<String, String>,
    /// Its size; 80 × 24 unless given.
    #[uniffi(default = None)]
    pub size: Option<Size>,
}

/// One terminal.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// Where it runs.
    pub satellite_id: String,
    /// That satellite's name.
    pub satellite_name: String,
    /// `starting`, `open` or `ended`.
    pub status: String,
    /// Whether its satellite has a link now.
    pub online: bool,
    /// Its size.
    pub size: Size,
    /// The program, where it is not the user's login shell.
    pub shell: Option<String>,
    /// Who opened it.
    pub created_by: String,
    /// When it was opened.
    pub created_at: SystemTime,
    /// When it ended.
    pub ended_at: Option<SystemTime>,
    /// Why it ended: `exited`, `killed`, `timeout`, `error` or `lost`.
    pub end_reason: Option<String>,
    /// The program's exit code, 128 + the number where a signal ended it.
    pub exit_code: Option<i32>,
    /// How many look at it now.
    pub viewers: u32,
}

impl From<api::Session> for Session {
    fn from(session: api::Session) -> Self {
        Self {
            id: session.id.to_string(),
            satellite_id: session.satellite_id.to_string(),
            satellite_name: session.satellite_name.to_string(),
            status: enum_text(&session.status),
            online: session.online,
            size: session.size.into(),
            shell: session.shell,
            created_by: session.created_by.name,
            created_at: system_time(session.created_at),
            ended_at: session.ended_at.map(system_time),
            end_reason: session.end.as_ref().map(|end| end.reason.as_str().to_owned()),
            exit_code: session.end.and_then(|end| end.exit_code),
            viewers: session.viewers,
        }
    }
}

/// How somebody looks at a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum ViewMode {
    /// Types where nobody else does, else reads along until asked for the keyboard.
    Control,
    /// Takes the keyboard from whoever has it.
    Take,
    /// Reads along, and never types.
    ReadOnly,
}

impl From<ViewMode> for wire::ViewMode {
    fn from(mode: ViewMode) -> Self {
        match mode {
            ViewMode::Control => Self::Control,
            ViewMode::Take => Self::Take,
            ViewMode::ReadOnly => Self::ReadOnly,
        }
    }
}

/// Something that happens in a terminal.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum TerminalEvent {
    /// The next bytes of output: every byte once, in order, but for what a `Gap` or a `Reset` leaves out.
    Output {
        /// The bytes.
        data: Vec<u8>,
    },
    /// Output that nobody has any more.
    Gap {
        /// How many bytes are missing.
        bytes: u64,
    },
    /// Output was left out: the screen is to be reset, and then these escape sequences written to it.
    Reset {
        /// They bring a fresh terminal into the modes this one is in.
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
    /// Who has the keyboard has changed.
    Control {
        /// Whether it is this viewer.
        is_mine: bool,
        /// The name of who has it.
        holder: Option<String>,
    },
    /// Another viewer asks this one for the keyboard.
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
    /// The satellite's link has gone or come back. The terminal lives on.
    Link {
        /// Whether it is there.
        online: bool,
    },
    /// The program has ended; nothing follows.
    Ended {
        /// `exited`, `killed`, `timeout`, `error` or `lost`.
        reason: String,
        /// The program's exit code, 128 + the number where a signal ended it.
        exit_code: Option<i32>,
        /// What went wrong, where it could not be opened or was lost.
        error: Option<ErrorBody>,
    },
    /// The hive does not let this viewer in any more. The program may live on; nothing follows.
    Refused {
        /// Why.
        error: ErrorBody,
    },
}

impl TerminalEvent {
    /// Converts an event; none for a message that means nothing to a viewer.
    pub(crate) fn from_core(event: session::TerminalEvent) -> Option<Self> {
        match event {
            session::TerminalEvent::Output { data, .. } => Some(Self::Output { data: data.into() }),
            session::TerminalEvent::Gap { from, to } => Some(Self::Gap { bytes: to.saturating_sub(from) }),
            session::TerminalEvent::Reset { modes } => Some(Self::Reset { modes }),
            session::TerminalEvent::Disconnected { cause, retry_in } => Some(Self::Disconnected { cause, retry_in }),
            session::TerminalEvent::Reconnected { lost_input } => Some(Self::Reconnected { lost_input }),
            session::TerminalEvent::Message(message) => Self::from_message(message),
            session::TerminalEvent::Ended(api::SessionEnd { reason, exit_code, error }) => {
                Some(Self::Ended { reason: reason.as_str().to_owned(), exit_code, error: error.map(ErrorBody::from) })
            }
            session::TerminalEvent::Refused(error) => Some(Self::Refused { error: error.into() }),
        }
    }

    fn from_message(message: ToViewer) -> Option<Self> {
        match message {
            ToViewer::Control(wire::Control { is_mine, holder, .. }) => Some(Self::Control { is_mine, holder }),
            ToViewer::ControlRequested { by, name } => Some(Self::ControlRequested { by, name }),
            ToViewer::Resized(size) => Some(Self::Resized { size: size.into() }),
            ToViewer::Link { online } => Some(Self::Link { online }),
            _ => None,
        }
    }
}
