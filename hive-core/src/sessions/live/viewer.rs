//! The messages from and to the viewers of one session.

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

/// The next event for a viewer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// An event.
    Event(SessionEvent),
    /// The last event: the end.
    Last(SessionEvent),
    /// No event yet.
    Nothing,
    /// No event any more: another attachment replaced this one, or the hive stops.
    Over,
}

impl LiveSession {
    /// Removes a viewer. Its number, keyboard and claim are reserved for the linger time.
    pub(crate) fn leave(&self, now: Duration, id: AttachmentId) {
        self.change(|state| {
            let until = now + state.timeouts.linger;
            // An attachment that was replaced leaves nothing: the keyboard belongs to its successor.
            if state.viewers.leave(id, until) {
                // A viewer that leaves on purpose has released its keyboard before. Here it counts as disconnected.
                state.hand_over(now, |keyboard, _| keyboard.cut_off(id.viewer, until));
            }
        });
    }

    /// Returns the next event for a viewer whose output continues at `cursor`, and advances `cursor` by it.
    pub(crate) fn next(&self, now: Duration, id: AttachmentId, cursor: &mut u64) -> Next {
        self.read(|state| state.next(now, id, cursor))
    }

    /// Returns a receiver that is notified when [`next`](Self::next) may return another event.
    pub(crate) fn changes(&self) -> tokio::sync::watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Accepts input of a viewer.
    ///
    /// # Errors
    /// `Conflict` if it does not hold the keyboard, or if the input exceeds the window. `Unavailable` if another attachment
    /// replaced this one.
    pub(crate) fn input(&self, now: Duration, id: AttachmentId, offset: u64, data: &Bytes) -> Result<()> {
        // `read`, not `change`: input changes nothing that a viewer sees. The echo will wake them.
        self.read(|state| {
            // The keyboard belongs to the viewer, so an old attachment of the same viewer would pass the next check.
            state.attached_viewer(id)?;
            if !state.keyboard.may_type(id.viewer, offset) {
                return Err(Error::Conflict("another viewer has the keyboard".into()));
            }
            state.accept_input(now, offset, data)
        })
    }

    /// Accepts input of a caller that is not a viewer, as much as the window has room for. Returns the number of accepted
    /// bytes and the offset behind them.
    ///
    /// # Errors
    /// `Conflict` if a viewer holds the keyboard.
    pub(crate) fn input_unseen(&self, now: Duration, data: &Bytes) -> Result<(usize, u64)> {
        self.read(|state| {
            state.check_alive()?;
            // Also while the holder is cut off: its input and that of this caller must not be mixed.
            if state.keyboard.holder() != InputLease::Nobody {
                return Err(Error::Conflict("a viewer has the keyboard".into()));
            }
            let count = data.len().min(state.input.room());
            state.accept_input(now, state.input.received(), &data.slice(..count))?;
            Ok((count, state.input.received()))
        })
    }

    /// Returns a receiver of the offset of the confirmed input.
    pub(crate) fn applied(&self) -> tokio::sync::watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// Changes the size for a caller that is not a viewer.
    ///
    /// # Errors
    /// `Conflict` if the session has ended.
    pub(crate) fn resize(&self, now: Duration, size: Size) -> Result<()> {
        self.change(|state| {
            state.check_alive()?;
            state.set_size(now, size);
            Ok(())
        })
    }

    /// Whether a viewer other than this one holds the keyboard, attached or cut off.
    pub(crate) fn has_other_writer(&self, viewer: Option<ViewerId>) -> bool {
        self.read(|state| state.keyboard.writer().is_some_and(|writer| viewer != Some(writer)))
    }

