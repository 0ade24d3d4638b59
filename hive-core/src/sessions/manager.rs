//! Terminal sessions.
//!
//! A session outlives its link, its viewers and a restart of the server. Output and input are counted in bytes from the
//! start of the session, so that a viewer that reconnects continues at the offset it has reached. [`SessionManager`] is
//! the service, [`Attachment`] the connection of one viewer. [`Terminal`](crate::terminal::Terminal) is a viewer that
//! reattaches by itself.

use std::cmp::Reverse;

use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::BASE64;
use hive_wire::SessionId;
use hive_wire::api::{
    MAX_SCREEN, Page, PageRequest, Session, SessionCreate, SessionFilter, SessionInput, SessionSort, SessionStatus,
    Size,
};
use hive_wire::session::{AttachRequest, Attached, FromViewer, ToViewer, ViewMode};
use tokio::sync::mpsc;

use crate::lists::collect;
use crate::{Error, Result, Subscription};

/// The latest sessions of a whole list that has those that have ended too.
const LATEST: usize = 1000;

/// Terminal sessions on satellites.
#[async_trait]
pub trait SessionManager: Send + Sync {
    /// Opens a session and waits until its program runs.
    ///
    /// # Errors
    /// `SatelliteOffline` without a link, `SessionLimit` if the satellite has as many open sessions as are allowed,
    /// `CommandBlocked` if the policy of the satellite refuses.
    async fn create(&self, params: SessionCreate) -> Result<Session>;
    /// Returns a session, open or ended. `None` if it does not exist, or if it is hidden from the caller.
    async fn get(&self, id: SessionId) -> Result<Option<Session>>;
    /// Lists sessions, a part at a time and the newest first unless another order is asked for.
    async fn list_page(&self, filter: SessionFilter, page: PageRequest<SessionSort>) -> Result<Page<Session>>;
    /// Lists sessions, newest first: all that are open, and if the filter asks for them, of the latest 1,000 those that have ended.
    async fn list(&self, filter: SessionFilter) -> Result<Vec<Session>> {
        let open = SessionFilter { ended: false, ..filter.clone() };
        // All of them: those that have ended must not push out one that is open.
        let mut sessions = collect(usize::MAX, None, |page| self.list_page(open.clone(), page)).await?;
        if filter.ended {
            sessions.extend(collect(LATEST, None, |page| self.list_page(filter.clone(), page)).await?);
            // One that ended between the two reads is in both. The later read has its end.
            sessions.sort_by_key(|session| {
                (Reverse((session.created_at, session.id)), session.status != SessionStatus::Ended)
            });
            sessions.dedup_by_key(|session| session.id);
        }
        Ok(sessions)
    }
    /// Sends input to a session whose keyboard is free. Returns when the satellite has written every byte to the PTY, once and
    /// in order.
    ///
    /// # Errors
    /// `Conflict` if a viewer holds the keyboard. After `Unavailable`, some of the bytes may have been written.
    async fn send_input(&self, id: SessionId, data: Bytes) -> Result<()>;
    /// Changes the size of a session.
    async fn resize(&self, id: SessionId, size: Size) -> Result<()>;
    /// Ends a session with its whole process tree, and returns when the processes are gone. If the satellite is offline, the
    /// session counts as ended at once, and is ended on the satellite when it reconnects.
    async fn terminate(&self, id: SessionId) -> Result<()>;
    /// Subscribes to the events of a session as a viewer that only reads, beginning with the current screen. A slow listener
    /// delays nobody: it gets [`ToViewer::Reset`] in place of the events that it missed.
    async fn subscribe(&self, id: SessionId) -> Result<Subscription<SessionEvent>>;
    /// Attaches a viewer, which may type too.
    async fn attach(&self, id: SessionId, request: AttachRequest) -> Result<Attachment>;
}

/// The connection of one viewer to a session, in two halves, so that one may wait while the other works. The attachment
/// ends when both are dropped.
#[derive(Debug)]
#[must_use = "dropping an attachment detaches from the session"]
pub struct Attachment {
    /// The state of the session when the attachment began.
    pub attached: Attached,
    /// What the viewer receives.
    pub output: Box<dyn AttachmentOutput>,
    /// What the viewer sends.
    pub input: Box<dyn AttachmentInput>,
}

/// The events of a session for one viewer.
///
/// A trait and not a channel: a keystroke and its echo pass here, and a task in between would cost each of them a
/// wake-up.
#[async_trait]
pub trait AttachmentOutput: Send + std::fmt::Debug {
    /// Waits for the next event. `None` when the attachment is over, because the session ended (which was an event) or
    /// the connection broke. Dropping the future loses nothing.
    async fn next(&mut self) -> Option<SessionEvent>;
}

/// The actions of one viewer.
#[async_trait]
pub trait AttachmentInput: Send + std::fmt::Debug {
    /// Sends an action.
    ///
    /// # Errors
    /// `Unavailable` if the connection is broken, `Conflict` for input without the keyboard, `InvalidInput` for an
    /// invalid size. Input beyond the input window is refused with `Conflict` or ends the attachment.
    async fn send(&mut self, action: ViewerAction) -> Result<()>;
}

/// An event of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// Bytes of output; `offset` counts from the session's first byte.
    Output {
        /// The offset of the first byte.
        offset: u64,
        /// The bytes, at most 64 KiB.
        data: Bytes,
    },
    /// Any other message. Never [`ToViewer::Attached`].
    Message(ToViewer),
}

/// An action of a viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewerAction {
    /// Input; `offset` counts from the session's first byte of input. Bytes that were received before are skipped.
    Input {
        /// The offset of the first byte.
        offset: u64,
        /// The bytes, at most 64 KiB.
        data: Bytes,
    },
    /// Any other message. Never [`FromViewer::Attach`].
    Message(FromViewer),
}

/// The events of a subscription that are buffered for its listener: 2 MiB of output at most. Beyond it, the listener is a slow
/// viewer.
pub(crate) const SUBSCRIBED_EVENTS: usize = 32;

/// Returns the request of a viewer that only reads.
pub(crate) fn read_only() -> AttachRequest {
    AttachRequest { mode: ViewMode::ReadOnly, ..AttachRequest::default() }
}

/// Passes the events of an attachment to a listener until one of them ends.
pub(crate) async fn forward(attachment: Attachment, listener: mpsc::Sender<SessionEvent>) {
    // The input half is kept: an attachment is over when both halves are dropped.
    let Attachment { mut output, input, .. } = attachment;
    while let Some(event) = output.next().await {
        if listener.send(event).await.is_err() {
            break;
        }
    }
    drop(input);
}

/// Decodes input from its form on the wire.
///
/// # Errors
/// `InvalidInput` if it is not base64.
pub fn typed_bytes(input: &SessionInput) -> Result<Bytes> {
    let bytes = BASE64.decode(input.data.as_bytes());
    bytes.map(Bytes::from).map_err(|_| Error::invalid("data", "must be base64"))
}

/// Checks the size of a screen.
pub(crate) fn check_size(size: Size) -> Result<()> {
    for (field, value) in [("cols", size.cols), ("rows", size.rows)] {
        if !(1..=MAX_SCREEN).contains(&value) {
            return Err(Error::invalid(field, format!("must be 1 to {MAX_SCREEN}")));
        }
    }
    Ok(())
}
