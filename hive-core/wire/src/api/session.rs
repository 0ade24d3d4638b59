//! Sessions as clients see them. A session is a terminal on a satellite.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Actor;
use crate::open_enum;
use crate::terminal::{SessionEnd, Size};
use crate::{SatelliteId, SatelliteName, SessionId, Timestamp};

open_enum! {
    /// The status of a session.
    pub enum SessionStatus {
        /// Its satellite was asked to open it.
        Starting = "starting",
        /// Its program runs.
        Open = "open",
        /// Its program has ended.
        Ended = "ended",
    }
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Its satellite.
    pub satellite_id: SatelliteId,
    /// The name of the satellite.
    pub satellite_name: SatelliteName,
    /// Its status.
    pub status: SessionStatus,
    /// Whether its satellite has a link now.
    pub online: bool,
    /// Its size.
    #[serde(flatten)]
    pub size: Size,
    /// The program, if it is not the login shell of the user.
    pub shell: Option<String>,
    /// The caller that opened it.
    pub created_by: Actor,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub end: Option<SessionEnd>,
    /// The number of its viewers.
    pub viewers: u32,
}

/// The request to open a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionCreate {
    /// The satellite.
    pub satellite_id: SatelliteId,
    /// Columns, 1 to [`MAX_SCREEN`](super::MAX_SCREEN).
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    #[serde(default = "default_cols")]
    pub cols: u16,
    /// Rows, 1 to [`MAX_SCREEN`](super::MAX_SCREEN).
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    #[serde(default = "default_rows")]
    pub rows: u16,
    /// The path of a program to run as a login shell; the user's own unless given.
    #[cfg_attr(feature = "openapi", schema(max_length = 4096, pattern = r"^/[^\x00]*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// Added to its environment. Values may be secrets.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<crate::schema::VariableName, crate::schema::ProcessText>))]
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

/// A filter of sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct SessionFilter {
    /// Only those on this satellite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub satellite_id: Option<SatelliteId>,
    /// Also sessions that have ended.
    pub ended: bool,
}

/// Input for a session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionInput {
    /// Base64. May be secret.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::schema::Base64Text))]
    pub data: String,
}

impl std::fmt::Debug for SessionInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // People type passwords.
        f.debug_struct("SessionInput").finish_non_exhaustive()
    }
}
