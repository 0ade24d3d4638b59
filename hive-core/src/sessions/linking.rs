//! What follows for terminals from a satellite's link: it opens, it brings word of them, it goes.

use hive_wire::agent::{PtyStarted, ToAgent, close};
use hive_wire::api::{EndReason, SessionEnd, SessionStatus};
use hive_wire::{SatelliteId, SessionId};
use tracing::warn;

use super::ending::end_as;
use super::live::{LiveSession, Started};
use crate::hive::Hive;
use crate::link::Outgoing;
use crate::links::Live;
use crate::links::unexpected::Unexpected;
use crate::{Error, Result};

impl Hive {
    /// Starts to go on with a satellite's terminals over a new link; `listed` is what the satellite says it has. Where that
    /// fails the link is closed: the next one starts anew.
    pub(crate) fn start_resuming(&self, satellite: SatelliteId, live: Live, listed: Vec<SessionId>) {
        let hive = self.clone();
        self.inner.tasks.spawn(async move {
            if let Err(error) = hive.resume_sessions(satellite, &live, &listed).await {
                warn!(satellite.id = %satellite, error = %error, "terminals not resumed");
                live.close(close::GOING_AWAY, "the server cannot resume terminals now");
            }
        });
    }

    async fn resume_sessions(&self, satellite: SatelliteId, live: &Live, listed: &[SessionId]) -> Result<()> {
        let insistence = self.insist();
        let open = loop {
            let open = self.store().session_list_open(Some(satellite)).await.map_err(Error::from);
            if !insistence.wants_another(&open).await {
                break open?;
            }
        };
        for row in &open {
            let session = self.live_session(row);
            if listed.contains(&row.id) {
                if live.ready().await.is_err() {
                    return Ok(());
                }
                session.resume(live);
                self.check_link(satellite, &session, live.epoch);
            } else if !session.may_begin_on(live.epoch) {
                self.end_session(row, end_as(EndReason::Lost, None)).await?;
            }
        }
        for id in listed.iter().filter(|id| open.iter().all(|row| row.id != **id)) {
            if live.ready().await.is_err() {
                return Ok(());
            }
            live.pass(Outgoing::Control(ToAgent::PtyEnd { session_id: *id }));
        }
        Ok(())
    }

    /// Takes the satellite's word that a terminal is there.
    pub(crate) async fn session_started(&self, session: &LiveSession, live: &Live, started: &PtyStarted) -> Result<()> {
        let is_open = match session.on_started(self.inner.sessions.now(), live, started)? {
            Started::Linked { is_new: false } => true,
            Started::Linked { is_new: true } => self.open_in_store(session).await?,
            Started::Ended => false,
            Started::Unasked => {
                self.note_unexpected(session.satellite, Unexpected::UnaskedTerminal, session.id)?;
                false
            }
        };
        if !is_open {
            live.pass(Outgoing::Control(ToAgent::PtyEnd { session_id: session.id }));
        }
        Ok(())
    }

    /// Notes that a terminal's program runs. False where it was ended meanwhile.
    async fn open_in_store(&self, session: &LiveSession) -> Result<bool> {
        let Some(row) = self.store().session_get(session.id).await? else { return Ok(false) };
        let is_open =
            row.status == SessionStatus::Open || self.store().session_open(row.id, self.opened_record(&row)).await?;
        if is_open {
            session.set_open();
        }
        Ok(is_open)
    }

    /// Takes the satellite's word that a terminal is gone. Says whether the satellite may forget it: others' terminals are
    /// not its to end.
    pub(crate) async fn session_ended(&self, satellite: SatelliteId, id: SessionId, end: SessionEnd) -> Result<bool> {
        let row = self.store().session_get(id).await?.filter(|row| row.satellite_id == satellite);
        let Some(row) = row else { return Ok(false) };
        if row.status != SessionStatus::Ended {
            self.end_session(&row, end).await?;
        }
        Ok(true)
    }
}
