//! How terminals end, in the store first.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hive_wire::SatelliteId;
use hive_wire::agent::{ErrorBody, ToAgent};
use hive_wire::api::{EndReason, SessionEnd};
use tracing::warn;

use super::Sessions;
use super::live::{LiveSession, SessionState};
use crate::satellites::{Revocation, SatelliteObserver};
use crate::store::SessionRow;
use crate::{Error, Result};

/// How long a satellite may take to end a terminal with its whole process tree.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// An end without an exit code.
pub(super) fn end_as(reason: EndReason, error: Option<ErrorBody>) -> SessionEnd {
    SessionEnd { reason, exit_code: None, error }
}

impl Sessions {
    /// Gives a terminal its end. One that had ended before keeps that end.
    pub(super) async fn end(&self, row: &SessionRow, end: SessionEnd) -> Result<()> {
        let live = self.get(row.id);
        let output = live.as_ref().and_then(|live| live.output());
        let record = self.ended_record(row, &end, output);
        let is_first = self.store.session_end(row.id, end.clone(), self.context.now(), record).await?;
        let Some(live) = live else { return Ok(()) };
        let stored = if is_first { None } else { self.store.session_get(row.id).await?.and_then(|row| row.end) };
        live.end(self.now(), stored.unwrap_or(end));
        Ok(())
    }

    /// Asks a satellite to end a terminal, where it has a link.
    pub(super) fn ask_to_end(&self, row: &SessionRow) {
        if let Some(link) = self.links.get(row.satellite_id) {
            link.send_best_effort(ToAgent::PtyEnd { session_id: row.id });
        }
    }

    /// Ends a terminal by its satellite, and waits until it is gone. One whose satellite has no link, or loses it
    /// meanwhile, counts as ended: it is ended there when the satellite comes back.
    pub(super) async fn terminate(&self, row: &SessionRow) -> Result<()> {
        let live = self.live_session(row);
        self.ask_to_end(row);
        let has_an_answer = live.wait_for(|state| match state {
            SessionState::Ended(_) => true,
            _ => !self.links.is_online(row.satellite_id),
        });
        match tokio::time::timeout(END_TIMEOUT, has_an_answer).await {
            Ok(SessionState::Ended(_)) => Ok(()),
            Ok(SessionState::Closed) => Err(Error::unavailable("the server stops")),
            Ok(_) => self.end(row, end_as(EndReason::Killed, None)).await,
            Err(_) => Err(Error::unavailable("the satellite did not end the terminal in time")),
        }
    }

    /// Ends a terminal here that has ended in the store, and records that.
    async fn follow_end(&self, live: &LiveSession) -> Result<()> {
        let row = self.store.session_get(live.id).await?;
        let Some((row, end)) = row.and_then(|row| row.end.clone().map(|end| (row, end))) else { return Ok(()) };
        if matches!(live.state(), SessionState::Ended(_)) {
            return Ok(());
        }
        self.ask_to_end(&row);
        live.end(self.now(), end.clone());
        let record = self.ended_record(&row, &end, live.output());
        self.audit.audit_append(record).await?;
        Ok(())
    }
}

#[async_trait]
impl SatelliteObserver for Sessions {
    async fn on_revoked(self: Arc<Self>, satellite: SatelliteId, _cause: Revocation) {
        // The store has ended all sessions of the satellite: those who could use them may not any more.
        for session in self.of(satellite) {
            if let Err(error) = self.follow_end(&session).await {
                warn!(session.id = %session.id, error = %error, "end of a session not recorded");
            }
        }
    }
}
