//! Rows and queries of satellites.

use hive_wire::agent::SystemInfo;
use hive_wire::api::{SatelliteStatus, Sort};
use hive_wire::{SatelliteId, SatelliteName, TeamId, Timestamp};

use crate::SatelliteSelection;
use crate::access::VisibleScope;
use crate::row_order::{KeyKind, RowOrder, SortKey};

/// A stored satellite.
#[derive(Debug, Clone, PartialEq)]
pub struct SatelliteRow {
    /// Its id.
    pub id: SatelliteId,
    /// Its name.
    pub name: SatelliteName,
    /// Its team. `None` for a global satellite.
    pub team_id: Option<TeamId>,
    /// Its status.
    pub status: SatelliteStatus,
    /// Its capabilities.
    pub capabilities: Vec<String>,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// The tags that it claims and that its token did not give, sorted.
    pub claimed_tags: Vec<String>,
    /// Its region.
    pub region: Option<String>,
    /// Its public base URL.
    pub satellite_url: Option<String>,
    /// The description of the machine.
    pub system: SystemInfo,
    /// The version of the agent.
    pub agent_version: Option<String>,
    /// The journal of its last link.
    pub journal: Option<JournalRow>,
    /// When another process with its identity was last refused, if that was after it got its key.
    pub conflict_at: Option<Timestamp>,
    /// When it first registered.
    pub created_at: Timestamp,
    /// When the row last changed, other than by what the satellite reports with its links.
    pub updated_at: Timestamp,
}

/// The journal of a satellite: the list of commands that ran, which the satellite keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// Its id in the hive. Commands are delivered to this id.
    pub id: String,
    /// The process that writes it.
    pub start_id: Option<String>,
    /// The highest known number of its records.
    pub position: Option<u64>,
}

/// A known number of records of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalPosition {
    /// The satellite.
    pub satellite_id: SatelliteId,
    /// Its journal.
    pub journal_id: String,
    /// The number of records.
    pub position: u64,
}

/// The status of a satellite, and which kinds of commands its next link has to bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenWork {
    /// The status of the satellite.
    pub status: SatelliteStatus,
    /// Whether a command of the satellite has not ended.
    pub has_commands: bool,
    /// Whether a delivered command was ended by an assignment of the satellite to another team, at any time.
    pub has_revoked: bool,
}

/// The hash that verifies the key of a satellite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SatelliteKeyRow {
    /// The argon2id hash of the secret.
    pub hash: String,
    /// The number of the key, which increases with every new one.
    pub generation: u64,
}

/// A filter for satellites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SatelliteQuery {
    /// Only satellites in visible.
    pub visible: VisibleScope,
    /// Only satellites with this status.
    pub status: Option<SatelliteStatus>,
    /// Only satellites with all of these tags.
    pub tags: Vec<String>,
    /// Only satellites whose name or host name contains this text. There are no wildcards.
    pub search: Option<String>,
    /// Only satellites of this team.
    pub team_id: Option<TeamId>,
    /// Only these satellites. One call takes up to 1,000 ids.
    pub ids: Option<Vec<SatelliteId>>,
    /// Only satellites that a group lists or a query selects.
    pub selection: Option<SatelliteSelection>,
}

impl SatelliteQuery {
    /// All satellites in visible.
    pub fn visible_to(visible: VisibleScope) -> Self {
        Self { visible, status: None, tags: Vec::new(), search: None, team_id: None, ids: None, selection: None }
    }
}

/// A filter for tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagListQuery {
    /// Only tags of satellites in visible.
    pub visible: VisibleScope,
    /// Only tags of satellites of this team.
    pub team_id: Option<TeamId>,
    /// Only tags that contain this text. There are no wildcards.
    pub search: Option<String>,
}

/// A change of a satellite. `None` keeps the value.
#[derive(Debug, Clone, Default)]
pub struct SatellitePatch {
    /// A new name.
    pub name: Option<SatelliteName>,
    /// All new tags.
    pub tags: Option<Vec<String>>,
    /// A new status.
    pub status: Option<SatelliteStatus>,
    /// A new region.
    pub region: Option<String>,
    /// Another team, and the key that goes with it.
    pub assignment: Option<Assignment>,
}

/// An assignment of a satellite to a team. It comes with a new key, because the previous team may know the old one.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The team. `None` makes the satellite global.
    pub team_id: Option<TeamId>,
    /// The argon2id hash of the secret of the new key.
    pub api_key_hash: String,
}

/// How a satellite describes itself when it connects. `None` keeps the value.
#[derive(Debug, Clone)]
pub struct SatelliteDescription {
    /// The satellite.
    pub id: SatelliteId,
    /// The machine.
    pub system: Option<SystemInfo>,
    /// The version of the agent.
    pub agent_version: Option<String>,
}

/// The order of satellites in the store. The time of the last heartbeat is telemetry, and has a store of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SatelliteOrder {
    /// By name.
    Name,
    /// By the word of the status.
    Status,
    /// By the time of the first registration.
    CreatedAt,
}

impl RowOrder for SatelliteOrder {
    type Row = SatelliteRow;

    const DEFAULT: Sort<Self> = Sort::ascending(Self::Name);

    fn kind(self) -> KeyKind {
        match self {
            Self::Name | Self::Status => KeyKind::Text,
            Self::CreatedAt => KeyKind::Number,
        }
    }

    fn key(self, row: &SatelliteRow) -> SortKey {
        match self {
            Self::Name => SortKey::text(&row.name, row.id),
            Self::Status => SortKey::text(&row.status, row.id),
            Self::CreatedAt => SortKey::time(row.created_at, row.id),
        }
    }
}
