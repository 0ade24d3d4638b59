//! `SessionManager` in this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use hive_wire::api::{Session, SessionCreate, SessionFilter, SessionStatus, Size};
use hive_wire::session::{AttachRequest, Attached, Control, ViewMode};
use hive_wire::{SessionId, ViewerId};
use serde_json::json;

use super::attachment::{attachment, epilogue};
use super::live::{LiveSession, Standing, Who};
use super::opening::Wanted;
use super::records::subject;
use crate::access::{Permission, Reach, Sight, Verdict, may, sight};
use crate::commands::service::usable_link;
use crate::hive::acting::Handle;
use crate::hive::{ActingHive, Hive};
use crate::session::{Attachment, SUBSCRIBED_EVENTS, SessionEvent, SessionManager, check_size, forward, read_only};
use crate::store::{SessionQuery, SessionRow};
use crate::{Error, Result, Subscription};

/// The most terminals a list shows.
const MAX_LISTED: u32 = 1000;
/// How long one waits for a satellite that has not come back since this process began.
const RETURN_PATIENCE: Duration = Duration::from_secs(10);
/// How long a program may leave what is typed unread before a call that types gives up.
const TYPING_PATIENCE: Duration = Duration::from_secs(15);

#[async_trait]
impl SessionManager for Handle {
    async fn create(&self, params: SessionCreate) -> Result<Session> {
        let satellite = self.satellite_for(params.satellite_id, Permission::SessionsOpen).await?;
        let wanted = Wanted::checked(satellite.clone(), params)?;
        let live = usable_link(&self.hive, &satellite)?;
        live.ok_or_else(|| Error::SatelliteOffline(satellite.name.to_string()))?;
        self.open_session(wanted).await
    }

