//! One viewer's attachment to a session of this process: two halves that read and change the session directly.

use std::sync::Arc;

use async_trait::async_trait;
use hive_wire::api::SessionEnd;
use hive_wire::session::{Attached, FromViewer, ToViewer};
use tokio::sync::watch;

use super::Sessions;
use super::live::{Admission, LiveSession, Next};
use super::viewers::AttachmentId;
use crate::access::Principal;
use crate::grants::GrantGuard;
use crate::sessions::{Attachment, AttachmentInput, AttachmentOutput, SessionEvent, ViewerAction};
use crate::{Error, Result};

/// One viewer's attachment, which its two halves share: the viewer leaves when the later of them is dropped.
struct ViewerSlot {
    sessions: Arc<Sessions>,
    principal: Principal,
    grant: GrantGuard,
    session: Arc<LiveSession>,
    id: AttachmentId,
}

impl ViewerSlot {
    fn leave(&self) {
        self.session.leave(self.sessions.now(), self.id);
    }
}

impl Drop for ViewerSlot {
    fn drop(&mut self) {
        self.leave();
    }
}

impl std::fmt::Debug for ViewerSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ViewerSlot").field("session", &self.session).field("id", &self.id).finish_non_exhaustive()
    }
}

/// Makes the two halves for a viewer that was admitted.
pub(super) fn attachment(
    sessions: Arc<Sessions>,
    principal: Principal,
    grant: GrantGuard,
    session: Arc<LiveSession>,
    admission: &Admission,
    attached: Attached,
) -> Attachment {
    let changes = session.changes();
    let slot = Arc::new(ViewerSlot { sessions, principal, grant, session, id: admission.id });
    let output = LocalAttachmentOutput { slot: slot.clone(), changes, cursor: admission.cursor, is_over: false };
    Attachment { attached, output: Box::new(output), input: Box::new(LocalAttachmentInput { slot }) }
}

#[derive(Debug)]
struct LocalAttachmentOutput {
    slot: Arc<ViewerSlot>,
    changes: watch::Receiver<()>,
    /// The offset of the next byte of output.
    cursor: u64,
    is_over: bool,
}

#[async_trait]
impl AttachmentOutput for LocalAttachmentOutput {
    async fn next(&mut self) -> Option<SessionEvent> {
        while !self.is_over {
            if let Err(error) = self.slot.grant.check() {
                return Some(self.on_revoked(error));
            }
            // Before the state is read: a change after the read then ends the wait below at once.
            self.changes.mark_unchanged();
            let now = self.slot.sessions.now();
            match self.slot.session.next(now, self.slot.id, &mut self.cursor) {
                Next::Event(event) => return Some(event),
                Next::Last(event) => {
                    self.is_over = true;
                    return Some(event);
                }
                Next::Nothing => {
                    // An idle session gives no events, and its viewer must lose its right nevertheless.
                    tokio::select! {
                        changed = self.changes.changed() => self.is_over = changed.is_err(),
                        reason = self.slot.grant.revoked() => return Some(self.on_revoked(reason)),
                    }
                }
                Next::Over => self.is_over = true,
            }
        }
        None
    }
}

impl LocalAttachmentOutput {
    /// Reports to the viewer that its right is revoked, and detaches it.
    fn on_revoked(&mut self, error: impl Into<Error>) -> SessionEvent {
        self.is_over = true;
        // At once: the slot is dropped only with the input half, which the caller may keep.
        self.slot.leave();
        SessionEvent::Message(ToViewer::Error { error: error.into().to_wire() })
    }
}

#[derive(Debug)]
struct LocalAttachmentInput {
    slot: Arc<ViewerSlot>,
}

#[async_trait]
impl AttachmentInput for LocalAttachmentInput {
    async fn send(&mut self, action: ViewerAction) -> Result<()> {
        let ViewerSlot { sessions, principal, grant, session, id } = &*self.slot;
        // Not only where output is read: a viewer may send without ever reading.
        grant.check()?;
        let now = sessions.now();
        match action {
            ViewerAction::Input { offset, data } => session.input(now, *id, offset, &data),
            ViewerAction::Message(message) => {
                // The record goes first. If it cannot be written, the keyboard is not taken.
                if message == FromViewer::TakeControl && session.has_other_writer(Some(id.viewer)) {
                    sessions.record_take(principal, session).await?;
                }
                session.on_message(now, *id, &message)
            }
        }
    }
}

/// The attachment to a session that ended a while ago: its only event is the end.
pub(super) fn attachment_to_ended(attached: Attached, end: SessionEnd) -> Attachment {
    let output = Box::new(EndedOutput(Some(end)));
    Attachment { attached, output, input: Box::new(ClosedInput) }
}

#[derive(Debug)]
struct EndedOutput(Option<SessionEnd>);

#[async_trait]
impl AttachmentOutput for EndedOutput {
    async fn next(&mut self) -> Option<SessionEvent> {
        self.0.take().map(|end| SessionEvent::Message(ToViewer::Ended(end)))
    }
}

#[derive(Debug)]
struct ClosedInput;

#[async_trait]
impl AttachmentInput for ClosedInput {
    async fn send(&mut self, _action: ViewerAction) -> Result<()> {
        Err(Error::Conflict("the session has ended".into()))
    }
}
