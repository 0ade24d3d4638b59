//! Admission of a viewer: its identity, whether it types, and where its output begins.

use std::time::Duration;

use hive_wire::ViewerId;
use hive_wire::api::Actor;
use hive_wire::session::{AttachRequest, Control, ViewMode};
use hive_wire::stream::MAX_WINDOW;

use super::{LiveSession, LiveState, TAIL};
use crate::sessions::keyboard::InputLease;
use crate::sessions::viewers::{AttachmentId, PendingEvents, ViewerEvent};

/// How far behind the beginning of the tail a line may begin for the tail to begin there.
const LINE: usize = 4096;

/// The caller who attaches a viewer.
#[derive(Debug, Clone)]
pub(crate) struct ViewerIdentity {
    pub(crate) actor: Actor,
    /// The id it gets where it is new.
    pub(crate) fresh: ViewerId,
}

/// A viewer that was admitted.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) id: AttachmentId,
    /// Where its output begins.
    pub(crate) cursor: u64,
    /// The modes of a terminal there, where it is elsewhere than it asked for.
    pub(crate) modes: Option<String>,
    pub(crate) control: Control,
    pub(crate) is_resumed: bool,
}

impl LiveSession {
    /// Whether somebody known comes back as this viewer.
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
        let is_read_only = matches!(request.mode, ViewMode::ReadOnly | ViewMode::Unknown(_));
        let is_writer = self.keyboard.writer() == Some(id);
        let gets_keyboard = !is_read_only
            && (is_writer || request.mode == ViewMode::Take || self.keyboard.holder() == InputLease::Nobody);
        let (cursor, modes) = self.beginning(request.output, gets_keyboard);
        let applied = self.input.applied();
        let (attachment, viewer) = self.viewers.join(id, who.actor);
        viewer.is_read_only = is_read_only;
        viewer.size = request.size;
        viewer.acked = cursor;
        viewer.told_applied = applied;
        if is_writer && is_read_only {
            self.hand_over(now, |keyboard, next| keyboard.give_up(id, next));
        }
        if gets_keyboard {
            self.hand_over(now, |keyboard, next| keyboard.give(id, next));
            self.claim_for_writer(now, id);
            self.tell_flow();
        }
        if modes.is_some() || cursor < self.ring.start() {
            self.want_redraw(now);
        }
        // The answer reports all but the input that was typed while the viewer was cut off.
        if let Some(viewer) = self.viewers.get(id) {
            viewer.pending = PendingEvents::default();
            if is_writer {
                viewer.pending.note(ViewerEvent::Applied);
            }
        }
        Admission { id: attachment, cursor, modes, control: self.control(id), is_resumed: is_writer && !is_read_only }
    }

    /// The viewer's id: its own where it is known by it, or where it typed last before this process began.
    fn identity(&self, wanted: Option<ViewerId>, who: &ViewerIdentity) -> ViewerId {
        let is_own = |id: &ViewerId| {
            let is_last_writer = self.keyboard.writer() == Some(*id) && self.viewers.name(*id).is_none();
            self.viewers.knows(*id, &who.actor) || is_last_writer
        };
        wanted.filter(is_own).unwrap_or(who.fresh)
    }

    /// Where a viewer's output begins. One that types hears of a gap; others get a fresh screen.
    fn beginning(&self, wanted: Option<u64>, is_writer: bool) -> (u64, Option<String>) {
        // After a restart of the hive a viewer may have more than is here yet.
        let is_possible = |offset: &u64| *offset <= self.ring.end() + MAX_WINDOW;
        match wanted.filter(is_possible) {
            Some(offset) if offset >= self.ring.start() || is_writer => (offset, None),
            _ => {
                let (offset, modes) = self.tail();
                (offset, Some(modes))
            }
        }
    }

    /// Where the last screenful begins, and the modes of a terminal there.
    pub(super) fn tail(&self) -> (u64, String) {
        let mut offset = self.ring.end().saturating_sub(TAIL).max(self.ring.start());
        if offset > self.ring.start() {
            let first = self.ring.read(offset, LINE).unwrap_or_default();
            offset += first.iter().position(|byte| *byte == b'\n').map_or(0, |newline| newline as u64 + 1);
        }
        let (mut place, mut modes) = self.checkpoints.before(offset);
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
