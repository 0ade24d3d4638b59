//! What viewers of one terminal say, and what they see.

use std::time::Duration;

use bytes::Bytes;
use hive_wire::ViewerId;
use hive_wire::api::Size;
use hive_wire::frame::MAX_PAYLOAD;
use hive_wire::session::{Control, FromViewer, ToViewer};
use hive_wire::stream::Missing;

use super::{LiveSession, LiveState};
use crate::sessions::keyboard::{InputLease, LeaseRequest};
use crate::sessions::viewers::{AttachmentId, Viewer, ViewerEvent};
use crate::sessions::{SessionEvent, check_size};
use crate::{Error, Result};

/// What there is for a viewer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This, now.
    Event(SessionEvent),
    /// The last event: the end.
    Last(SessionEvent),
    /// Nothing yet.
    Nothing,
    /// Nothing any more: its place was taken, or the hive stops.
    Over,
}

impl LiveSession {
    /// Lets a viewer out. What it had is kept for it for a while.
    pub(crate) fn leave(&self, now: Duration, id: AttachmentId) {
        self.change(|state| {
            let until = now + state.timeouts.linger;
            if state.viewers.leave(id, until) {
                state.hand_over(now, |keyboard, _| keyboard.cut_off(id.viewer, until));
            }
        });
    }

    /// Returns what there is for a viewer whose output goes on at `cursor`, and moves that behind it.
    pub(crate) fn next(&self, now: Duration, id: AttachmentId, cursor: &mut u64) -> Next {
        self.read(|state| state.next(now, id, cursor))
    }

    /// Waits for what [`next`](Self::next) gives. Dropping the future loses nothing.
    pub(crate) fn changes(&self) -> tokio::sync::watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Types for a viewer.
    ///
    /// # Errors
    /// `Conflict` where the keyboard is not its own, or more is typed than may be under way; `Unavailable` where its place
    /// was taken.
    pub(crate) fn input(&self, now: Duration, id: AttachmentId, offset: u64, data: &Bytes) -> Result<()> {
        self.read(|state| {
            state.attached_viewer(id)?;
            if !state.keyboard.may_type(id.viewer, offset) {
                return Err(Error::Conflict("another has the keyboard".into()));
            }
            state.accept_input(now, offset, data)
        })
    }

    /// Types for somebody who is no viewer, as much as there is room for; says how much that was and where it ends.
    ///
    /// # Errors
    /// `Conflict` where a viewer has the keyboard.
    pub(crate) fn input_unseen(&self, now: Duration, data: &Bytes) -> Result<(usize, u64)> {
        self.read(|state| {
            state.check_alive()?;
            if state.keyboard.holder() != InputLease::Nobody {
                return Err(Error::Conflict("a viewer has the keyboard".into()));
            }
            let count = data.len().min(state.input.room());
            state.accept_input(now, state.input.received(), &data.slice(..count))?;
            Ok((count, state.input.received()))
        })
    }

    /// Returns how much of the input is typed, to be watched.
    pub(crate) fn applied(&self) -> tokio::sync::watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// Changes the size for somebody who is no viewer.
    ///
    /// # Errors
    /// `Conflict` where it has ended.
    pub(crate) fn resize(&self, now: Duration, size: Size) -> Result<()> {
        self.change(|state| {
            state.check_alive()?;
            state.set_size(now, size);
            Ok(())
        })
    }

    /// Whether this viewer would take the keyboard from another.
    pub(crate) fn has_other_writer(&self, viewer: Option<ViewerId>) -> bool {
        self.read(|state| state.keyboard.writer().is_some_and(|writer| viewer != Some(writer)))
    }

    /// Takes what a viewer says.
    ///
    /// # Errors
    /// `Conflict` where it may not, or not now; `InvalidInput` for a size that cannot be; `Unavailable` where its place was
    /// taken.
    pub(crate) fn say(&self, now: Duration, id: AttachmentId, message: &FromViewer) -> Result<()> {
        // Acknowledgements are many, and change nothing that another viewer waits for.
        if let FromViewer::Ack { offset } = message {
            return self.read(|state| state.on_ack(now, id, *offset));
        }
        self.change(|state| state.on_message(now, id, message))
    }
}

impl LiveState {
    fn next(&mut self, now: Duration, id: AttachmentId, cursor: &mut u64) -> Next {
        if self.is_closed || self.viewers.at(id).is_none() {
            return Next::Over;
        }
        if let Some(told) = self.next_notice(id) {
            return Next::Event(SessionEvent::Message(told));
        }
        match self.ring.read(*cursor, MAX_PAYLOAD) {
            Ok(data) if data.is_empty() => match &self.end {
                Some((end, _)) => Next::Last(SessionEvent::Message(ToViewer::Ended(end.clone()))),
                None => Next::Nothing,
            },
            Ok(data) => {
                let offset = *cursor;
                *cursor += data.len() as u64;
                Next::Event(SessionEvent::Output { offset, data })
            }
            Err(missing) => Next::Event(SessionEvent::Message(self.catch_up(now, id, cursor, missing))),
        }
    }

