//! Telemetry: what satellites report of their machines again and again.
//!
//! It is not in the database of the hive. On SQLite it has a file of its own, so that the writer of the hive never waits for it.
//! On PostgreSQL it has tables of its own in the same database, which are written without the lock of the hive's writers. No
//! other table refers to it: a hive that has lost its telemetry keeps every promise.

use async_trait::async_trait;
use hive_wire::agent::Metrics;
use hive_wire::{SatelliteId, TeamId, Timestamp};

use crate::StoreResult;
use crate::access::VisibleTeams;

/// Heartbeats that are kept of a global satellite: about 8 hours of one every 30 s.
pub const MAX_GLOBAL_HEARTBEATS: u32 = 1000;
/// Heartbeats that are kept of a satellite of a team: about 4 hours of one every 30 s.
pub const MAX_TEAM_HEARTBEATS: u32 = 500;

/// A heartbeat of a satellite.
#[derive(Debug, Clone, PartialEq)]
pub struct HeartbeatRow {
    /// The satellite.
    pub satellite_id: SatelliteId,
    /// Its team at that time. `None` for a global satellite.
    pub team_id: Option<TeamId>,
    /// When the hive received it.
    pub at: Timestamp,
    /// The state of the machine, if the heartbeat has it.
    pub metrics: Option<Metrics>,
}

/// The telemetry of satellites. Nothing is audited.
#[async_trait]
pub trait TelemetryStore: Send + Sync {
    /// Stores heartbeats of one or more satellites, all in one transaction. Those of one satellite must be in the order of their
    /// times. A heartbeat that is not later than the stored ones of its satellite has no effect, so that the same call may be
    /// repeated.
    ///
    /// A heartbeat with metrics is added to the history of its satellite. Of each history the newest
    /// [`MAX_GLOBAL_HEARTBEATS`] or [`MAX_TEAM_HEARTBEATS`] are kept; a few older ones may be deleted later.
    async fn heartbeat_append(&self, heartbeats: Vec<HeartbeatRow>) -> StoreResult<()>;
    /// Returns the last heartbeat of a satellite. Its metrics are the last that the satellite has reported.
    async fn heartbeat_latest(&self, satellite: SatelliteId) -> StoreResult<Option<HeartbeatRow>>;
    /// Returns the times of the last heartbeats of these satellites, in any order. Satellites without one are left out.
    async fn heartbeat_times(&self, satellites: &[SatelliteId]) -> StoreResult<Vec<(SatelliteId, Timestamp)>>;
    /// Lists up to `limit` heartbeats with metrics of a satellite, from its time in the teams in `visible`: those before a time,
    /// newest first.
    async fn heartbeat_list(
        &self,
        satellite: SatelliteId,
        visible: &VisibleTeams,
        before: Option<Timestamp>,
        limit: u32,
    ) -> StoreResult<Vec<HeartbeatRow>>;
    /// Deletes everything of these satellites.
    async fn telemetry_delete(&self, satellites: Vec<SatelliteId>) -> StoreResult<()>;
}
