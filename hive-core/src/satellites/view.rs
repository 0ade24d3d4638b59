//! A stored satellite as clients see it.

use hive_wire::api::{Satellite, SatelliteType};

use super::Satellites;
use crate::store::SatelliteRow;

impl Satellites {
    pub(super) fn view(&self, row: SatelliteRow) -> Satellite {
        let SatelliteRow {
            id,
            name,
            team_id,
            status,
            capabilities,
            tags,
            claimed_tags,
            region,
            satellite_url,
            system,
            agent_version,
            last_heartbeat,
            journal: _,
            conflict_at,
            created_at,
            updated_at,
        } = row;
        // A heartbeat that is not stored yet counts as much as one that is.
        let heartbeat = self.heartbeats.get(id);
        let last_seen = heartbeat.as_ref().map(|heartbeat| heartbeat.at).max(last_heartbeat);
        let (new_system, new_version) =
            heartbeat.map(|heartbeat| (heartbeat.system, heartbeat.agent_version)).unwrap_or_default();
        Satellite {
            id,
            name,
            satellite_type: if team_id.is_some() { SatelliteType::Team } else { SatelliteType::Global },
            team_id,
            status,
            online: self.links.is_online(id),
            tags,
            claimed_tags,
            region,
            capabilities,
            system: new_system.unwrap_or(system),
            agent_version: new_version.or(agent_version),
            satellite_url,
            problems: self.links.problems(id),
            last_seen,
            conflict_at,
            created_at,
            updated_at,
        }
    }
}
