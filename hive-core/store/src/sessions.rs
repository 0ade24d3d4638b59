//! Terminal sessions.

use async_trait::async_trait;
use hive_wire::api::{Actor, SessionEnd, SessionSort, SessionStatus, Size};
use hive_wire::{SatelliteId, SatelliteName, SessionId, TeamId, Timestamp};

use crate::access::{Authority, VisibleScope};
use crate::audit::AuditDraft;
use crate::row_order::{SortKey, row_orders};
use crate::{RowRange, StoreResult};

/// Terminal sessions. Their input and output is not stored.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Stores a session as starting. False, and nothing is stored, if `limit` sessions of its satellite are open, or if the
    /// satellite was removed or belongs to another team now. The limit holds for concurrent callers.
    async fn session_insert(&self, session: NewSession, limit: u32, audit: AuditDraft) -> StoreResult<bool>;
    /// Marks a starting session as open. False for any other. The audit record is written only for true.
    async fn session_open(&self, id: SessionId, audit: AuditDraft) -> StoreResult<bool>;
    /// Returns a session, which may have ended.
    async fn session_get(&self, id: SessionId) -> StoreResult<Option<SessionRow>>;
    /// Lists sessions, and returns the total, counted up to one more than [`MAX_COUNTED`](crate::MAX_COUNTED).
    async fn session_list(
        &self,
        query: &SessionQuery,
        range: RowRange<SessionSort>,
    ) -> StoreResult<(Vec<SessionRow>, u64)>;
    /// Lists the open sessions of a satellite, or of all satellites, oldest first.
    async fn session_list_open(&self, satellite: Option<SatelliteId>) -> StoreResult<Vec<SessionRow>>;
    /// Lists the ids of all sessions that have not ended, oldest first. It reads no more of them.
    async fn session_list_open_ids(&self) -> StoreResult<Vec<SessionId>>;
    /// Ends a session. True for the one caller that did it, whose audit record is written.
    async fn session_end(&self, id: SessionId, end: SessionEnd, now: Timestamp, audit: AuditDraft)
    -> StoreResult<bool>;
    /// Stores the size of an open session. Not audited: it follows the window of a viewer.
    async fn session_resize(&self, id: SessionId, size: Size) -> StoreResult<()>;
}

/// A session to store.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Its satellite.
    pub satellite_id: SatelliteId,
    /// The team of the satellite.
    pub team_id: Option<TeamId>,
    /// The size of the terminal.
    pub size: Size,
    /// The program, unless it is the login shell of the user.
    pub shell: Option<String>,
    /// The actor who asked for it.
    pub actor: Actor,
    /// The authority of the actor.
    pub authorised_by: Authority,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A stored session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: SessionId,
    /// Its satellite.
    pub satellite_id: SatelliteId,
    /// The current name of the satellite, or the last one if it was removed.
    pub satellite_name: SatelliteName,
    /// The team of the satellite when the session was created.
    pub team_id: Option<TeamId>,
    /// Its status.
    pub status: SessionStatus,
    /// The last stored size of the terminal.
    pub size: Size,
    /// The program, unless it is the login shell of the user.
    pub shell: Option<String>,
    /// The actor who asked for it.
    pub actor: Actor,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The reason of its end.
    pub end: Option<SessionEnd>,
}

/// A filter for sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionQuery {
    /// Only sessions in visible.
    pub visible: VisibleScope,
    /// Only sessions on this satellite.
    pub satellite_id: Option<SatelliteId>,
    /// Only sessions that have ended, or only those that have not.
    pub ended: Option<bool>,
}

row_orders! {
    SessionSort of SessionRow {
        CreatedAt: Number, |row| SortKey::time(row.created_at, row.id);
    }
}
