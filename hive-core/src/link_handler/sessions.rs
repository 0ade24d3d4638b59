//! Handles what a satellite reports of its sessions. A session of another satellite is not accepted.

use std::sync::Arc;

use hive_wire::SessionId;
use hive_wire::agent::{PtyStarted, ToAgent};
use hive_wire::api::{EndReason, SessionEnd};
use hive_wire::frame::StreamId;

use super::reports::Report;
use super::{AttachedSatellite, LinkMessage};
use crate::Result;
use crate::links::protocol_violation;
use crate::satellites::reported_text::{cut, known_error};
use crate::sessions::LiveSession;

impl AttachedSatellite {
    /// Handles the report that a session is there. One that is not this satellite's, or not any more, is to be ended; its output
    /// until then is dropped.
    pub(super) fn on_pty_started(&mut self, started: PtyStarted) -> Result<()> {
        let (id, stream) = (started.session_id, started.stream);
        // A report replaces an earlier one of the same session, also where that named another stream.
        self.remove_stream(id);
        self.check_stream(stream)?;
        if self.streams.contains_key(&stream) {
            return Err(protocol_violation("stream number in use"));
        }
        let Some(session) = self.session(id)? else {
            self.streams.insert(stream, LinkMessage::UnknownSession);
            self.send(ToAgent::PtyEnd { session_id: id });
            return Ok(());
        };
        self.add_stream(stream, session.clone());
        // Its output may follow at once, while the store has it as starting.
        let is_new = self.handler.sessions.on_started(&session, &self.link.handle, &started)?;
        if is_new { self.queue(Report::SessionStarted(session)) } else { Ok(()) }
    }

    pub(super) fn on_pty_gap(&self, id: SessionId, from: u64, to: u64) -> Result<()> {
        let Some(session) = self.session(id)? else { return Ok(()) };
        session.on_gap(self.handler.sessions.now(), self.link.handle.epoch, from, to)
    }

    pub(super) fn on_pty_applied(&self, id: SessionId, offset: u64) -> Result<()> {
        let Some(session) = self.session(id)? else { return Ok(()) };
        session.on_applied(self.handler.sessions.now(), self.link.handle.epoch, offset)
    }

    /// Handles the report that a session is gone. It is acknowledged once it is stored.
    pub(super) fn on_pty_ended(&mut self, id: SessionId, end: SessionEnd) -> Result<()> {
        let reason = match end.reason {
            EndReason::Unknown(word) => EndReason::Unknown(cut(word.into_string()).into()),
            known => known,
        };
        let end = SessionEnd { reason, error: end.error.map(known_error), ..end };
        // All its output was sent before this message.
        self.remove_stream(id);
        self.queue(Report::SessionEnded(id, end))
    }

    /// Returns a session that this process has of this satellite. An unknown one is noted.
    fn session(&self, id: SessionId) -> Result<Option<Arc<LiveSession>>> {
        let session = self.handler.sessions.get_of(id, self.satellite());
        if session.is_none() {
            self.queue(Report::UnknownSession(id))?;
        }
        Ok(session)
    }

    fn add_stream(&mut self, stream: StreamId, session: Arc<LiveSession>) {
        self.streams.insert(stream, LinkMessage::Session(session));
    }

    fn remove_stream(&mut self, id: SessionId) {
        self.streams.retain(|_, incoming| !matches!(incoming, LinkMessage::Session(session) if session.id == id));
    }
}