    async fn get(&self, id: SessionId) -> Result<Option<Session>> {
        match self.session_for(id).await {
            Ok(row) => Ok(Some(self.hive.session(row))),
            Err(Error::SessionNotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, filter: SessionFilter) -> Result<Vec<Session>> {
        let sight = sight(&self.principal, &Permission::SessionsOpen);
        if sight == Sight::Teams(Vec::new()) {
            return Err(Error::Forbidden(Permission::SessionsOpen.as_str().into()));
        }
        let hidden = match filter.satellite_id {
            Some(satellite) => self.satellite_seen_now(satellite, Permission::SessionsOpen).await?,
            None => None,
        };
        let query = SessionQuery { sight, satellite_id: filter.satellite_id, ended: filter.ended };
        let rows = self.hive.store().session_list(&query, MAX_LISTED).await?;
        if let Some(hidden) = hidden.filter(|_| rows.is_empty()) {
            return Err(hidden);
        }
        Ok(rows.into_iter().map(|row| self.hive.session(row)).collect())
    }

    async fn send_input(&self, id: SessionId, mut data: Bytes) -> Result<()> {
        let session = self.linked_session(&self.session_for(id).await?).await?;
        let mut is_first = true;
        while !data.is_empty() {
            let (count, end) = match session.input_unseen(self.hive.inner.sessions.now(), &data) {
                Err(error) if !is_first => return Err(Error::unavailable(error.to_string())),
                typed => typed?,
            };
            data.advance(count);
            is_first = false;
            wait_until_typed(&session, end).await?;
        }
        Ok(())
    }

    async fn resize(&self, id: SessionId, size: Size) -> Result<()> {
        check_size(size)?;
        let session = self.linked_session(&self.session_for(id).await?).await?;
        session.resize(self.hive.inner.sessions.now(), size)
    }

    async fn terminate(&self, id: SessionId) -> Result<()> {
        let row = self.session_for(id).await?;
        if row.status == SessionStatus::Ended {
            return Ok(());
        }
        // A small record may find room on a full disk where the outcome does not.
        self.hive.check_disk().await?;
        let details = json!({ "satellite_id": row.satellite_id });
        let record = self.intent("session.terminate", subject(&row), details);
        self.hive.store().audit_append(record).await?;
        self.hive.terminate_session(&row).await
    }

    async fn subscribe(&self, id: SessionId) -> Result<Subscription<SessionEvent>> {
        let attachment = self.attach(id, read_only()).await?;
        let (sender, subscription) = Subscription::with_capacity(SUBSCRIBED_EVENTS);
        self.tell(&sender.clone(), forward(attachment, sender)).await?;
        Ok(subscription)
    }

    async fn attach(&self, id: SessionId, request: AttachRequest) -> Result<Attachment> {
        request.size.map_or(Ok(()), check_size)?;
        let row = self.session_for(id).await?;
        let Some(session) = self.known_session(&row).await? else {
            return self.attach_to_ended(row);
        };
        let pass = self.pass().await?;
        self.record_attach(&row, &session, &request).await?;
        let who = Who { actor: self.principal.actor(), fresh: ViewerId::new(self.hive.source().seed()) };
        let admission = session.admit(self.hive.inner.sessions.now(), &request, who);
        let attached = Attached {
            session: self.hive.session(row),
            viewer: admission.seat.viewer,
            output: admission.cursor,
            modes: admission.modes.clone(),
            control: admission.control.clone(),
            is_resumed: admission.is_resumed,
        };
        Ok(attachment(ActingHive::clone(self), pass, session, &admission, attached))
    }
}

impl ActingHive {
    /// Finds a terminal the principal may use. One that is hidden looks as if it did not exist.
    async fn session_for(&self, id: SessionId) -> Result<SessionRow> {
        let no_session = || Error::SessionNotFound(id.to_string());
        let row = self.hive.store().session_get(id).await?.ok_or_else(no_session)?;
        match may(&self.principal, &Permission::SessionsOpen, Reach::satellite(row.team_id)) {
            Verdict::Allow => Ok(row),
            Verdict::Forbid => Err(Error::Forbidden(Permission::SessionsOpen.as_str().into())),
            Verdict::Hide => Err(no_session()),
        }
    }

    /// Returns a terminal as it stands now.
    pub(super) async fn session_now(&self, id: SessionId) -> Result<Session> {
        Ok(self.hive.session(self.session_for(id).await?))
    }

    /// Returns a terminal to look at: one that is open, once its satellite has said how it stands, or one that has just
    /// ended; `None` for one that ended before.
    async fn known_session(&self, row: &SessionRow) -> Result<Option<Arc<LiveSession>>> {
        let session = match row.status {
            SessionStatus::Ended => self.hive.inner.sessions.get(row.id),
            _ => Some(self.hive.live_session(row)),
        };
        let Some(session) = session else { return Ok(None) };
        let is_known = session.wait_for(|standing| *standing != Standing::Unknown);
        match tokio::time::timeout(RETURN_PATIENCE, is_known).await {
            Ok(Standing::Open { .. } | Standing::Ended(_)) => Ok(Some(session)),
            Ok(_) => Err(Error::unavailable("the server stops")),
            Err(_) => Err(Error::SatelliteOffline(row.satellite_name.to_string())),
        }
    }

    /// Returns an open terminal whose satellite has a link to it now.
    async fn linked_session(&self, row: &SessionRow) -> Result<Arc<LiveSession>> {
        let ended = || Error::Conflict("the terminal has ended".into());
        let session = self.known_session(row).await?.ok_or_else(ended)?;
        match session.standing() {
            Standing::Open { is_online: true } => Ok(session),
            Standing::Open { is_online: false } => Err(Error::SatelliteOffline(row.satellite_name.to_string())),
            _ => Err(ended()),
        }
    }

    fn attach_to_ended(&self, row: SessionRow) -> Result<Attachment> {
        let end = row.end.clone().ok_or_else(|| Error::internal("an ended terminal without an end"))?;
        let attached = Attached {
            session: self.hive.session(row),
            viewer: ViewerId::new(self.hive.source().seed()),
            output: 0,
            modes: None,
            control: Control::default(),
            is_resumed: false,
        };
        Ok(epilogue(attached, end))
    }

    /// Records that somebody looks at a terminal, and that they take its keyboard. Who comes back after a cut is known.
    async fn record_attach(&self, row: &SessionRow, session: &LiveSession, request: &AttachRequest) -> Result<()> {
        if request.mode == ViewMode::Take && session.has_other_writer(request.viewer) {
            self.record_take(session).await?;
        }
        let is_known = request.viewer.is_some_and(|viewer| session.knows(viewer, &self.principal.actor()));
        if is_known {
            return Ok(());
        }
        let details = json!({ "satellite_id": row.satellite_id, "mode": request.mode });
        let record = self.record("session.attach", subject(row), details);
        self.hive.store().audit_append(record).await?;
        Ok(())
    }
}

impl Hive {
    /// A stored terminal as clients see it.
    pub(super) fn session(&self, row: SessionRow) -> Session {
        let SessionRow {
            id,
            satellite_id,
            satellite_name,
            team_id: _,
            status,
            size,
            shell,
            actor,
            created_at,
            ended_at,
            end,
        } = row;
        let (size, viewers) = self.inner.sessions.get(id).map_or((size, 0), |session| session.overview());
        Session {
            id,
            satellite_id,
            satellite_name,
            status,
            online: self.inner.links.is_online(satellite_id),
            size,
            shell,
            created_by: actor,
            created_at,
            ended_at,
            end,
            viewers,
        }
    }
}

/// Waits until everything before `end` is typed.
async fn wait_until_typed(session: &LiveSession, end: u64) -> Result<()> {
    let mut applied = session.applied();
    let typed = async {
        tokio::select! {
            typed = applied.wait_for(|applied| *applied >= end) => typed.is_ok(),
            _ = session.wait_for(|standing| matches!(standing, Standing::Ended(_))) => false,
        }
    };
    match tokio::time::timeout(TYPING_PATIENCE, typed).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::unavailable("the terminal ended before everything was typed")),
        Err(_) => Err(Error::unavailable("the program does not read what is typed")),
    }
}
