//! Satellites as clients see them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::agent::SystemInfo;
use crate::open::{known_opt, open_tagged};
use crate::open_enum;
use crate::{SatelliteId, SatelliteName, TeamId, Timestamp};

open_enum! {
    /// Whom a satellite serves.
    pub enum SatelliteType {
        /// The whole hive.
        Global = "global",
        /// One team.
        Team = "team",
    }
}

open_enum! {
    /// Whether a satellite may be used.
    pub enum SatelliteStatus {
        /// Registered and not yet activated.
        Inactive = "inactive",
        /// In use.
        Active = "active",
        /// Taken out of use by an admin.
        Maintenance = "maintenance",
        /// In trouble by its own word.
        Error = "error",
    }
}

impl SatelliteStatus {
    /// Whether commands and terminals may be given to a satellite of this status.
    pub fn accepts_commands(&self) -> bool {
        matches!(self, Self::Active | Self::Error)
    }
}

/// One satellite. Everything that it says of itself is hostile text: escape it wherever it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Satellite {
    /// Its id.
    pub id: SatelliteId,
    /// Its name, unique in the hive.
    pub name: SatelliteName,
    /// Whom it serves.
    pub satellite_type: SatelliteType,
    /// The team it serves, where it serves one.
    pub team_id: Option<TeamId>,
    /// Whether it may be used.
    pub status: SatelliteStatus,
    /// Whether it has a link now.
    pub online: bool,
    /// Its labels.
    pub tags: Vec<String>,
    /// Labels that it claims and was not given: they match nothing.
    #[serde(default)]
    pub claimed_tags: Vec<String>,
    /// Where it stands, by an admin's word.
    pub region: Option<String>,
    /// What it can do.
    pub capabilities: Vec<String>,
    /// The machine, by its own word.
    pub system: SystemInfo,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// Its public base URL.
    pub satellite_url: Option<String>,
    /// What is wrong with it, by its own word; only while it is online.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// The last sign of life.
    pub last_seen: Option<Timestamp>,
    /// When another process with its identity was last refused beside it: a copy of its machine, most likely.
    #[serde(default)]
    pub conflict_at: Option<Timestamp>,
    /// When it first registered.
    pub created_at: Timestamp,
    /// When this record last changed.
    pub updated_at: Timestamp,
}

/// Which satellites are wanted. Everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SatelliteFilter {
    /// Only those online (`Some(true)`) or offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<bool>,
    /// Only those of this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<SatelliteStatus>,
    /// Only those that carry all of these tags.
    pub tags: Vec<String>,
    /// Only those whose name or host name contains this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// Only those of this team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
}

/// What to change of a satellite. What is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SatelliteUpdate {
    /// A new name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<SatelliteName>,
    /// New labels, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// A new status; global admins only.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known_opt")]
    pub status: Option<SatelliteStatus>,
    /// A new region; global admins only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Another team, or `null` for the whole hive; global admins only. The satellite gets a new key over its link. One that
    /// is offline registers again, with a token of the new team.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub team_id: Option<Option<TeamId>>,
}

/// Tells a field that is `null` from one that is not there.
#[expect(clippy::option_option, reason = "not there, null and a value are three things")]
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Something that happened to a satellite. It may arrive twice: `seq` only grows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data", remote = "Self")]
#[non_exhaustive]
pub enum SatelliteEvent {
    /// It has a link.
    #[serde(rename = "satellite:online")]
    Online {
        /// Grows with every event of this hive.
        seq: u64,
        /// Which.
        id: SatelliteId,
        /// Its name.
        name: SatelliteName,
    },
    /// Its link is gone.
    #[serde(rename = "satellite:offline")]
    Offline {
        /// Grows with every event of this hive.
        seq: u64,
        /// Which.
        id: SatelliteId,
        /// The last sign of life.
        last_seen: Option<Timestamp>,
    },
    /// Its record changed.
    #[serde(rename = "satellite:updated")]
    Updated {
        /// Grows with every event of this hive.
        seq: u64,
        /// Which.
        id: SatelliteId,
        /// The new values by field.
        changes: BTreeMap<String, serde_json::Value>,
    },
    /// It has another key, by a registration that took its place. What had the key before is out.
    #[serde(rename = "satellite:key_replaced")]
    KeyReplaced {
        /// Grows with every event of this hive.
        seq: u64,
        /// Which.
        id: SatelliteId,
        /// Its name.
        name: SatelliteName,
    },
    /// Another process with its identity was refused beside it.
    #[serde(rename = "satellite:conflict")]
    Conflict {
        /// Grows with every event of this hive.
        seq: u64,
        /// Which.
        id: SatelliteId,
        /// Its name.
        name: SatelliteName,
    },
    /// It was removed.
    #[serde(rename = "satellite:removed")]
    Removed {
        /// Grows with every event of this hive.
        seq: u64,
        /// Which.
        id: SatelliteId,
    },
    /// An event that this version does not know.
    #[serde(skip)]
    Unknown(serde_json::Value),
}

open_tagged!(SatelliteEvent, "event");

impl SatelliteEvent {
    /// The satellite it is about; none where this version does not know the event.
    pub fn satellite(&self) -> Option<SatelliteId> {
        match self {
            Self::Online { id, .. }
            | Self::Offline { id, .. }
            | Self::Updated { id, .. }
            | Self::KeyReplaced { id, .. }
            | Self::Conflict { id, .. }
            | Self::Removed { id, .. } => Some(*id),
            Self::Unknown(_) => None,
        }
    }
}
