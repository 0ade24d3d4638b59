//! The viewers of a session, and the events that are pending for each.
//!
//! There is no queue. A pending event is a kind, and its value is read when it is sent. A viewer that never reads therefore
//! costs no more than one that does.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use hive_wire::ViewerId;
use hive_wire::api::{Actor, Size};

/// The number of viewers that left and are remembered, so that they keep number and keyboard when they return.
const MAX_GONE: usize = 64;
/// The number of requests for the keyboard that are pending for one viewer.
const MAX_REQUESTS: usize = 16;

/// One attached viewer.
#[derive(Debug)]
pub(super) struct Viewer {
    /// Its number within the session, by which other viewers refer to it.
    pub(super) number: u32,
    /// The actor behind it.
    pub(super) actor: Actor,
    /// Distinguishes this attachment from earlier ones of the same viewer.
    attachment: u64,
    pub(super) is_read_only: bool,
    /// The size of its screen.
    pub(super) size: Option<Size>,
    /// The offset of the output that it has acknowledged.
    pub(super) acked: u64,
    /// The offset of confirmed input that was last reported to it.
    pub(super) reported_applied: u64,
    /// The input offset at which it lost the keyboard.
    pub(super) lost_keyboard_at: Option<u64>,
    pub(super) pending: PendingEvents,
}

/// The pending events of one viewer, at most one of each kind.
#[derive(Debug, Default)]
pub(super) struct PendingEvents(BTreeSet<ViewerEvent>);

/// The kinds of events. Pending events are sent in the order of the variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ViewerEvent {
    /// The viewer lost the keyboard and has got it back by now.
    LostKeyboard,
    /// The keyboard has another holder.
    Control,
    /// The satellite lost its link, or has it again.
    Link,
    /// The size has changed.
    Size,
    /// More of its input is confirmed.
    Applied,
    /// The viewer of this number requests the keyboard.
    Request(u32),
}

impl PendingEvents {
    /// Adds an event. Requests beyond the limit are dropped: the holder has enough to choose from.
    pub(super) fn note(&mut self, event: ViewerEvent) {
        let is_request = |event: &&ViewerEvent| matches!(event, ViewerEvent::Request(_));
        if !is_request(&&event) || self.0.iter().filter(is_request).count() < MAX_REQUESTS {
            self.0.insert(event);
        }
    }

    /// Takes the next event for a viewer that holds the keyboard now, or does not.
    pub(super) fn take(&mut self, has_keyboard: bool) -> Option<ViewerEvent> {
        // Without the keyboard, `Control` reports the loss, with the same offset.
        if !has_keyboard {
            self.0.remove(&ViewerEvent::LostKeyboard);
        }
        self.0.pop_first()
    }
}

/// One viewer that left and may return.
#[derive(Debug)]
struct Gone {
    id: ViewerId,
    number: u32,
    actor: Actor,
    /// As in [`Viewer`].
    lost_keyboard_at: Option<u64>,
    until: Duration,
}

/// One attachment of a viewer. It is valid until the viewer leaves or attaches again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttachmentId {
    pub(crate) viewer: ViewerId,
    number: u64,
}

/// All viewers of one session.
#[derive(Debug, Default)]
pub(super) struct Viewers {
    present: HashMap<ViewerId, Viewer>,
    gone: VecDeque<Gone>,
    last_number: u32,
    last_attachment: u64,
}

impl Viewers {
    /// Whether this actor has a viewer of this id that is attached or left a short time ago.
    pub(super) fn knows(&self, id: ViewerId, actor: &Actor) -> bool {
        self.is_same(id, actor) && (self.present.contains_key(&id) || self.gone.iter().any(|gone| gone.id == id))
    }

    /// Whether no other actor is known by this id.
    fn is_same(&self, id: ViewerId, actor: &Actor) -> bool {
        let known = self.actor(id);
        // Name and address are not compared: a user may be renamed or move to another network and is still the same.
        known.is_none_or(|known| known.kind == actor.kind && known.id == actor.id)
    }

    fn actor(&self, id: ViewerId) -> Option<&Actor> {
        let gone = || self.gone.iter().find(|gone| gone.id == id).map(|gone| &gone.actor);
        self.present.get(&id).map(|viewer| &viewer.actor).or_else(gone)
    }

    /// Adds a viewer. A known viewer keeps its number. Its earlier attachment is no longer valid.
    pub(super) fn join(&mut self, id: ViewerId, actor: Actor) -> (AttachmentId, &mut Viewer) {
        let number = self.number(id);
        // Kept over the absence: the viewer learns from it where its input ended.
        let lost_keyboard_at = self.gone.iter().find(|gone| gone.id == id).and_then(|gone| gone.lost_keyboard_at);
        self.gone.retain(|gone| gone.id != id);
        self.last_attachment += 1;
        let viewer = Viewer {
            number,
            actor,
            attachment: self.last_attachment,
            is_read_only: false,
            size: None,
            acked: 0,
            reported_applied: 0,
            lost_keyboard_at,
            pending: PendingEvents::default(),
        };
        let attachment = AttachmentId { viewer: id, number: self.last_attachment };
        (attachment, self.present.entry(id).insert_entry(viewer).into_mut())
    }

    fn number(&mut self, id: ViewerId) -> u32 {
        // Numbers are never used again: a grant must not reach a viewer that got the number of one that left.
        let gone = self.gone.iter().find(|gone| gone.id == id).map(|gone| gone.number);
        let known = self.present.get(&id).map(|viewer| viewer.number).or(gone);
        known.unwrap_or_else(|| {
            self.last_number += 1;
            self.last_number
        })
    }

