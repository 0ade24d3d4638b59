//! Terminals.

use async_trait::async_trait;
use hive_wire::api::{Actor, SessionEnd, SessionStatus, Size};
use hive_wire::{SatelliteId, SatelliteName, SessionId, TeamId, Timestamp};

use crate::StoreResult;
use crate::access::{Authority, Sight};
use crate::audit::AuditDraft;

/// Terminals. Their bytes are not stored.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Stores a terminal as starting, unless `limit` terminals of its satellite have not ended, or the satellite is not there
    /// for the terminal's team any more: then false, and nothing is stored. However many callers come at once, no more than `limit` are there.
    async fn session_insert(&self, session: NewSession, limit: u32, audit: AuditDraft) -> StoreResult<bool>;
    /// Marks a starting terminal as open. False for any other; the record is written only for true.
    async fn session_open(&self, id: SessionId, audit: AuditDraft) -> StoreResult<bool>;
    /// Returns a terminal, ended ones too.
    async fn session_get(&self, id: SessionId) -> StoreResult<Option<SessionRow>>;
    /// Lists up to `limit` terminals, newest first.
    async fn session_list(&self, query: &SessionQuery, limit: u32) -> StoreResult<Vec<SessionRow>>;
    /// Lists the terminals of a satellite, or of all, that have not ended, oldest first.
    async fn session_list_open(&self, satellite: Option<SatelliteId>) -> StoreResult<Vec<SessionRow>>;
    /// Gives a terminal its end. True for the one caller that did; only then the record is written.
    async fn session_end(&self, id: SessionId, end: SessionEnd, now: Timestamp, audit: AuditDraft)
    -> StoreResult<bool>;
    /// Notes the size of a terminal that has not ended. Not audited: telemetry.
    async fn session_resize(&self, id: SessionId, size: Size) -> StoreResult<()>;
}

/// A terminal to be stored.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Its satellite.
    pub satellite_id: SatelliteId,
    /// The satellite's team.
    pub team_id: Option<TeamId>,
    /// Its size.
    pub size: Size,
    /// The program, where it is not the user's login shell.
    pub shell: Option<String>,
    /// Who asked.
    pub actor: Actor,
    /// What allowed it.
    pub authorised_by: Authority,
    /// The time.
    pub created_at: Timestamp,
}

/// A terminal as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: SessionId,
    /// Its satellite.
    pub satellite_id: SatelliteId,
    /// That satellite's name now, or its last one where it was removed.
    pub satellite_name: SatelliteName,
    /// The team the satellite had when it was opened.
    pub team_id: Option<TeamId>,
    /// Whether it can be used.
    pub status: SessionStatus,
    /// Its size, as it was last noted.
    pub size: Size,
    /// The program, where it is not the user's login shell.
    pub shell: Option<String>,
    /// Who asked.
    pub actor: Actor,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub end: Option<SessionEnd>,
}

/// Which terminals are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionQuery {
    /// Only those in sight.
    pub sight: Sight,
    /// Only those on this satellite.
    pub satellite_id: Option<SatelliteId>,
    /// Also those that have ended.
    pub ended: bool,
}
