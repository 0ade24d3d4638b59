//! How terminals end, in the store first.

use std::time::Duration;

use hive_wire::SatelliteId;
use hive_wire::agent::{ErrorBody, ToAgent};
use hive_wire::api::{EndReason, SessionEnd};
use tracing::warn;

use super::live::{LiveSession, Standing};
use crate::hive::Hive;
use crate::link::Outgoing;
use crate::store::SessionRow;
use crate::{Error, Result};

/// How long a satellite may take to end a terminal with its whole process tree.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// An end without an exit code.
pub(super) fn end_as(reason: EndReason, error: Option<ErrorBody>) -> SessionEnd {
    SessionEnd { reason, exit_code: None, error }
}

impl Hive {
    /// Gives a terminal its end. One that had ended before keeps that end.
    pub(super) async fn end_session(&self, row: &SessionRow, end: SessionEnd) -> Result<()> {
        let live = self.inner.sessions.get(row.id);
        let output = live.as_ref().and_then(|live| live.output());
        let record = self.ended_record(row, &end, output);
        let is_first = self.store().session_end(row.id, end.clone(), self.source().now(), record).await?;
        let Some(live) = live else { return Ok(()) };
        let stored = if is_first { None } else { self.store().session_get(row.id).await?.and_then(|row| row.end) };
        live.end(self.inner.sessions.now(), stored.unwrap_or(end));
        Ok(())
    }

    /// Asks a satellite to end a terminal, where it has a link.
    pub(super) fn ask_to_end(&self, row: &SessionRow) {
        if let Some(live) = self.inner.links.get(row.satellite_id) {
            live.pass(Outgoing::Control(ToAgent::PtyEnd { session_id: row.id }));
        }
    }

    /// Ends a terminal by its satellite, and waits until it is gone. One whose satellite has no link, or loses it
    /// meanwhile, counts as ended: it is ended there when the satellite comes back.
    pub(super) async fn terminate_session(&self, row: &SessionRow) -> Result<()> {
        let live = self.live_session(row);
        self.ask_to_end(row);
        let has_an_answer = live.wait_for(|standing| match standing {
            Standing::Ended(_) => true,
            _ => !self.inner.links.is_online(row.satellite_id),
        });
        match tokio::time::timeout(END_PATIENCE, has_an_answer).await {
            Ok(Standing::Ended(_)) => Ok(()),
            Ok(Standing::Closed) => Err(Error::unavailable("the server stops")),
            Ok(_) => self.end_session(row, end_as(EndReason::Killed, None)).await,
            Err(_) => Err(Error::unavailable("the satellite did not end the terminal in time")),
        }
    }

    /// Follows the store in ending the terminals of a satellite that was removed or given to another team: those who could use
    /// them may not any more.
    pub(crate) async fn end_live_sessions_of(&self, satellite: SatelliteId) {
        for live in self.inner.sessions.of(satellite) {
            if let Err(error) = self.follow_end(&live).await {
                warn!(session.id = %live.id, error = %error, "end of a terminal not recorded");
            }
        }
    }

    /// Ends a terminal here that has ended in the store, and records that.
    async fn follow_end(&self, live: &LiveSession) -> Result<()> {
        let row = self.store().session_get(live.id).await?;
        let Some((row, end)) = row.and_then(|row| row.end.clone().map(|end| (row, end))) else { return Ok(()) };
        if matches!(live.standing(), Standing::Ended(_)) {
            return Ok(());
        }
        self.ask_to_end(&row);
        live.end(self.inner.sessions.now(), end.clone());
        let record = self.ended_record(&row, &end, live.output());
        self.store().audit_append(record).await?;
        Ok(())
    }
}
