//! The public trait [`SessionManager`] over the sessions of this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use hive_wire::api::{Page, PageRequest, Session, SessionCreate, SessionFilter, SessionSort, SessionStatus, Size};
use hive_wire::session::{AttachRequest, Attached, Control, ViewMode};
use hive_wire::{SessionId, ViewerId};
use serde_json::json;

use super::Sessions;
use super::attachment::{attachment, attachment_to_ended};
use super::live::{LiveSession, SessionState, ViewerIdentity};
use super::opening::SessionRequest;
use super::records::subject;
use crate::access::{Permission, Principal, ResourceScope, visible_scope};
use crate::audit::AuditAction;
use crate::audit::draft::{intent, record};
use crate::authorization::{authorize, forbidden, hidden_now, inactive, satellite_for, tags_for};
use crate::handle::ServiceHandle;
use crate::lists::listing::Listing;
use crate::sessions::{Attachment, SUBSCRIBED_EVENTS, SessionEvent, SessionManager, check_size, forward, read_only};
use crate::store::{SessionQuery, SessionRow};
use crate::{Error, Result, Subscription};

/// How long a call waits for a satellite that has not reported a session since this process started.
const RETURN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a program may leave input unread before a call that sends input fails.
const INPUT_TIMEOUT: Duration = Duration::from_secs(15);

#[async_trait]
impl SessionManager for ServiceHandle<Sessions> {
    async fn create(&self, params: SessionCreate) -> Result<Session> {
        let Sessions { satellite_store, links, .. } = &*self.service;
        let permission = &Permission::SessionsOpen;
        let row = satellite_for(satellite_store.as_ref(), &self.principal, params.satellite_id, permission).await?;
        let request = SessionRequest::checked(row.clone(), params)?;
        if !row.status.accepts_commands() {
            return Err(inactive(&row));
        }
        // Checked early so that an offline satellite costs no write. The link is looked up again when the request is sent.
        if !links.is_online(row.id) {
            return Err(Error::SatelliteOffline(row.name.to_string()));
        }
        self.service.open(&self.principal, request).await
    }