    /// Brings a viewer that fell behind back to what there is.
    fn catch_up(&mut self, now: Duration, id: AttachmentId, cursor: &mut u64, missing: Missing) -> ToViewer {
        self.want_redraw(now);
        if self.keyboard.is_held_by(id.viewer) {
            let from = std::mem::replace(cursor, missing.start);
            return ToViewer::Gap { from, to: missing.start };
        }
        let (output, modes) = self.tail();
        *cursor = output;
        ToViewer::Reset { output, modes }
    }

    fn next_notice(&mut self, id: AttachmentId) -> Option<ToViewer> {
        let is_mine = self.keyboard.is_held_by(id.viewer);
        let notice = self.viewers.at(id)?.pending.take(is_mine)?;
        Some(match notice {
            ViewerEvent::LostKeyboard => ToViewer::Control(Control {
                is_mine: false,
                input: self.viewers.at(id)?.lost_keyboard_at.unwrap_or_default(),
                holder: None,
            }),
            ViewerEvent::Control => ToViewer::Control(self.control(id.viewer)),
            ViewerEvent::Link => ToViewer::Link { online: self.is_linked() },
            ViewerEvent::Size => ToViewer::Resized(self.size),
            ViewerEvent::Applied => {
                let offset = self.input.applied();
                self.viewers.at(id)?.told_applied = offset;
                ToViewer::Applied { offset }
            }
            ViewerEvent::Request(by) => {
                let name = self.viewers.by_number(by).map(|(_, viewer)| viewer.actor.name.clone());
                ToViewer::ControlRequested { by, name: name.unwrap_or_else(|| "somebody who left".into()) }
            }
        })
    }

    fn on_ack(&mut self, now: Duration, id: AttachmentId, offset: u64) -> Result<()> {
        let acked = offset.min(self.ring.end());
        let viewer = self.attached_viewer(id)?;
        if acked <= viewer.acked {
            return Ok(());
        }
        viewer.acked = acked;
        // One that had stopped reading, and lost its claim, has it again now that it reads.
        if self.keyboard.is_held_by(id.viewer) && !self.flow.has_claim(id.viewer) {
            self.flow.claim(now, id.viewer, acked.max(self.ring.start()));
        }
        self.flow.on_ack(now, id.viewer, acked);
        self.tell_flow();
        Ok(())
    }

    fn on_message(&mut self, now: Duration, id: AttachmentId, message: &FromViewer) -> Result<()> {
        let viewer = id.viewer;
        match message {
            FromViewer::Resize(size) => {
                check_size(*size)?;
                self.attached_viewer(id)?.size = Some(*size);
                if self.keyboard.is_held_by(viewer) {
                    self.set_size(now, *size);
                }
            }
            FromViewer::RequestControl => self.on_request(now, id)?,
            FromViewer::GrantControl { to } => self.on_grant(now, id, *to)?,
            FromViewer::TakeControl => {
                self.check_typist(id)?;
                self.hand_over(now, |keyboard, next| keyboard.give(viewer, next));
            }
            FromViewer::ReleaseControl => {
                self.attached_viewer(id)?;
                self.hand_over(now, |keyboard, next| keyboard.release(viewer, next));
            }
            FromViewer::Attach(_) => return Err(Error::invalid("attach", "comes once")),
            _ => {}
        }
        Ok(())
    }

    fn on_request(&mut self, now: Duration, id: AttachmentId) -> Result<()> {
        self.check_typist(id)?;
        let number = self.attached_viewer(id)?.number;
        let mut asked = LeaseRequest::Granted;
        self.hand_over(now, |keyboard, next| asked = keyboard.ask(id.viewer, next));
        if let LeaseRequest::HeldBy(holder) = asked
            && let Some(holder) = self.viewers.get(holder)
        {
            holder.pending.note(ViewerEvent::Request(number));
        }
        Ok(())
    }

    fn on_grant(&mut self, now: Duration, id: AttachmentId, to: u32) -> Result<()> {
        self.attached_viewer(id)?;
        if !self.keyboard.is_held_by(id.viewer) {
            return Err(Error::Conflict("the keyboard is not yours to give".into()));
        }
        let heir = self.viewers.by_number(to).filter(|(_, viewer)| !viewer.is_read_only).map(|(id, _)| id);
        let heir = heir.ok_or_else(|| Error::Conflict(format!("no viewer {to} is there who types")))?;
        self.hand_over(now, |keyboard, next| keyboard.give(heir, next));
        Ok(())
    }

    fn accept_input(&mut self, now: Duration, offset: u64, data: &Bytes) -> Result<()> {
        self.check_alive()?;
        self.input.accept(offset, data).map_err(|refused| Error::Conflict(refused.to_string()))?;
        self.send_input(now);
        Ok(())
    }

    fn check_typist(&mut self, id: AttachmentId) -> Result<()> {
        if self.attached_viewer(id)?.is_read_only {
            return Err(Error::Conflict("a viewer that only reads never types".into()));
        }
        Ok(())
    }

    fn check_alive(&self) -> Result<()> {
        if self.end.is_some() {
            return Err(Error::Conflict("the terminal has ended".into()));
        }
        Ok(())
    }

    fn attached_viewer(&mut self, id: AttachmentId) -> Result<&mut Viewer> {
        let gone = || Error::unavailable("this viewer is attached elsewhere now");
        self.viewers.at(id).ok_or_else(gone)
    }
}
