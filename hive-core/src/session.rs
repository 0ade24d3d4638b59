//! Terminals.

use async_trait::async_trait;
use bytes::Bytes;
use hive_wire::{SatelliteId, SessionId, Timestamp};

use crate::{Result, Subscription};

/// A terminal to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateSessionParams {
    /// Where.
    pub satellite: SatelliteId,
    /// Columns, 1 to 1000.
    pub cols: u16,
    /// Rows, 1 to 1000.
    pub rows: u16,
    /// The program; the user's login shell unless given.
    pub shell: Option<String>,
}

/// An open terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Where it runs.
    pub satellite: SatelliteId,
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
    /// When it was opened.
    pub created_at: Timestamp,
}

/// Something that happened in a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// Bytes of output; `offset` counts from the session's first byte.
    Output {
        /// The offset of the first byte.
        offset: u64,
        /// The bytes.
        data: Bytes,
    },
    /// Output that nobody has any more.
    Gap {
        /// The first missing byte.
        from: u64,
        /// The first byte that is there again.
        to: u64,
    },
    /// The program has ended.
    Ended {
        /// Its exit code.
        exit_code: Option<i32>,
    },
}

/// Terminals on satellites. A session outlives its link, its viewers and a restart of the server.
#[async_trait]
pub trait SessionManager: Send + Sync {
    /// Opens a terminal.
    async fn create(&self, params: CreateSessionParams) -> Result<Session>;
    /// Returns a terminal; `None` where there is none, or the caller may not know of it.
    async fn get(&self, id: SessionId) -> Result<Option<Session>>;
    /// Lists terminals, of one satellite or of all.
    async fn list(&self, satellite: Option<SatelliteId>) -> Result<Vec<Session>>;
    /// Types into a terminal: every byte arrives once and in order, or the call fails.
    async fn send_input(&self, id: SessionId, data: Bytes) -> Result<()>;
    /// Changes a terminal's size.
    async fn resize(&self, id: SessionId, cols: u16, rows: u16) -> Result<()>;
    /// Ends a terminal with its whole process tree.
    async fn terminate(&self, id: SessionId) -> Result<()>;
    /// Watches a terminal from its current state on.
    async fn subscribe(&self, id: SessionId) -> Result<Subscription<SessionEvent>>;
}
