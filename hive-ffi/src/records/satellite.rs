//! Satellites.

use std::collections::BTreeMap;
use std::time::SystemTime;

use hive_core::wire::SatelliteName;
use hive_core::wire::agent::SystemInfo;
use hive_core::wire::api;

use super::convert::{enum_text, parse_enum, parse_id, system_time};
use crate::HiveError;

/// One satellite. Everything that it says of itself is hostile text: escape it wherever it is shown.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Satellite {
    /// Its id.
    pub id: String,
    /// Its name, unique in the hive.
    pub name: String,
    /// `inactive`, `active`, `maintenance` or `error`.
    pub status: String,
    /// Whether it has a link now.
    pub online: bool,
    /// Its labels.
    pub tags: Vec<String>,
    /// The team it serves; the whole hive where there is none.
    pub team_id: Option<String>,
    /// Where it stands, by an admin's word.
    pub region: Option<String>,
    /// The machine's name, by its own word.
    pub hostname: String,
    /// `linux`, `darwin` or `windows`, by its own word.
    pub os: String,
    /// The distribution or release, by its own word.
    pub os_version: String,
    /// `x86_64`, `aarch64` …, by its own word.
    pub arch: String,
    /// Logical processors, by its own word.
    pub cpu_cores: u32,
    /// Memory in MiB, by its own word.
    pub memory_total_mb: u64,
    /// The agent's version.
    pub agent_version: Option<String>,
    /// The last sign of life.
    pub last_seen: Option<SystemTime>,
    /// When it first registered.
    pub created_at: SystemTime,
}

impl From<api::Satellite> for Satellite {
    fn from(satellite: api::Satellite) -> Self {
        let SystemInfo { hostname, os, os_version, arch, cpu_cores, memory_total_mb, .. } = satellite.system;
        Self {
            id: satellite.id.to_string(),
            name: satellite.name.to_string(),
            status: enum_text(&satellite.status),
            online: satellite.online,
            tags: satellite.tags,
            team_id: satellite.team_id.map(|team| team.to_string()),
            region: satellite.region,
            hostname,
            os,
            os_version,
            arch,
            cpu_cores,
            memory_total_mb,
            agent_version: satellite.agent_version,
            last_seen: satellite.last_seen.map(system_time),
            created_at: system_time(satellite.created_at),
        }
    }
}

/// Which satellites are wanted. Everything that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct SatelliteFilter {
    /// Only those online, or only those offline.
    #[uniffi(default = None)]
    pub online: Option<bool>,
    /// Only those of this status.
    #[uniffi(default = None)]
    pub status: Option<String>,
    /// Only those that carry all of these tags.
    #[uniffi(default)]
    pub tags: Vec<String>,
    /// Only those whose name or host name contains this.
    #[uniffi(default = None)]
    pub search: Option<String>,
    /// Only those of this team.
    #[uniffi(default = None)]
    pub team_id: Option<String>,
}

impl TryFrom<SatelliteFilter> for api::SatelliteFilter {
    type Error = HiveError;

    fn try_from(filter: SatelliteFilter) -> Result<Self, HiveError> {
        let SatelliteFilter { online, status, tags, search, team_id } = filter;
        let status = status.as_deref().map(status_of).transpose()?;
        let team_id = team_id.map(|team| parse_id("team_id", &team)).transpose()?;
        Ok(Self { online, status, tags, search, team_id })
    }
}

/// Whom a satellite serves.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum SatelliteScope {
    /// The whole hive.
    Global,
    /// One team.
    Team {
        /// Which.
        id: String,
    },
}

/// What to change of a satellite. What is not given stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct SatelliteUpdate {
    /// A new name.
    #[uniffi(default = None)]
    pub name: Option<String>,
    /// New labels, all of them.
    #[uniffi(default = None)]
    pub tags: Option<Vec<String>>,
    /// A new status; global admins only.
    #[uniffi(default = None)]
    pub status: Option<String>,
    /// A new region; global admins only.
    #[uniffi(default = None)]
    pub region: Option<String>,
    /// Whom it serves from now on; global admins only.
    #[uniffi(default = None)]
    pub scope: Option<SatelliteScope>,
}

impl TryFrom<SatelliteUpdate> for api::SatelliteUpdate {
    type Error = HiveError;

    fn try_from(update: SatelliteUpdate) -> Result<Self, HiveError> {
        let SatelliteUpdate { name, tags, status, region, scope } = update;
        let name = name.map(|name| SatelliteName::try_from(name.as_str())).transpose();
        let team_id = match scope {
            None => None,
            Some(SatelliteScope::Global) => Some(None),
            Some(SatelliteScope::Team { id: team }) => Some(Some(parse_id("team", &team)?)),
        };
        Ok(Self {
            name: name.map_err(hive_core::Error::from)?,
            tags,
            status: status.as_deref().map(status_of).transpose()?,
            region,
            team_id,
        })
    }
}

fn status_of(text: &str) -> Result<api::SatelliteStatus, HiveError> {
    parse_enum("status", text, "one of inactive, active, maintenance, error")
}

/// Something that happened to a satellite. It may arrive twice: `seq` only grows.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum SatelliteEvent {
    /// It has a link.
    Online {
        /// Grows with every event of this hive.
        seq: u64,
        /// Which.
        id: String,
        /// Its name.
        name: String,
    },
    /// Its link is gone.
    Offline {
        /// Grows with every event of this hive.
        seq: u64,
        /// Which.
        id: String,
        /// The last sign of life.
        last_seen: Option<SystemTime>,
    },
    /// Its record changed.
    Updated {
        /// Grows with every event of this hive.
        seq: u64,
        /// Which.
        id: String,
        /// The new values by field, as a JSON object.
        changes: String,
    },
    /// It was removed.
    Removed {
        /// Grows with every event of this hive.
        seq: u64,
        /// Which.
        id: String,
    },
}

impl SatelliteEvent {
    /// Converts an event; none for a kind that this version does not know.
    pub(crate) fn from_wire(event: api::SatelliteEvent) -> Option<Self> {
        match event {
            api::SatelliteEvent::Online { seq, id, name } => {
                Some(Self::Online { seq, id: id.to_string(), name: name.to_string() })
            }
            api::SatelliteEvent::Offline { seq, id, last_seen } => {
                Some(Self::Offline { seq, id: id.to_string(), last_seen: last_seen.map(system_time) })
            }
            api::SatelliteEvent::Updated { seq, id, changes } => {
                Some(Self::Updated { seq, id: id.to_string(), changes: object(&changes) })
            }
            api::SatelliteEvent::Removed { seq, id } => Some(Self::Removed { seq, id: id.to_string() }),
            _ => None,
        }
    }
}

fn object(changes: &BTreeMap<String, serde_json::Value>) -> String {
    serde_json::json!(changes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_is_none_is_refused() {
        let filter = SatelliteFilter { status: Some("asleep".into()), ..SatelliteFilter::default() };
        assert!(matches!(api::SatelliteFilter::try_from(filter), Err(HiveError::InvalidInput { .. })));
    }

    #[test]
    fn no_team_and_no_change_are_two_things() {
        let team_of = |scope| {
            let update = SatelliteUpdate { scope, ..SatelliteUpdate::default() };
            api::SatelliteUpdate::try_from(update).unwrap().team_id
        };
        assert_eq!(team_of(None), None);
        assert_eq!(team_of(Some(SatelliteScope::Global)), Some(None));
    }
}