    /// Handles a message of a viewer.
    ///
    /// # Errors
    /// `Conflict` if it is not allowed, or not now. `InvalidInput` for an invalid size. `Unavailable` if another attachment
    /// replaced this one.
    pub(crate) fn on_message(&self, now: Duration, id: AttachmentId, message: &FromViewer) -> Result<()> {
        // Acknowledgements are frequent, and no viewer waits for what they change.
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
        // Messages go before output, so that a viewer with much unread output learns at once that it lost the keyboard. There
        // are few of them: each kind is pending at most once, except for requests, which are limited.
        if let Some(notice) = self.next_notice(id) {
            return Next::Event(SessionEvent::Message(notice));
        }
        match self.ring.read(*cursor, MAX_PAYLOAD) {
            // A cursor beyond the ring also reads nothing. After a restart of the hive, a viewer has more output than has
            // arrived here again.
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

    /// Moves a viewer that fell behind to output that is still there.
    fn catch_up(&mut self, now: Duration, id: AttachmentId, cursor: &mut u64, missing: Missing) -> ToViewer {
        self.want_redraw(now);
        // The writer keeps its screen and learns what is missing. All others start with a fresh screen (wire-protocol.md, "A
        // viewer").
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
            // The holder is left out: the `Control` event behind this one names the present holder, which is this viewer.
            ViewerEvent::LostKeyboard => ToViewer::Control(Control {
                is_mine: false,
                input: self.viewers.at(id)?.lost_keyboard_at.unwrap_or_default(),
                holder: None,
            }),
            ViewerEvent::Control => ToViewer::Control(self.control(id.viewer)),
            ViewerEvent::Link => ToViewer::Link { online: self.is_linked() },
            ViewerEvent::Size => ToViewer::Resized(self.size),
            ViewerEvent::Applied => {
                // The offset of now, not that of the event: a viewer that reads slowly skips the offsets in between.
                let offset = self.input.applied();
                self.viewers.at(id)?.reported_applied = offset;
                ToViewer::Applied { offset }
            }
            ViewerEvent::Request(by) => {
                let name = self.viewers.by_number(by).map(|(_, viewer)| viewer.actor.name.clone());
                ToViewer::ControlRequested { by, name: name.unwrap_or_else(|| "somebody who left".into()) }
            }
        })
    }

    fn on_ack(&mut self, now: Duration, id: AttachmentId, offset: u64) -> Result<()> {
        // A viewer may acknowledge more than has arrived here again after a restart.
        let acked = offset.min(self.ring.end());
        let viewer = self.attached_viewer(id)?;
        if acked <= viewer.acked {
            return Ok(());
        }
        viewer.acked = acked;
        // A writer that had stopped reading and lost its claim gets it back when it reads again.
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
                // Noted without the keyboard too: it becomes the size of the session when this viewer gets the keyboard.
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
            // Messages of later versions are ignored, as everywhere on the wire.
            _ => {}
        }
        Ok(())
    }

    fn on_request(&mut self, now: Duration, id: AttachmentId) -> Result<()> {
        self.check_typist(id)?;
        let number = self.attached_viewer(id)?.number;
        let mut lease = LeaseRequest::Granted;
        self.hand_over(now, |keyboard, next| lease = keyboard.ask(id.viewer, next));
        // A holder that was cut off gets no request. Its lease ends by itself, and the keyboard goes to the first in line.
        if let LeaseRequest::HeldBy(holder) = lease
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
        // It need not have asked: the holder may hand the keyboard to any attached viewer that is not read-only.
        let heir = self.viewers.by_number(to).filter(|(_, viewer)| !viewer.is_read_only).map(|(id, _)| id);
        let heir = heir.ok_or_else(|| Error::Conflict(format!("viewer {to} is not attached, or is read-only")))?;
        self.hand_over(now, |keyboard, next| keyboard.give(heir, next));
        Ok(())
    }

    fn accept_input(&mut self, now: Duration, offset: u64, data: &Bytes) -> Result<()> {
        self.check_alive()?;
        // Input is accepted while the satellite has no link. It waits in the buffer, up to one window.
        self.input.accept(offset, data).map_err(|refused| Error::Conflict(refused.to_string()))?;
        self.send_input(now);
        Ok(())
    }

    fn check_typist(&mut self, id: AttachmentId) -> Result<()> {
        if self.attached_viewer(id)?.is_read_only {
            return Err(Error::Conflict("a read-only viewer cannot have the keyboard".into()));
        }
        Ok(())
    }

    fn check_alive(&self) -> Result<()> {
        if self.end.is_some() {
            return Err(Error::Conflict("the session has ended".into()));
        }
        Ok(())
    }

    fn attached_viewer(&mut self, id: AttachmentId) -> Result<&mut Viewer> {
        let gone = || Error::unavailable("another attachment of this viewer has replaced this one");
        self.viewers.at(id).ok_or_else(gone)
    }
}