    async fn get(&self, id: SessionId) -> Result<Option<Session>> {
        match self.service.row_for(&self.principal, id).await {
            Ok(row) => Ok(Some(self.service.view(row))),
            Err(Error::SessionNotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list_page(&self, filter: SessionFilter, page: PageRequest<SessionSort>) -> Result<Page<Session>> {
        self.service.list(&self.principal, filter, page).await
    }

    async fn send_input(&self, id: SessionId, mut data: Bytes) -> Result<()> {
        let session = self.linked_session(id).await?;
        // In pieces of one window, each confirmed before the next: a viewer that takes the keyboard stops the rest.
        let mut is_first = true;
        while !data.is_empty() {
            let (count, end) = match session.input_unseen(self.service.now(), &data) {
                // Some of it was typed. `Unavailable` says so, and any other error would mean that nothing has changed.
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
        self.linked_session(id).await?.resize(self.service.now(), size)
    }

    async fn terminate(&self, id: SessionId) -> Result<()> {
        let Sessions { context, audit, .. } = &*self.service;
        let row = self.service.row_for(&self.principal, id).await?;
        // Repeating the call is harmless and leaves no second record.
        if row.status == SessionStatus::Ended {
            return Ok(());
        }
        // On a full disk, the small record of the intent may still find room where the outcome does not.
        context.check_disk().await?;
        let details = json!({ "satellite_id": row.satellite_id });
        audit
            .audit_append(intent(context, &self.principal, AuditAction::SessionTerminate, subject(&row), details))
            .await?;
        self.service.terminate(&row).await
    }

    async fn subscribe(&self, id: SessionId) -> Result<Subscription<SessionEvent>> {
        let attachment = self.attach(id, read_only()).await?;
        let (listener, subscription) = Subscription::with_capacity(SUBSCRIBED_EVENTS);
        let stream = forward(attachment, listener.clone());
        self.service.grants.spawn_stream(&self.principal, &listener, stream).await?;
        Ok(subscription)
    }

    async fn attach(&self, id: SessionId, request: AttachRequest) -> Result<Attachment> {
        request.size.map_or(Ok(()), check_size)?;
        let row = self.service.row_for(&self.principal, id).await?;
        // A viewer that was disconnected at the end and comes back late gets the end as its only event, not an error.
        let Some(session) = self.service.known_session(&row).await? else {
            return self.service.attach_to_ended(row);
        };
        self.service.attach(&self.principal, row, session, request).await
    }
}

impl ServiceHandle<Sessions> {
    async fn linked_session(&self, id: SessionId) -> Result<Arc<LiveSession>> {
        let row = self.service.row_for(&self.principal, id).await?;
        self.service.linked_session(&row).await
    }
}

impl Sessions {
    /// Finds a session that the principal may use. A hidden session gives the same error as one that does not exist.
    pub(super) async fn row_for(&self, principal: &Principal, id: SessionId) -> Result<SessionRow> {
        let no_session = || Error::SessionNotFound(id.to_string());
        let row = self.store.session_get(id).await?.ok_or_else(no_session)?;
        // The team of the session, which is the team of the satellite when it was opened. A satellite that changes its team
        // leaves its sessions to the old one.
        let tags = tags_for(self.satellite_store.as_ref(), principal, row.satellite_id).await?;
        let scope = ResourceScope::Satellite { team: row.team_id, tags: &tags };
        authorize(principal, &Permission::SessionsOpen, scope, no_session)?;
        Ok(row)
    }

    async fn list(
        &self,
        principal: &Principal,
        filter: SessionFilter,
        page: PageRequest<SessionSort>,
    ) -> Result<Page<Session>> {
        let listing = Listing::of_rows(&("sessions", &filter), page)?;
        let permission = &Permission::SessionsOpen;
        let visible = visible_scope(principal, permission);
        // An empty list would look like a fleet without sessions.
        if visible.is_nothing() {
            return Err(forbidden(permission));
        }
        let hidden = match filter.satellite_id {
            Some(satellite) => hidden_now(self.satellite_store.as_ref(), principal, satellite, permission).await?,
            None => None,
        };
        let ended = if filter.ended { None } else { Some(false) };
        let query = SessionQuery { visible, satellite_id: filter.satellite_id, ended };
        let (rows, total) = self.store.session_list(&query, listing.range()).await?;
        // A satellite that is hidden now may have belonged to a team of the caller. Then its sessions of that time are listed.
        if let Some(hidden) = hidden.filter(|_| total == 0) {
            return Err(hidden);
        }
        Ok(listing.answer((rows, total), |row| self.view(row)))
    }

    /// Returns a session to attach to: one that is open, once its satellite has reported it, or one that has just ended; `None`
    /// for one that ended before.
    async fn known_session(&self, row: &SessionRow) -> Result<Option<Arc<LiveSession>>> {
        let session = match row.status {
            // In memory for another minute, so that a viewer that was disconnected at the end can read the rest.
            SessionStatus::Ended => self.get(row.id),
            _ => Some(self.live_session(row)),
        };
        let Some(session) = session else { return Ok(None) };
        let is_known = session.wait_for(|state| *state != SessionState::Unknown);
        match tokio::time::timeout(RETURN_TIMEOUT, is_known).await {
            Ok(SessionState::Open { .. } | SessionState::Ended(_)) => Ok(Some(session)),
            // `wait_for` returns other states only when the hive stops.
            Ok(_) => Err(Error::unavailable("the server stops")),
            Err(_) => Err(Error::SatelliteOffline(row.satellite_name.to_string())),
        }
    }

    /// Returns an open session whose satellite has a link to it now.
    async fn linked_session(&self, row: &SessionRow) -> Result<Arc<LiveSession>> {
        let ended = || Error::Conflict("the session has ended".into());
        let session = self.known_session(row).await?.ok_or_else(ended)?;
        match session.state() {
            SessionState::Open { is_online: true } => Ok(session),
            SessionState::Open { is_online: false } => Err(Error::SatelliteOffline(row.satellite_name.to_string())),
            _ => Err(ended()),
        }
    }

    async fn attach(
        self: &Arc<Self>,
        principal: &Principal,
        row: SessionRow,
        session: Arc<LiveSession>,
        request: AttachRequest,
    ) -> Result<Attachment> {
        // Before the record: a caller whose credential is refused by now does not attach.
        let grant = self.grants.issue(principal).await?;
        // Before the admission: nobody sees a session without a record of it.
        self.record_attach(principal, &row, &session, &request).await?;
        let identity = ViewerIdentity { actor: principal.actor(), fresh: ViewerId::new(self.context.seed()) };
        // No await from here to the end. A caller that is cancelled in between would leave a viewer that nobody removes.
        let admission = session.admit(self.now(), &request, identity);
        let attached = Attached {
            session: self.view(row),
            viewer: admission.id.viewer,
            output: admission.cursor,
            modes: admission.modes.clone(),
            control: admission.control.clone(),
            is_resumed: admission.is_resumed,
        };
        Ok(attachment(self.clone(), principal.clone(), grant, session, &admission, attached))
    }

    fn attach_to_ended(&self, row: SessionRow) -> Result<Attachment> {
        let end = row.end.clone().ok_or_else(|| Error::internal("an ended session without an end"))?;
        let attached = Attached {
            session: self.view(row),
            viewer: ViewerId::new(self.context.seed()),
            output: 0,
            modes: None,
            control: Control::default(),
            is_resumed: false,
        };
        Ok(attachment_to_ended(attached, end))
    }

    /// Records that a viewer attaches, and that it takes the keyboard. A viewer that returns is not recorded again.
    async fn record_attach(
        &self,
        principal: &Principal,
        row: &SessionRow,
        session: &LiveSession,
        request: &AttachRequest,
    ) -> Result<()> {
        // Returning with `take` can take the keyboard from another viewer too, so this is checked for known viewers as well.
        if request.mode == ViewMode::Take && session.has_other_writer(request.viewer) {
            self.record_take(principal, session).await?;
        }
        let is_known = request.viewer.is_some_and(|viewer| session.knows(viewer, &principal.actor()));
        if is_known {
            return Ok(());
        }
        let details = json!({ "satellite_id": row.satellite_id, "mode": request.mode });
        let record = record(&self.context, principal, AuditAction::SessionAttach, subject(row), details);
        self.audit.audit_append(record).await?;
        Ok(())
    }

    /// Returns a stored session in its form for clients.
    pub(super) fn view(&self, row: SessionRow) -> Session {
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
        // The size in memory is newer: it is stored with a tick only.
        let (size, viewers) = self.get(id).map_or((size, 0), |session| session.overview());
        Session {
            id,
            satellite_id,
            satellite_name,
            status,
            online: self.links.is_online(satellite_id),
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

/// Waits until the satellite has written everything before `end` to the PTY.
async fn wait_until_typed(session: &LiveSession, end: u64) -> Result<()> {
    let mut applied = session.applied();
    let typed = async {
        tokio::select! {
            // `wait_for` checks the present value first: the confirmation may have arrived before this call.
            typed = applied.wait_for(|applied| *applied >= end) => typed.is_ok(),
            _ = session.wait_for(|state| matches!(state, SessionState::Ended(_))) => false,
        }
    };
    match tokio::time::timeout(INPUT_TIMEOUT, typed).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::unavailable("the session ended before all input was written")),
        Err(_) => Err(Error::unavailable("the program does not read its input")),
    }
}
