//! A stored satellite as clients see it.

use hive_wire::Timestamp;
use hive_wire::api::{Satellite, SatelliteType};

use super::Satellites;
use crate::store::SatelliteRow;

impl Satellites {
    pub(super) async fn view(&self, row: SatelliteRow) -> Satellite {
        let last_seen = self.telemetry.last_seen(&[row.id]).await.remove(&row.id);
        self.view_at(row, last_seen)
    }

    pub(super) async fn views(&self, rows: Vec<SatelliteRow>) -> Vec<Satellite> {
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let mut last_seen = self.telemetry.last_seen(&ids).await;
        let view = |row: SatelliteRow| {
            let seen = last_seen.remove(&row.id);
            self.view_at(row, seen)
        };
        rows.into_iter().map(view).collect()
    }

    fn view_at(&self, row: SatelliteRow, last_seen: Option<Timestamp>) -> Satellite {
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
            journal: _,
            conflict_at,
            created_at,
            updated_at,
        } = row;
        // A description that is not stored yet counts as much as one that is.
        let described = self.descriptions.get(id);
        let (new_system, new_version) =
            described.map(|described| (described.system, described.agent_version)).unwrap_or_default();
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
