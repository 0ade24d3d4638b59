//! The sessions of a satellite and its links: a new link resumes them, and reports over it start and end them.

use std::sync::Arc;

use hive_wire::agent::{PtyStarted, ToAgent, close};
use hive_wire::api::{EndReason, SessionEnd, SessionStatus};
use hive_wire::stream::Lane;
use hive_wire::{SatelliteId, SessionId};
use tracing::warn;

use super::Sessions;
use super::ending::end_as;
use super::live::{LiveSession, Started};
use crate::audit::draft::Subject;
use crate::links::LinkHandle;
use crate::links::unexpected::UnexpectedKind;
use crate::{Error, Result};

impl Sessions {
    /// Starts to resume a satellite's sessions over a new link. `listed` are the sessions that the satellite has. If it fails,
    /// the link is closed, and the next link tries again.
    pub(crate) fn start_resuming(self: &Arc<Self>, link: LinkHandle, listed: Vec<SessionId>) {
        let sessions = self.clone();
        // In a task of its own: the link must read messages meanwhile, and `resume` waits for room in it.
        self.context.spawn(async move {
            if let Err(error) = sessions.resume(&link, &listed).await {
                warn!(satellite.id = %link.satellite, error = %error, "sessions not resumed");
                // A link over which some sessions are not resumed would leave them silent until it breaks by itself.
                link.close(close::GOING_AWAY, "the server cannot resume sessions now");
            }
        });
    }

    async fn resume(&self, link: &LinkHandle, listed: &[SessionId]) -> Result<()> {
        // A store that is away for some seconds must not make all satellites reconnect at the same time.
        let retry = self.context.retry_window();
        let open = loop {
            let open = self.store.session_list_open(Some(link.satellite)).await.map_err(Error::from);
            if !retry.should_retry(&open).await {
                break open?;
            }
        };
        for row in &open {
            let session = self.live_session(row);
            if listed.contains(&row.id) {
                // A link that is closed is no failure of this task. The next link resumes the sessions.
                if link.wait_for_capacity(Lane::Interactive).await.is_err() {
                    return Ok(());
                }
                session.resume(link);
                self.check_link(&session, link);
            } else if !session.may_begin_on(link.epoch) {
                // The satellite has lost it. A session that is being opened is not listed either: the handshake is older than
                // the request for it.
                self.end(row, end_as(EndReason::Lost, None)).await?;
            }
        }
        // The satellite has these, and they are not open in the store: they ended while it was away.
        for id in listed.iter().filter(|id| open.iter().all(|row| row.id != **id)) {
            if link.wait_for_capacity(Lane::Interactive).await.is_err() {
                return Ok(());
            }
            link.send_best_effort(ToAgent::PtyEnd { session_id: *id });
        }
        Ok(())
    }

    /// Handles the satellite's report that a session has started or was resumed. Returns whether it is new, and
    /// [`store_started`](Self::store_started) is to store that its program runs.
    pub(crate) fn on_started(&self, session: &LiveSession, link: &LinkHandle, started: &PtyStarted) -> Result<bool> {
        match session.on_started(self.now(), link, started)? {
            Started::Linked { is_new } => return Ok(is_new),
            Started::Ended => {}
            // A satellite that opens sessions by itself is noted, and closed if it does so often.
            Started::Unasked => {
                let kind = UnexpectedKind::UnrequestedSession;
                self.links.note_unexpected(session.satellite, kind, session.id, self.context.steady())?;
            }
        }
        link.send_best_effort(ToAgent::PtyEnd { session_id: session.id });
        Ok(false)
    }

    /// Stores that a session's program runs. One that was ended meanwhile is ended on its satellite as well.
    pub(crate) async fn store_started(&self, session: &LiveSession, link: &LinkHandle) -> Result<()> {
        if !self.open_in_store(session).await? {
            link.send_best_effort(ToAgent::PtyEnd { session_id: session.id });
        }
        Ok(())
    }

    /// Returns false if the session was ended meanwhile.
    async fn open_in_store(&self, session: &LiveSession) -> Result<bool> {
        let Some(row) = self.store.session_get(session.id).await? else { return Ok(false) };
        // Open already if an earlier attempt was stored and its answer was lost.
        let is_open =
            row.status == SessionStatus::Open || self.store.session_open(row.id, self.opened_record(&row)).await?;
        if is_open {
            session.set_open();
            self.report_started(&row);
        }
        Ok(is_open)
    }

    /// Handles the satellite's report that a session is gone. Returns whether the satellite may drop it. A session of another
    /// satellite is not ended.
    pub(crate) async fn on_ended(&self, satellite: SatelliteId, id: SessionId, end: SessionEnd) -> Result<bool> {
        let row = self.store.session_get(id).await?.filter(|row| row.satellite_id == satellite);
        let Some(row) = row else { return Ok(false) };
        // The report is repeated on each link until it is acknowledged.
        if row.status != SessionStatus::Ended {
            self.end(&row, end).await?;
        }
        Ok(true)
    }

    /// Notes a message about a session that this process does not have of this satellite.
    pub(crate) async fn note_unknown(&self, satellite: SatelliteId, id: SessionId) -> Result<()> {
        // While the store cannot be read, the message does not count against the satellite.
        let Ok(row) = self.store.session_get(id).await else { return Ok(()) };
        if row.is_some_and(|row| row.satellite_id != satellite) {
            self.auth_failures.note_foreign_message(satellite, Subject::of_type("session", id));
        }
        self.links.note_unexpected(satellite, UnexpectedKind::Session, id, self.context.steady())
    }

    /// Detaches a session from a link that is not the satellite's link any more. The loss of the link may have been reported
    /// to the satellite's sessions before this one was on it.
    pub(super) fn check_link(&self, session: &LiveSession, link: &LinkHandle) {
        // Called after the session was put on the link. Either this check sees the removal, or the removal sees the session.
        if self.links.get(link.satellite).is_none_or(|now| now.epoch != link.epoch) {
            session.on_link_lost(self.now(), link.epoch);
        }
    }
}
