//! What a satellite says of its terminals: from the one that has them only.

use std::sync::Arc;

use hive_wire::SessionId;
use hive_wire::agent::{PtyStarted, ToAgent};
use hive_wire::api::{EndReason, SessionEnd};
use hive_wire::frame::StreamId;

use super::{Attached, Incoming, broken, cleaned, cut};
use crate::Result;
use crate::sessions::LiveSession;

impl Attached {
    /// Takes the word that a terminal is there. One that is not this satellite's, or not any more, is to be ended; what it
    /// sends until then is passed over.
    pub(super) async fn on_pty_started(&mut self, started: PtyStarted) -> Result<()> {
        let (id, stream) = (started.session_id, started.stream);
        self.forget_stream(id);
        self.check_stream(stream)?;
        if self.streams.contains_key(&stream) {
            return Err(broken("stream number in use"));
        }
        let Some(session) = self.terminal(id).await? else {
            self.streams.insert(stream, Incoming::Stray);
            self.say(ToAgent::PtyEnd { session_id: id });
            return Ok(());
        };
        self.open_stream(stream, session.clone());
        let insistence = self.hive.insist();
        loop {
            let stored = self.hive.session_started(&session, &self.live, &started).await;
            if !insistence.wants_another(&stored).await {
                return stored;
            }
        }
    }

    pub(super) async fn on_pty_gap(&self, id: SessionId, from: u64, to: u64) -> Result<()> {
        let Some(session) = self.terminal(id).await? else { return Ok(()) };
        session.on_gap(self.hive.inner.sessions.now(), self.live.epoch, from, to)
    }

    pub(super) async fn on_pty_applied(&self, id: SessionId, offset: u64) -> Result<()> {
        let Some(session) = self.terminal(id).await? else { return Ok(()) };
        session.on_applied(self.hive.inner.sessions.now(), self.live.epoch, offset)
    }

    /// Takes the word that a terminal is gone, and acknowledges it once that is stored.
    pub(super) async fn on_pty_ended(&mut self, id: SessionId, end: SessionEnd) -> Result<()> {
        let reason = match end.reason {
            EndReason::Unknown(word) => EndReason::Unknown(cut(word.into_string()).into()),
            known => known,
        };
        let end = SessionEnd { reason, error: end.error.map(cleaned), ..end };
        let insistence = self.hive.insist();
        let is_ours = loop {
            let stored = self.hive.session_ended(self.satellite, id, end.clone()).await;
            if !insistence.wants_another(&stored).await {
                break stored?;
            }
        };
        if !is_ours {
            return self.hive.note_stray_terminal(self.satellite, id).await;
        }
        self.forget_stream(id);
        self.say(ToAgent::PtyEndAck { session_id: id });
        Ok(())
    }

    /// Returns a terminal this process has of this satellite.
    async fn terminal(&self, id: SessionId) -> Result<Option<Arc<LiveSession>>> {
        let session = self.hive.inner.sessions.get_of(id, self.satellite);
        if session.is_none() {
            self.hive.note_stray_terminal(self.satellite, id).await?;
        }
        Ok(session)
    }

    fn open_stream(&mut self, stream: StreamId, session: Arc<LiveSession>) {
        self.streams.insert(stream, Incoming::Terminal(session));
    }

    fn forget_stream(&mut self, id: SessionId) {
        self.streams.retain(|_, incoming| !matches!(incoming, Incoming::Terminal(session) if session.id == id));
    }
}
