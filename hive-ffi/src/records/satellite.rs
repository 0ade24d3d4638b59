//! Satellites, and what to change of them.

use std::time::SystemTime;

use hive_core::wire::SatelliteName;
use hive_core::wire::agent::SystemInfo;
use hive_core::wire::api;

use super::convert::{enum_text, parse_enum, parse_id, system_time};
use crate::HiveError;

/// One satellite. Everything that it reports is hostile text: escape it where you show it.
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
    /// Its tags.
    pub tags: Vec<String>,
    /// The team that it serves; none for the whole hive.
    pub team_id: Option<String>,
    /// Its region, as an admin entered it.
    pub region: Option<String>,
    /// The host name, as reported by the satellite.
    pub hostname: String,
    /// `linux`, `darwin` or `windows`, as reported by the satellite.
    pub os: String,
    /// The distribution or release, as reported by the satellite.
    pub os_version: String,
    /// `x86_64`, `aarch64` …, as reported by the satellite.
    pub arch: String,
    /// Logical processors, as reported by the satellite.
    pub cpu_cores: u32,
    /// Memory in MiB, as reported by the satellite.
    pub memory_total_mb: u64,
    /// The version of its agent.
    pub agent_version: Option<String>,
    /// The last sign of life.
    pub last_seen: Option<SystemTime>,
    /// When it first registered.
    pub created_at: SystemTime,
}

impl From<api::Satellite> for Satellite {
    fn from(satellite: api::Satellite) -> Self {
        // One flat record: a nested one would be another class in each language.
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

/// Which satellites to return. All given conditions must hold.
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
    /// Only those that the group with this id or name has now.
    #[uniffi(default = None)]
    pub group: Option<String>,
    /// Their order: `name`, `status`, `last_seen`, `created_at`, or one of them behind `-` for the opposite order.
    #[uniffi(default = None)]
    pub sort: Option<String>,
}

impl TryFrom<SatelliteFilter> for api::SatelliteFilter {
    type Error = HiveError;

    fn try_from(filter: SatelliteFilter) -> Result<Self, HiveError> {
        let SatelliteFilter { online, status, tags, search, team_id, group, sort: _ } = filter;
        let status = status.as_deref().map(parse_status).transpose()?;
        let team_id = team_id.map(|team| parse_id("team_id", &team)).transpose()?;
        let group = group.map(|group| parse_id("group", &group)).transpose()?;
        Ok(Self { online, status, tags, search, team_id, group })
    }
}

/// Whom a satellite serves.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum SatelliteScope {
    /// The whole hive.
    Global,
    /// One team.
    Team {
        /// The id of the team.
        id: String,
    },
}

/// What to change of a satellite. What is not given stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, uniffi::Record)]
pub struct SatelliteUpdate {
    /// A new name.
    #[uniffi(default = None)]
    pub name: Option<String>,
    /// All of its new tags.
    #[uniffi(default = None)]
    pub tags: Option<Vec<String>>,
    /// A new status; global admins only.
    #[uniffi(default = None)]
    pub status: Option<String>,
    /// A new region; global admins only.
    #[uniffi(default = None)]
    pub region: Option<String>,
    /// Whom it serves; global admins only.
    #[uniffi(default = None)]
    pub scope: Option<SatelliteScope>,
}

impl TryFrom<SatelliteUpdate> for api::SatelliteUpdate {
    type Error = HiveError;

    fn try_from(update: SatelliteUpdate) -> Result<Self, HiveError> {
        let SatelliteUpdate { name, tags, status, region, scope } = update;
        let name = name.map(|name| SatelliteName::try_from(name.as_str())).transpose();
        // The wire has three states: no change (not there), the whole hive (`null`), and a team.
        let team_id = match scope {
            None => None,
            Some(SatelliteScope::Global) => Some(None),
            Some(SatelliteScope::Team { id: team }) => Some(Some(parse_id("team", &team)?)),
        };
        Ok(Self {
            name: name.map_err(hive_core::Error::from)?,
            tags,
            status: status.as_deref().map(parse_status).transpose()?,
            region,
            team_id,
        })
    }
}

fn parse_status(text: &str) -> Result<api::SatelliteStatus, HiveError> {
    parse_enum("status", text, "one of inactive, active, maintenance, error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_status_is_refused() {
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
