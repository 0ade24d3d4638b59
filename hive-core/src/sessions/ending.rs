//! The ends of sessions. A session ends in the store first, and then in memory.

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

/// How long a satellite may take to end a session with its whole process tree.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// An end without an exit code.
pub(super) fn end_as(reason: EndReason, error: Option<ErrorBody>) -> SessionEnd {
    SessionEnd { reason, exit_code: None, error }
}

impl Sessions {
    /// Ends a session. A session that ended before keeps its first end.
    pub(super) async fn end(&self, row: &SessionRow, end: SessionEnd) -> Result<()> {
        let live = self.get(row.id);
        let output = live.as_ref().and_then(|live| live.output());
        let record = self.ended_record(row, &end, output);
        // The store decides between concurrent ends, such as an exit and a removal. It is also what a restart reads.
        let is_first = self.store.session_end(row.id, end.clone(), self.context.now(), record).await?;
        if is_first {
            self.report_ended(row, &end);
        }
        let Some(live) = live else { return Ok(()) };
        // Viewers see the end that is stored, also where another one was reported first.
        let stored = if is_first { None } else { self.store.session_get(row.id).await?.and_then(|row| row.end) };
        live.end(self.now(), stored.unwrap_or(end));
        Ok(())
    }

    /// Asks a satellite to end a session, if it has a link.
    pub(super) fn ask_to_end(&self, row: &SessionRow) {
        // Without a link, nothing is lost: the next handshake lists the session, and `resume` has it ended then.
        if let Some(link) = self.links.get(row.satellite_id) {
            link.send_best_effort(ToAgent::PtyEnd { session_id: row.id });
        }
    }

    /// Ends a session on its satellite, and waits until its processes are gone. If the satellite has no link, or loses it
    /// meanwhile, the session ends here at once, and on the satellite when it reconnects.
    pub(super) async fn terminate(&self, row: &SessionRow) -> Result<()> {
        let live = self.live_session(row);
        self.ask_to_end(row);
        let has_an_answer = live.wait_for(|state| match state {
            SessionState::Ended(_) => true,
            // The loss of a link wakes this wait: it is removed from the table first and then reported to its sessions.
            _ => !self.links.is_online(row.satellite_id),
        });
        match tokio::time::timeout(END_TIMEOUT, has_an_answer).await {
            Ok(SessionState::Ended(_)) => Ok(()),
            Ok(SessionState::Closed) => Err(Error::unavailable("the server stops")),
            Ok(_) => self.end(row, end_as(EndReason::Killed, None)).await,
            Err(_) => Err(Error::unavailable("the satellite did not end the session in time")),
        }
    }

    /// Ends a session in memory that the store has ended, and records it.
    async fn follow_end(&self, live: &LiveSession) -> Result<()> {
        let row = self.store.session_get(live.id).await?;
        let Some((row, end)) = row.and_then(|row| row.end.clone().map(|end| (row, end))) else { return Ok(()) };
        if matches!(live.state(), SessionState::Ended(_)) {
            return Ok(());
        }
        self.ask_to_end(&row);
        live.end(self.now(), end.clone());
        self.report_ended(&row, &end);
        // After the end, unlike elsewhere: the store has ended it already, and viewers must not go on if no record is written.
        let record = self.ended_record(&row, &end, live.output());
        self.audit.audit_append(record).await?;
        Ok(())
    }
}

#[async_trait]
impl SatelliteObserver for Sessions {
    async fn on_revoked(self: Arc<Self>, satellite: SatelliteId, _cause: Revocation) {
        // The store has ended all sessions of the satellite. One that cannot be recorded must not keep the others open.
        for session in self.of(satellite) {
            if let Err(error) = self.follow_end(&session).await {
                warn!(session.id = %session.id, error = %error, "end of a session not recorded");
            }
        }
    }
}
