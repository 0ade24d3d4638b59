//! One viewer's way into a terminal of this process: two halves that read and change it where it is.

use std::sync::Arc;

use async_trait::async_trait;
use hive_wire::api::SessionEnd;
use hive_wire::session::{Attached, FromViewer, ToViewer};
use tokio::sync::watch;

use super::live::{Admission, LiveSession, Next};
use super::viewers::Seat;
use crate::grants::Pass;
use crate::hive::ActingHive;
use crate::session::{Attachment, AttachmentInput, AttachmentOutput, SessionEvent, ViewerAction};
use crate::{Error, Result};

/// A place at a terminal, which its two halves share: dropped with the later of them, it is left.
#[derive(Debug)]
struct Place {
    acting: ActingHive,
    pass: Pass,
    session: Arc<LiveSession>,
    seat: Seat,
}

impl Place {
    fn leave(&self) {
        self.session.leave(self.acting.hive.inner.sessions.now(), self.seat);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Makes the two halves for a viewer that was let in.
pub(super) fn attachment(
    acting: ActingHive,
    pass: Pass,
    session: Arc<LiveSession>,
    admission: &Admission,
    attached: Attached,
) -> Attachment {
    let changes = session.changes();
    let place = Arc::new(Place { acting, pass, session, seat: admission.seat });
    let output = Output { place: place.clone(), changes, cursor: admission.cursor, is_over: false };
    Attachment { attached, output: Box::new(output), input: Box::new(Input { place }) }
}

#[derive(Debug)]
struct Output {
    place: Arc<Place>,
    changes: watch::Receiver<()>,
    /// The offset of the next byte of output.
    cursor: u64,
    is_over: bool,
}

#[async_trait]
impl AttachmentOutput for Output {
    async fn next(&mut self) -> Option<SessionEvent> {
        while !self.is_over {
            if let Err(error) = self.place.pass.check() {
                return Some(self.on_lost(error));
            }
            // Before the look: what changes during it is seen with the next one.
            self.changes.mark_unchanged();
            let now = self.place.acting.hive.inner.sessions.now();
            match self.place.session.next(now, self.place.seat, &mut self.cursor) {
                Next::Event(event) => return Some(event),
                Next::Last(event) => {
                    self.is_over = true;
                    return Some(event);
                }
                Next::Nothing => {
                    tokio::select! {
                        changed = self.changes.changed() => self.is_over = changed.is_err(),
                        lost = self.place.pass.lost() => return Some(self.on_lost(lost)),
                    }
                }
                Next::Over => self.is_over = true,
            }
        }
        None
    }
}

impl Output {
    /// Whoever may not look any more is told so, and has no place here from then on.
    fn on_lost(&mut self, error: impl Into<Error>) -> SessionEvent {
        self.is_over = true;
        self.place.leave();
        SessionEvent::Message(ToViewer::Error { error: error.into().to_wire() })
    }
}

#[derive(Debug)]
struct Input {
    place: Arc<Place>,
}

#[async_trait]
impl AttachmentInput for Input {
    async fn send(&mut self, action: ViewerAction) -> Result<()> {
        let Place { acting, pass, session, seat } = &*self.place;
        pass.check()?;
        let now = acting.hive.inner.sessions.now();
        match action {
            ViewerAction::Input { offset, data } => session.input(now, *seat, offset, &data),
            ViewerAction::Message(message) => {
                if message == FromViewer::TakeControl && session.has_other_writer(Some(seat.viewer)) {
                    acting.record_take(session).await?;
                }
                session.say(now, *seat, &message)
            }
        }
    }
}

/// The way into a terminal that ended a while ago: it is told so, and that is all.
pub(super) fn epilogue(attached: Attached, end: SessionEnd) -> Attachment {
    let output = Box::new(Epilogue(Some(end)));
    Attachment { attached, output, input: Box::new(Silence) }
}

#[derive(Debug)]
struct Epilogue(Option<SessionEnd>);

#[async_trait]
impl AttachmentOutput for Epilogue {
    async fn next(&mut self) -> Option<SessionEvent> {
        self.0.take().map(|end| SessionEvent::Message(ToViewer::Ended(end)))
    }
}

#[derive(Debug)]
struct Silence;

#[async_trait]
impl AttachmentInput for Silence {
    async fn send(&mut self, _action: ViewerAction) -> Result<()> {
        Err(Error::Conflict("the terminal has ended".into()))
    }
}
