//! Sessions, and how to open and view one.

use std::collections::HashMap;
use std::time::SystemTime;

use hive_core::wire::api;
use hive_core::wire::session as wire;

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

/// How to open a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct SessionOptions {
    /// The path of a program to run as a login shell; the user's shell unless given.
    #[uniffi(default = None)]
    pub shell: Option<String>,
    /// Added to its environment. Values may be secrets.
    #[uniffi(default)]
    pub env: HashMap<String, String>,
    /// Its size; 80 × 24 unless given.
    #[uniffi(default = None)]
    pub size: Option<Size>,
}

/// One session: a terminal on a satellite.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// The id of its satellite.
    pub satellite_id: String,
    /// The name of its satellite.
    pub satellite_name: String,
    /// `starting`, `open` or `ended`.
    pub status: String,
    /// Whether its satellite has a link now.
    pub online: bool,
    /// Its size.
    pub size: Size,
    /// The program, unless it is the user's login shell.
    pub shell: Option<String>,
    /// Who opened it.
    pub created_by: String,
    /// When it was opened.
    pub created_at: SystemTime,
    /// When it ended.
    pub ended_at: Option<SystemTime>,
    /// Why it ended: `exited`, `killed`, `timeout`, `error` or `lost`.
    pub end_reason: Option<String>,
    /// The exit code; 128 + the number of the signal that ended it.
    pub exit_code: Option<i32>,
    /// How many viewers are attached.
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

/// How to view a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum ViewMode {
    /// Takes the keyboard if nobody has it.
    Control,
    /// Takes the keyboard from its holder.
    Take,
    /// Never takes the keyboard.
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
