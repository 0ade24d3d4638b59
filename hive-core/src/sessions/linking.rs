//! What a satellite's link means for its sessions: it opens, it reports them, it is lost.

use std::sync::Arc;

use hive_wire::agent::{PtyStarted, ToAgent, close};
use hive_wire::api::{EndReason, SessionEnd, SessionStatus};
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
    /// Starts to go on with a satellite's sessions over a new link; `listed` are those that the satellite has. Where that fails, the
    /// link is closed and the next one starts anew.
    pub(crate) fn start_resuming(self: &Arc<Self>, link: LinkHandle, listed: Vec<SessionId>) {
        let sessions = self.clone();
        self.context.spawn(async move {
            if let Err(error) = sessions.resume(&link, &listed).await {
                warn!(satellite.id = %link.satellite, error = %error, "sessions not resumed");
                link.close(close::GOING_AWAY, "the server cannot resume terminals now");
            }
        });
    }

    async fn resume(&self, link: &LinkHandle, listed: &[SessionId]) -> Result<()> {
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
                if link.wait_for_capacity().await.is_err() {
                    return Ok(());
                }
                session.resume(link);
                self.check_link(&session, link);
            } else if !session.may_begin_on(link.epoch) {
                self.end(row, end_as(EndReason::Lost, None)).await?;
            }
        }
        // The satellite has these and the store has not: they ended while it was away.
        for id in listed.iter().filter(|id| open.iter().all(|row| row.id != **id)) {
            if link.wait_for_capacity().await.is_err() {
                return Ok(());
            }
            link.send_best_effort(ToAgent::PtyEnd { session_id: *id });
        }
        Ok(())
    }

    /// Returns a session that this process has of this satellite.
    ///
    /// # Errors
    /// `InvalidInput` where the satellite reports too many sessions that it does not have.
    pub(crate) async fn reported(&self, satellite: SatelliteId, id: SessionId) -> Result<Option<Arc<LiveSession>>> {
        let session = self.get_of(id, satellite);
        if session.is_none() {
            self.note_unknown(satellite, id).await?;
        }
        Ok(session)
    }

    /// Handles the satellite's report that a session is there.
    pub(crate) async fn on_started(
        &self,
        session: &LiveSession,
        link: &LinkHandle,
        started: &PtyStarted,
    ) -> Result<()> {
        let is_open = match session.on_started(self.now(), link, started)? {
            Started::Linked { is_new: false } => true,
            Started::Linked { is_new: true } => self.open_in_store(session).await?,
            Started::Ended => false,
            Started::Unasked => {
                let kind = UnexpectedKind::UnrequestedSession;
                self.links.note_unexpected(session.satellite, kind, session.id, self.context.steady())?;
                false
            }
        };
        if !is_open {
            link.send_best_effort(ToAgent::PtyEnd { session_id: session.id });
        }
        Ok(())
    }

    /// Stores that a session's program runs. False where it was ended meanwhile.
    async fn open_in_store(&self, session: &LiveSession) -> Result<bool> {
        let Some(row) = self.store.session_get(session.id).await? else { return Ok(false) };
        let is_open =
            row.status == SessionStatus::Open || self.store.session_open(row.id, self.opened_record(&row)).await?;
        if is_open {
            session.set_open();
        }
        Ok(is_open)
    }

    /// Handles the satellite's report that a session is gone. Returns whether the satellite may drop it: other satellites' sessions
    /// are not its to end.
    pub(crate) async fn on_ended(&self, satellite: SatelliteId, id: SessionId, end: SessionEnd) -> Result<bool> {
        let row = self.store.session_get(id).await?.filter(|row| row.satellite_id == satellite);
        let Some(row) = row else { return Ok(false) };
        if row.status != SessionStatus::Ended {
            self.end(&row, end).await?;
        }
        Ok(true)
    }

    /// Notes a message about a session that its satellite does not have here.
    pub(crate) async fn note_unknown(&self, satellite: SatelliteId, id: SessionId) -> Result<()> {
        // A session that cannot be read now is not held against the satellite.
        let Ok(row) = self.store.session_get(id).await else { return Ok(()) };
        if row.is_some_and(|row| row.satellite_id != satellite) {
            self.auth_failures.note_foreign_message(satellite, Subject::of_type("session", id));
        }
        self.links.note_unexpected(satellite, UnexpectedKind::Session, id, self.context.steady())
    }

    /// Takes a session off a link that is not its satellite's any more: whoever closed the link may have looked for the satellite's
    /// sessions before this one was on it.
    pub(super) fn check_link(&self, session: &LiveSession, link: &LinkHandle) {
        if self.links.get(link.satellite).is_none_or(|now| now.epoch != link.epoch) {
            session.on_link_lost(self.now(), link.epoch);
        }
    }
}
