//! The sessions that a socket shows.

use std::collections::{HashMap, VecDeque};

use axum::body::Bytes;
use data_encoding::BASE64;
use futures_util::future::select_all;
use hive_core::sessions::{Attachment, AttachmentInput, AttachmentOutput, SessionEvent, ViewerAction};
use hive_core::wire::SessionId;
use hive_core::wire::api::{ApiError, Size};
use hive_core::wire::session::{FromViewer, ToViewer};
use hive_core::wire::ui::{MAX_ATTACHED, SessionAttached, UiEvent};
use hive_core::{Error, Result};

use super::typing::{TypingRefusal, TypingState};

/// The attached sessions of one socket.
#[derive(Default)]
pub(super) struct AttachedSessions {
    by_id: HashMap<SessionId, AttachedSession>,
    /// Turns round the sessions, so that none of them is always read first.
    turn: usize,
    /// Output that the socket has taken and may not have sent yet: the end of it by session.
    unsent: HashMap<SessionId, u64>,
    /// Sessions whose end was told, the newest last.
    ended: VecDeque<SessionId>,
}

struct AttachedSession {
    output: Box<dyn AttachmentOutput>,
    input: Box<dyn AttachmentInput>,
    typing: TypingState,
    is_paused: bool,
}

impl AttachedSessions {
    pub(super) fn contains(&self, id: SessionId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Whether the end of a session is told with its output, or was: those who follow the hive hear of it too.
    pub(super) fn tells_end_of(&self, id: SessionId) -> bool {
        self.contains(id) || self.ended.contains(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Adds a session. Returns what its client is told about it.
    pub(super) fn add(&mut self, attachment: Attachment) -> SessionAttached {
        let Attachment { attached, output, input } = attachment;
        let typing = TypingState::new(&attached.control);
        let id = attached.session.id;
        let told = SessionAttached {
            session_id: id,
            is_mine: attached.control.is_mine,
            modes: attached.modes.map(|modes| BASE64.encode(modes.as_bytes())),
            session: attached.session,
        };
        self.by_id.insert(id, AttachedSession { output, input, typing, is_paused: false });
        told
    }

    /// Waits for the next event of any session that is not paused. Cancel-safe.
    pub(super) async fn next(&mut self) -> (SessionId, Option<SessionEvent>) {
        let mut active: Vec<_> = self.by_id.iter_mut().filter(|(_, session)| !session.is_paused).collect();
        if active.is_empty() {
            // The loop of the socket asks again after every message.
            return std::future::pending().await;
        }
        active.sort_unstable_by_key(|(id, _)| **id);
        let first = self.turn % active.len();
        active.rotate_left(first);
        let waits = active.into_iter().map(|(id, session)| {
            let id = *id;
            Box::pin(async move { (id, session.output.next().await) })
        });
        let (event, index, _) = select_all(waits).await;
        self.turn = first + index + 1;
        event
    }

    /// Takes over an event of a session. Returns what the client is told.
    pub(super) fn on_event(&mut self, id: SessionId, event: Option<SessionEvent>) -> Option<UiEvent> {
        let session = self.by_id.get_mut(&id)?;
        let message = match event {
            Some(SessionEvent::Output { offset, data }) => {
                self.unsent.insert(id, offset + data.len() as u64);
                return Some(UiEvent::SessionOutput { session_id: id, output: BASE64.encode(&data) });
            }
            Some(SessionEvent::Message(message)) => message,
            None => ToViewer::Error { error: Error::unavailable("the server restarts").to_wire() },
        };
        match message {
            ToViewer::Gap { .. } => Some(UiEvent::SessionReset { session_id: id, modes: String::new() }),
            ToViewer::Reset { modes, .. } => {
                Some(UiEvent::SessionReset { session_id: id, modes: BASE64.encode(modes.as_bytes()) })
            }
            ToViewer::Applied { offset } => {
                session.typing.on_applied(offset);
                None
            }
            ToViewer::Control(control) => {
                session.typing.on_control(&control);
                Some(UiEvent::SessionControl { session_id: id, is_mine: control.is_mine, holder: control.holder })
            }
            ToViewer::Resized(size) => Some(UiEvent::SessionResized { session_id: id, size }),
            ToViewer::Link { online } => Some(UiEvent::SessionLink { session_id: id, online }),
            ToViewer::Ended(end) => {
                self.remove(id);
                if self.ended.len() == MAX_ATTACHED {
                    self.ended.pop_front();
                }
                self.ended.push_back(id);
                let (reason, exit_code, error) = (end.reason, end.exit_code, end.error);
                Some(UiEvent::SessionEnded { session_id: id, reason, exit_code, error })
            }
            ToViewer::Error { error } => {
                self.remove(id);
                Some(detached(id, error))
            }
            // Who wants the keyboard takes it with `session:attach`.
            _ => None,
        }
    }

    fn remove(&mut self, id: SessionId) {
        self.by_id.remove(&id);
        self.unsent.remove(&id);
    }

    /// Confirms the output that was sent: a program waits for a viewer that may type.
    pub(super) async fn confirm_sent(&mut self) {
        for (id, offset) in self.unsent.drain() {
            if let Some(session) = self.by_id.get_mut(&id) {
                // A session that has ended takes no confirmation; its end comes as an event.
                session.input.send(ViewerAction::Message(FromViewer::Ack { offset })).await.ok();
            }
        }
    }

    /// Types. The error of a full window is `RateLimited`.
    pub(super) async fn type_input(&mut self, id: SessionId, data: Bytes) -> Result<()> {
        let session = self.session(id)?;
        let offset = session.typing.take(data.len()).map_err(|refusal| match refusal {
            TypingRefusal::NoKeyboard => Error::Conflict("another viewer has the keyboard of the session".into()),
            TypingRefusal::WindowFull => Error::RateLimited { retry_after_seconds: 1 },
        })?;
        let typed = session.input.send(ViewerAction::Input { offset, data }).await;
        if typed.is_err() {
            session.typing.give_back(offset);
        }
        typed
    }

    /// Changes the size of the screen on which a session is shown.
    pub(super) async fn resize(&mut self, id: SessionId, size: Size) -> Result<()> {
        self.session(id)?.input.send(ViewerAction::Message(FromViewer::Resize(size))).await
    }

    /// Holds the output of a session back, or lets it go on.
    pub(super) fn throttle(&mut self, id: SessionId, is_paused: bool) -> Result<()> {
        self.session(id)?.is_paused = is_paused;
        Ok(())
    }

    fn session(&mut self, id: SessionId) -> Result<&mut AttachedSession> {
        self.by_id.get_mut(&id).ok_or_else(|| Error::SessionNotFound(id.to_string()))
    }
}

fn detached(session_id: SessionId, error: ApiError) -> UiEvent {
    UiEvent::SessionDetached { session_id, error }
}
