//! Heartbeats: signs of life of satellites, with the state of their machines.

use hive_wire::agent::Metrics;
use hive_wire::api::SatelliteStatus;
use hive_wire::satellite_api::{HeartbeatRequest, HeartbeatResponse};
use hive_wire::ui::SatelliteMetrics;
use hive_wire::{SatelliteId, TeamId, Timestamp};
use serde_json::json;

use super::Satellites;
use crate::access::{Permission, Principal, SatelliteIdentity, visible_scope};
use crate::store::{HeartbeatRow, SatelliteDescription, SatelliteRow};
use crate::telemetry::finite;
use crate::{Error, Result};

/// Characters of the version that a heartbeat over HTTPS reports.
const MAX_VERSION: usize = 255;

/// A heartbeat of a satellite.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SatelliteHeartbeat {
    /// When the hive received it.
    pub received_at: Timestamp,
    /// The state of the machine. In the last heartbeat, it is the last that was reported.
    pub metrics: Option<Metrics>,
}

impl From<HeartbeatRow> for SatelliteHeartbeat {
    fn from(HeartbeatRow { satellite_id: _, team_id: _, at, metrics }: HeartbeatRow) -> Self {
        Self { received_at: at, metrics }
    }
}

impl Satellites {
    /// Handles a heartbeat over HTTPS; with it a satellite also finds out at its start whether its key is still valid.
    ///
    /// # Errors
    /// `SatelliteNotFound` for another satellite's id.
    pub(crate) async fn heartbeat(
        &self,
        identity: &SatelliteIdentity,
        id: SatelliteId,
        heartbeat: HeartbeatRequest,
    ) -> Result<HeartbeatResponse> {
        let no_satellite = || Error::SatelliteNotFound(id.to_string());
        if identity.id != id {
            return Err(no_satellite());
        }
        let row = self.store.satellite_get(id).await?.ok_or_else(no_satellite)?;
        let is_activated = self.activate(&row).await?;
        let version: Option<String> = heartbeat.version.map(|version| version.chars().take(MAX_VERSION).collect());
        // Most heartbeats report the version that is stored, and then nothing of the satellite changes.
        if version.is_some() && version != row.agent_version {
            self.note_description(SatelliteDescription { id, system: None, agent_version: version });
        }
        self.note_heartbeat(id, row.team_id, None);
        // The row was read before this call activated the satellite.
        let status = if is_activated { SatelliteStatus::Active } else { row.status };
        let status = json!(status).as_str().unwrap_or_default().to_owned();
        Ok(HeartbeatResponse { success: true, status, config_version: 0 })
    }

    /// Notes a heartbeat of a satellite in this team, with what it reports of its machine.
    pub(crate) fn note_heartbeat(&self, id: SatelliteId, team_id: Option<TeamId>, metrics: Option<Metrics>) {
        let (at, metrics) = (self.context.now(), metrics.map(finite));
        if let Some(metrics) = metrics.clone() {
            self.events.note_metrics(team_id, SatelliteMetrics { id, at, metrics });
        }
        self.telemetry.note(HeartbeatRow { satellite_id: id, team_id, at, metrics });
    }

    /// Returns whether a satellite may have a link to some server now, or had one a moment ago.
    pub(super) async fn is_present(&self, row: &SatelliteRow) -> bool {
        if self.links.is_online(row.id) {
            return true;
        }
        let timeout = self.context.settings().heartbeat_timeout;
        let has_connected = row.journal.is_some();
        match self.telemetry.last_heartbeat(row.id).await {
            Ok(Some(at)) => at > self.context.now().minus(timeout),
            // The telemetry may be lost. Whoever was there before this server started has had no time to report yet.
            Ok(None) => has_connected && self.context.steady() < self.context.started_at().plus(timeout),
            Err(_) => has_connected,
        }
    }

    /// Returns the last heartbeat of a satellite.
    pub(crate) async fn latest_heartbeat(
        &self,
        principal: &Principal,
        id: SatelliteId,
    ) -> Result<Option<SatelliteHeartbeat>> {
        self.row_for(principal, id, &Permission::SatellitesRead).await?;
        Ok(self.telemetry.latest(id).await?.map(Into::into))
    }

    /// Lists up to `limit` heartbeats with metrics of a satellite before a time, newest first.
    pub(crate) async fn heartbeat_history(
        &self,
        principal: &Principal,
        id: SatelliteId,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<SatelliteHeartbeat>> {
        self.row_for(principal, id, &Permission::SatellitesRead).await?;
        // What a satellite reported in another team is not shown to the team that it serves now.
        let visible = visible_scope(principal, &Permission::SatellitesRead);
        Ok(self.telemetry.history(id, &visible.teams, before, limit).await?.into_iter().map(Into::into).collect())
    }
}
