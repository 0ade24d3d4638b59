//! Terminals as clients see them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Actor;
use crate::open_enum;
use crate::terminal::{SessionEnd, Size};
use crate::{SatelliteId, SatelliteName, SessionId, Timestamp};

open_enum! {
    /// Whether a terminal can be used.
    pub enum SessionStatus {
        /// Its satellite was asked to open it.
        Starting = "starting",
        /// Its program runs.
        Open = "open",
        /// Its program has ended.
        Ended = "ended",
    }
}

/// One terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Where it runs.
    pub satellite_id: SatelliteId,
    /// That satellite's name.
    pub satellite_name: SatelliteName,
    /// Whether it can be used.
    pub status: SessionStatus,
    /// Whether its satellite has a link now.
    pub online: bool,
    /// Its size.
    #[serde(flatten)]
    pub size: Size,
    /// The program, where it is not the user's login shell.
    pub shell: Option<String>,
    /// Who opened it.
    pub created_by: Actor,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub end: Option<SessionEnd>,
    /// How many look at it now.
    pub viewers: u32,
}

/// A terminal to be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionCreate {
    /// Where.
    pub satellite_id: SatelliteId,
    /// Columns, 1 to [`MAX_SCREEN`](super::MAX_SCREEN).
    #[serde(default = "default_cols")]
    pub cols: u16,
    /// Rows, 1 to [`MAX_SCREEN`](super::MAX_SCREEN).
    #[serde(default = "default_rows")]
    pub rows: u16,
    /// The path of a program to run as a login shell; the user's own unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// Added to its environment. Values may be secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

fn default_cols() -> u16 {
    Size::default().cols
}

fn default_rows() -> u16 {
    Size::default().rows
}

impl SessionCreate {
    /// A login shell of the usual size.
    pub fn on(satellite_id: SatelliteId) -> Self {
        let Size { cols, rows } = Size::default();
        Self { satellite_id, cols, rows, shell: None, env: BTreeMap::new() }
    }
}

/// Which terminals are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionFilter {
    /// Only those on this satellite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub satellite_id: Option<SatelliteId>,
    /// Also those that have ended, the latest thousand.
    pub ended: bool,
}

/// Bytes to type into a terminal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionInput {
    /// Base64. May be secret.
    pub data: String,
}

impl std::fmt::Debug for SessionInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionInput").finish_non_exhaustive()
    }
}
