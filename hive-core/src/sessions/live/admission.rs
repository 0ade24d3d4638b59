//! The admission of a viewer: its id, whether it gets the keyboard, and where its output begins.

use std::time::Duration;

use hive_wire::ViewerId;
use hive_wire::api::Actor;
use hive_wire::session::{AttachRequest, Control, ViewMode};
use hive_wire::stream::MAX_WINDOW;

use super::{LiveSession, LiveState, TAIL};
use crate::sessions::keyboard::InputLease;
use crate::sessions::viewers::{AttachmentId, PendingEvents, ViewerEvent};

/// How far the start of a tail may move to the start of a line.
const LINE: usize = 4096;

/// The caller who attaches a viewer.
#[derive(Debug, Clone)]
pub(crate) struct ViewerIdentity {
    pub(crate) actor: Actor,
    /// The id that the viewer gets if it is new.
    pub(crate) fresh: ViewerId,
}

/// A viewer that was admitted.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) id: AttachmentId,
    /// The offset at which its output begins.
    pub(crate) cursor: u64,
    /// The sequences that set the terminal modes at that offset, if it is not the requested one.
    pub(crate) modes: Option<String>,
    pub(crate) control: Control,
    pub(crate) is_resumed: bool,
}

impl LiveSession {
    /// Whether this viewer is known, and belongs to this actor.
    pub(crate) fn knows(&self, viewer: ViewerId, actor: &Actor) -> bool {
        self.read(|state| state.viewers.knows(viewer, actor))
    }

    /// Admits a viewer.
    pub(crate) fn admit(&self, now: Duration, request: &AttachRequest, who: ViewerIdentity) -> Admission {
        self.change(|state| state.admit(now, request, who))
    }
}

impl LiveState {
    fn admit(&mut self, now: Duration, request: &AttachRequest, who: ViewerIdentity) -> Admission {
        let id = self.identity(request.viewer, &who);
        // A mode of a later version gets the fewest rights.
        let is_read_only = matches!(request.mode, ViewMode::ReadOnly | ViewMode::Unknown(_));
        // Before the keyboard changes: this viewer held it without interruption, and may send its earlier input again.
        let is_writer = self.keyboard.writer() == Some(id);
        let gets_keyboard = !is_read_only
            && (is_writer || request.mode == ViewMode::Take || self.keyboard.holder() == InputLease::Nobody);
        let (cursor, modes) = self.beginning(request.output, gets_keyboard);
        let applied = self.input.applied();
        let (attachment, viewer) = self.viewers.join(id, who.actor);
        viewer.is_read_only = is_read_only;
        viewer.size = request.size;
        viewer.acked = cursor;
        viewer.reported_applied = applied;
        // Also if it does not hold the keyboard: a request from its former attachment may wait for it.
        if is_read_only {
            self.hand_over(now, |keyboard, next| keyboard.give_up(id, next));
        }
        if gets_keyboard {
            self.hand_over(now, |keyboard, next| keyboard.give(id, next));
            // `hand_over` does nothing if the viewer attaches again before its old attachment has ended. Its claim and size
            // are those of the new attachment nevertheless.
            self.claim_for_writer(now, id);
            self.tell_flow();
        }
        if modes.is_some() || cursor < self.ring.start() {
            self.want_redraw(now);
        }
        // The answer contains the present state. Only the input that was confirmed while the viewer was cut off is missing.
        if let Some(viewer) = self.viewers.get(id) {
            viewer.pending = PendingEvents::default();
            if is_writer {
                viewer.pending.note(ViewerEvent::Applied);
            }
        }
        Admission { id: attachment, cursor, modes, control: self.control(id), is_resumed: is_writer && !is_read_only }
    }

    /// The viewer's id: the requested one if the viewer is known by it or was the writer before a restart of the hive, else a
    /// new one.
    fn identity(&self, requested: Option<ViewerId>, who: &ViewerIdentity) -> ViewerId {
        let is_own = |id: &ViewerId| {
            // After a restart, the satellite reports the id of the writer, and its actor is not known. The id is random, and
            // only that viewer and the satellite have it.
            let is_last_writer = self.keyboard.writer() == Some(*id) && self.viewers.name(*id).is_none();
            self.viewers.knows(*id, &who.actor) || is_last_writer
        };
        requested.filter(is_own).unwrap_or(who.fresh)
    }

    /// Where a viewer's output begins. If the requested bytes are gone, the writer gets a gap, and all others a fresh screen.
    fn beginning(&self, requested: Option<u64>, is_writer: bool) -> (u64, Option<String>) {
        // After a restart of the hive, a viewer may have more output than has arrived here again, by one window at most. A
        // larger offset was never sent to any viewer.
        let is_possible = |offset: &u64| *offset <= self.ring.end() + MAX_WINDOW;
        match requested.filter(is_possible) {
            Some(offset) if offset >= self.ring.start() || is_writer => (offset, None),
            _ => {
                let (offset, modes) = self.tail();
                (offset, Some(modes))
            }
        }
    }

    /// Returns where the recent output begins that a new viewer gets, and the sequences that set the terminal modes there.
    pub(super) fn tail(&self) -> (u64, String) {
        let mut offset = self.ring.end().saturating_sub(TAIL).max(self.ring.start());
        // A start within a line, or within an escape sequence, would show as garbage on the first line.
        if offset > self.ring.start() {
            let first = self.ring.read(offset, LINE).unwrap_or_default();
            offset += first.iter().position(|byte| *byte == b'\n').map_or(0, |newline| newline as u64 + 1);
        }
        let (mut place, mut modes) = self.checkpoints.before(offset);
        // The ring may begin behind the checkpoint. Then the modes of the checkpoint are the best guess.
        while place < offset
            && let Ok(bytes) = self.ring.read(place, (offset - place) as usize)
            && !bytes.is_empty()
        {
            modes.scan(&bytes);
            place += bytes.len() as u64;
        }
        (offset, modes.restore_sequence())
    }
}