    /// Removes a viewer, and remembers it until the deadline. Returns false if the attachment was replaced before.
    pub(super) fn leave(&mut self, id: AttachmentId, until: Duration) -> bool {
        // A viewer often attaches again before the loss of its old connection is noticed. The old attachment leaves later.
        if self.at(id).is_none() {
            return false;
        }
        if let Some(Viewer { number, actor, lost_keyboard_at, .. }) = self.present.remove(&id.viewer) {
            if self.gone.len() == MAX_GONE {
                // The viewer that left first: its time ends first as well.
                self.gone.pop_front();
            }
            self.gone.push_back(Gone { id: id.viewer, number, actor, lost_keyboard_at, until });
        }
        true
    }

    /// Notes that a viewer, attached or not, lost the keyboard, and that the input of others begins at `next`.
    pub(super) fn note_lost_keyboard(&mut self, id: ViewerId, next: u64) {
        if let Some(viewer) = self.present.get_mut(&id) {
            viewer.lost_keyboard_at = Some(next);
            viewer.pending.note(ViewerEvent::LostKeyboard);
        } else if let Some(gone) = self.gone.iter_mut().find(|gone| gone.id == id) {
            gone.lost_keyboard_at = Some(next);
        }
    }

    /// Forgets the viewers that did not return in time.
    pub(super) fn expire(&mut self, now: Duration) {
        self.gone.retain(|gone| gone.until > now);
    }

    /// Returns the viewer of an attachment, unless the attachment was replaced.
    pub(super) fn at(&mut self, id: AttachmentId) -> Option<&mut Viewer> {
        self.present.get_mut(&id.viewer).filter(|viewer| viewer.attachment == id.number)
    }

    pub(super) fn get(&mut self, id: ViewerId) -> Option<&mut Viewer> {
        self.present.get_mut(&id)
    }

    /// Returns the attached viewer of this number.
    pub(super) fn by_number(&self, number: u32) -> Option<(ViewerId, &Viewer)> {
        self.present.iter().find(|(_, viewer)| viewer.number == number).map(|(id, viewer)| (*id, viewer))
    }

    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Viewer> {
        self.present.values_mut()
    }

    /// Returns a viewer's name for people, as long as the viewer is known.
    pub(super) fn name(&self, id: ViewerId) -> Option<&str> {
        self.actor(id).map(|actor| actor.name.as_str())
    }

    pub(super) fn count(&self) -> usize {
        self.present.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hive_wire::id::Seed;

    const SOON: Duration = Duration::from_secs(30);

    fn viewer(n: u8) -> ViewerId {
        ViewerId::new(Seed { unix_millis: 1, random: [n; 10] })
    }

    fn anna() -> Actor {
        Actor { kind: "user".into(), id: "usr_anna".into(), name: "anna".into(), ip: None }
    }

    #[test]
    fn who_comes_back_keeps_their_number() {
        let mut viewers = Viewers::default();
        let (id, _) = viewers.join(viewer(1), anna());
        viewers.join(viewer(2), anna());
        assert!(viewers.leave(id, SOON));
        assert!(viewers.knows(viewer(1), &anna()));
        assert_eq!(viewers.join(viewer(1), anna()).1.number, 1);
        assert_eq!(viewers.join(viewer(3), anna()).1.number, 3);
    }

    #[test]
    fn who_comes_back_before_they_left_takes_their_own_place() {
        let mut viewers = Viewers::default();
        let (old, _) = viewers.join(viewer(1), anna());
        let (new, _) = viewers.join(viewer(1), anna());
        assert!(viewers.at(old).is_none() && viewers.at(new).is_some());
        assert!(!viewers.leave(old, SOON), "the old place is nobody's any more");
        assert_eq!(viewers.count(), 1);
    }

    #[test]
    fn somebody_else_is_not_taken_for_the_viewer() {
        let mut viewers = Viewers::default();
        viewers.join(viewer(1), anna());
        let bert = Actor { id: "usr_bert".into(), name: "bert".into(), ..anna() };
        assert!(!viewers.knows(viewer(1), &bert) && !viewers.knows(viewer(2), &anna()));
    }

    #[test]
    fn what_is_not_heard_does_not_pile_up() {
        let mut pending = PendingEvents::default();
        for by in 0..1000 {
            pending.note(ViewerEvent::Size);
            pending.note(ViewerEvent::Request(by));
        }
        let events: Vec<_> = std::iter::from_fn(|| pending.take(true)).collect();
        assert_eq!((events[0], events.len()), (ViewerEvent::Size, 1 + MAX_REQUESTS));
    }

    #[test]
    fn a_viewer_costs_less_than_a_kilobyte() {
        assert!(size_of::<(ViewerId, Viewer)>() + MAX_REQUESTS * size_of::<ViewerEvent>() < 1024);
    }

    #[test]
    fn a_keyboard_that_went_and_came_back_did_not_stay() {
        let events = |has_keyboard| {
            let mut pending = PendingEvents([ViewerEvent::Control, ViewerEvent::LostKeyboard].into());
            std::iter::from_fn(|| pending.take(has_keyboard)).collect::<Vec<_>>()
        };
        assert_eq!(events(true), [ViewerEvent::LostKeyboard, ViewerEvent::Control]);
        assert_eq!(events(false), [ViewerEvent::Control]);
    }

    #[test]
    fn who_stays_away_is_forgotten() {
        let mut viewers = Viewers::default();
        for n in 0..100 {
            let (id, _) = viewers.join(viewer(n), anna());
            viewers.leave(id, SOON);
        }
        assert_eq!(viewers.gone.len(), MAX_GONE);
        viewers.expire(SOON);
        assert!(viewers.gone.is_empty());
    }
}
