//! Rows and queries of satellites.

use hive_wire::agent::SystemInfo;
use hive_wire::api::SatelliteStatus;
use hive_wire::{SatelliteId, SatelliteName, TeamId, Timestamp};

use crate::access::Sight;

/// A satellite as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct SatelliteRow {
    /// Its id.
    pub id: SatelliteId,
    /// Its name.
    pub name: SatelliteName,
    /// The team it serves; none where it serves all.
    pub team_id: Option<TeamId>,
    /// Whether it may be used.
    pub status: SatelliteStatus,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Its labels, sorted.
    pub tags: Vec<String>,
    /// What it says of itself beyond them, sorted.
    pub claimed_tags: Vec<String>,
    /// Where it stands.
    pub region: Option<String>,
    /// Its public base URL.
    pub satellite_url: Option<String>,
    /// The machine.
    pub system: SystemInfo,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// The last sign of life.
    pub last_heartbeat: Option<Timestamp>,
    /// The journal of its last link, where it told the process behind it.
    pub journal: Option<JournalRow>,
    /// When another process with its identity was last refused, since it has its key.
    pub conflict_at: Option<Timestamp>,
    /// When it first registered.
    pub created_at: Timestamp,
    /// When the row last changed, signs of life apart.
    pub updated_at: Timestamp,
}

/// The memory of what ran on a satellite, as its last link told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// The hive's word for it, under which commands are delivered.
    pub id: String,
    /// The process that writes it.
    pub start_id: Option<String>,
    /// The highest number of records it was seen to have.
    pub position: Option<u64>,
}

/// How far a journal has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalPosition {
    /// Whose.
    pub satellite_id: SatelliteId,
    /// Which.
    pub journal_id: String,
    /// Its number of records.
    pub position: u64,
}

/// What verifies a satellite's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SatelliteKeyRow {
    /// The argon2id hash of the secret.
    pub hash: String,
    /// Grows with every new key.
    pub generation: u64,
}

/// Which satellites are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SatelliteQuery {
    /// Only those in sight.
    pub sight: Sight,
    /// Only those of this status.
    pub status: Option<SatelliteStatus>,
    /// Only those that carry all of these labels.
    pub tags: Vec<String>,
    /// Only those whose name or host name contains this, letter by letter.
    pub search: Option<String>,
    /// Only those of this team.
    pub team_id: Option<TeamId>,
}

impl SatelliteQuery {
    /// Everything in sight.
    pub fn in_sight(sight: Sight) -> Self {
        Self { sight, status: None, tags: Vec::new(), search: None, team_id: None }
    }
}

/// What to change of a satellite; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct SatellitePatch {
    /// A new name.
    pub name: Option<SatelliteName>,
    /// New labels, all of them.
    pub tags: Option<Vec<String>>,
    /// A new status.
    pub status: Option<SatelliteStatus>,
    /// A new region.
    pub region: Option<String>,
    /// Another team, and the key that goes with it.
    pub assignment: Option<Assignment>,
}

/// Whom a satellite serves from now on. Its key before is dead.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The team; none for the whole hive.
    pub team_id: Option<TeamId>,
    /// The argon2id hash of its new key's secret.
    pub api_key_hash: String,
}

/// A sign of life.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Whose.
    pub id: SatelliteId,
    /// When.
    pub at: Timestamp,
    /// The machine, where it told.
    pub system: Option<SystemInfo>,
    /// The agent's version, where it told.
    pub agent_version: Option<String>,
}
