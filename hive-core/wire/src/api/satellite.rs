//! Satellites as clients see them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::group::GroupRef;
use crate::agent::SystemInfo;
use crate::open::{known_opt, open_tagged};
use crate::open_enum;
use crate::{SatelliteId, SatelliteName, TeamId, Timestamp};

open_enum! {
    /// The scope of a satellite.
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
        /// The satellite reports an error.
        Error = "error",
    }
}

impl SatelliteStatus {
    /// Returns whether a satellite with this status accepts commands and sessions.
    pub fn accepts_commands(&self) -> bool {
        matches!(self, Self::Active | Self::Error)
    }
}

/// A satellite. Text that it reports of itself is not trusted: escape it wherever it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Satellite {
    /// Its id.
    pub id: SatelliteId,
    /// Its name, unique in the hive.
    pub name: SatelliteName,
    /// Its scope.
    pub satellite_type: SatelliteType,
    /// Its team, if its scope is one.
    pub team_id: Option<TeamId>,
    /// Whether it may be used.
    pub status: SatelliteStatus,
    /// Whether it has a link now.
    pub online: bool,
    /// Its labels.
    pub tags: Vec<String>,
    /// Labels that it claims and was not granted. They match no target.
    #[serde(default)]
    pub claimed_tags: Vec<String>,
    /// Its region, as an admin has set it.
    pub region: Option<String>,
    /// Its capabilities.
    pub capabilities: Vec<String>,
    /// The machine, as the satellite reports it.
    pub system: SystemInfo,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// Its public base URL.
    pub satellite_url: Option<String>,
    /// Problems that the satellite reports; only while it is online.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// The time of the last heartbeat.
    pub last_seen: Option<Timestamp>,
    /// When another process with the same identity was last refused: most likely a copy of the machine.
    #[serde(default)]
    pub conflict_at: Option<Timestamp>,
    /// When it first registered.
    pub created_at: Timestamp,
    /// When this record last changed.
    pub updated_at: Timestamp,
}

/// A filter of satellites. All conditions that are set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
    /// Only those that this group has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupRef>,
}

/// A change of a satellite. Fields that are `None` stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SatelliteUpdate {
    /// A new name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<SatelliteName>,
    /// New labels, all of them.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<crate::schema::TagText>>, max_items = 64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// A new status; global admins only.
    #[cfg_attr(feature = "openapi", schema(schema_with = crate::schema::known_words_or_null::<SatelliteStatus>))]
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known_opt")]
    pub status: Option<SatelliteStatus>,
    /// A new region; global admins only.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::schema::TagText>))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Another team, or `null` for the whole hive; global admins only. The satellite gets a new key over its link. One that
    /// is offline registers again, with a token of the new team.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<TeamId>))]
    pub team_id: Option<Option<TeamId>>,
}

/// Distinguishes a field that is `null` from one that is missing.
#[expect(clippy::option_option, reason = "not there, null and a value are three things")]
pub(super) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    // A missing field does not get here: it has its default, `None`.
    Option::deserialize(deserializer).map(Some)
}

/// An event of a satellite. It may arrive twice; `seq` only grows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "event", content = "data", remote = "Self")]
#[non_exhaustive]
pub enum SatelliteEvent {
    /// The satellite is online.
    #[serde(rename = "satellite:online")]
    Online {
        /// Grows with every event of this hive.
        seq: u64,
        /// The satellite.
        id: SatelliteId,
        /// Its name.
        name: SatelliteName,
        /// The machine, as the satellite reports it. Servers of earlier versions do not send it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        system: Option<Box<SystemInfo>>,
    },
    /// The satellite is offline.
    #[serde(rename = "satellite:offline")]
    Offline {
        /// Grows with every event of this hive.
        seq: u64,
        /// The satellite.
        id: SatelliteId,
        /// The time of the last heartbeat.
        last_seen: Option<Timestamp>,
    },
    /// The record of the satellite has changed.
    #[serde(rename = "satellite:updated")]
    Updated {
        /// Grows with every event of this hive.
        seq: u64,
        /// The satellite.
        id: SatelliteId,
        /// The new values by field.
        changes: BTreeMap<String, serde_json::Value>,
    },
    /// A registration has replaced the key of the satellite. The earlier key is void.
    #[serde(rename = "satellite:key_replaced")]
    KeyReplaced {
        /// Grows with every event of this hive.
        seq: u64,
        /// The satellite.
        id: SatelliteId,
        /// Its name.
        name: SatelliteName,
    },
    /// Another process with the same identity was refused.
    #[serde(rename = "satellite:conflict")]
    Conflict {
        /// Grows with every event of this hive.
        seq: u64,
        /// The satellite.
        id: SatelliteId,
        /// Its name.
        name: SatelliteName,
    },
    /// The satellite was removed.
    #[serde(rename = "satellite:removed")]
    Removed {
        /// Grows with every event of this hive.
        seq: u64,
        /// The satellite.
        id: SatelliteId,
    },
    /// An event that this version does not know.
    #[serde(skip)]
    Unknown(serde_json::Value),
}

open_tagged!(SatelliteEvent, "event");

impl SatelliteEvent {
    /// Returns the satellite of the event; `None` for an event of a later version.
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
