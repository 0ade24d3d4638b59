//! Terminals, as they go into a store and come out of it.

use hive_wire::api::{Actor, SessionEnd, SessionStatus, Size};
use hive_wire::{SatelliteId, SatelliteName, SessionId, TeamId, Timestamp};

use crate::access::{Authority, Sight};

/// A terminal to be stored.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Its satellite.
    pub satellite_id: SatelliteId,
    /// The satellite's team.
    pub team_id: Option<TeamId>,
    /// Its size.
    pub size: Size,
    /// The program, where it is not the user's login shell.
    pub shell: Option<String>,
    /// Who asked.
    pub actor: Actor,
    /// What allowed it.
    pub authorised_by: Authority,
    /// The time.
    pub created_at: Timestamp,
}

/// A terminal as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: SessionId,
    /// Its satellite.
    pub satellite_id: SatelliteId,
    /// That satellite's name now, or its last one where it was removed.
    pub satellite_name: SatelliteName,
    /// The team the satellite had when it was opened.
    pub team_id: Option<TeamId>,
    /// Whether it can be used.
    pub status: SessionStatus,
    /// Its size, as it was last noted.
    pub size: Size,
    /// The program, where it is not the user's login shell.
    pub shell: Option<String>,
    /// Who asked.
    pub actor: Actor,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub end: Option<SessionEnd>,
}

/// Which terminals are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionQuery {
    /// Only those in sight.
    pub sight: Sight,
    /// Only those on this satellite.
    pub satellite_id: Option<SatelliteId>,
    /// Also those that have ended.
    pub ended: bool,
}
