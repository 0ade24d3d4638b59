//! Who looks at a terminal, and what each is still to be told.
//!
//! Nothing queues here: what a viewer has not heard yet is kept as the latest state, so that one who never reads costs as
//! much as one who does.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use hive_wire::ViewerId;
use hive_wire::api::{Actor, Size};

/// Viewers that left and are remembered, so that they are the same when they come back.
const MAX_GONE: usize = 64;
/// Viewers whose wish for the keyboard one is told of, before it has heard of any.
const MAX_REQUESTS: usize = 16;

/// One viewer that is there.
#[derive(Debug)]
pub(super) struct Viewer {
    /// Its name within the session.
    pub(super) number: u32,
    /// Who it is.
    pub(super) actor: Actor,
    /// Tells this attachment from an earlier one of the same viewer.
    seat: u64,
    pub(super) is_read_only: bool,
    /// The size of its screen.
    pub(super) size: Option<Size>,
    /// Everything before it is on its screen.
    pub(super) acked: u64,
    /// Everything before it of the input is typed, as it was told.
    pub(super) told_applied: u64,
    /// Where the input of others began when the keyboard was taken from it.
    pub(super) lost_keyboard_at: Option<u64>,
    pub(super) notices: Notices,
}

/// What a viewer is still to be told: each thing once, as it is when it is told.
#[derive(Debug, Default)]
pub(super) struct Notices(BTreeSet<Notice>);

/// One thing to tell a viewer, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Notice {
    /// That the keyboard was taken from it, where it has it again by now.
    LostKeyboard,
    /// Who has the keyboard.
    Control,
    /// Whether the satellite has a link.
    Link,
    /// The terminal's size.
    Size,
    /// How much of what it typed is typed.
    Applied,
    /// That the viewer of this number asks for its keyboard.
    Request(u32),
}

impl Notices {
    /// Notes something to tell. A request too many is not told: who decides has enough to choose from.
    pub(super) fn note(&mut self, notice: Notice) {
        let is_request = |notice: &&Notice| matches!(notice, Notice::Request(_));
        if !is_request(&&notice) || self.0.iter().filter(is_request).count() < MAX_REQUESTS {
            self.0.insert(notice);
        }
    }

    /// Takes the next thing to tell a viewer that has the keyboard now, or has not.
    pub(super) fn take(&mut self, has_keyboard: bool) -> Option<Notice> {
        if !has_keyboard {
            self.0.remove(&Notice::LostKeyboard);
        }
        self.0.pop_first()
    }
}

/// One viewer that left.
#[derive(Debug)]
struct Gone {
    id: ViewerId,
    number: u32,
    actor: Actor,
    /// As of one who is there.
    lost_keyboard_at: Option<u64>,
    until: Duration,
}

/// One place at a terminal: dropped when the viewer leaves it, or replaced when it comes back elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) viewer: ViewerId,
    seat: u64,
}

/// All viewers of one terminal.
#[derive(Debug, Default)]
pub(super) struct Viewers {
    present: HashMap<ViewerId, Viewer>,
    gone: VecDeque<Gone>,
    last_number: u32,
    last_seat: u64,
}

impl Viewers {
    /// Whether this is somebody who is there, or was a moment ago.
    pub(super) fn knows(&self, id: ViewerId, actor: &Actor) -> bool {
        self.is_same(id, actor) && (self.present.contains_key(&id) || self.gone.iter().any(|gone| gone.id == id))
    }

    /// Whether nobody else is known by this id.
    fn is_same(&self, id: ViewerId, actor: &Actor) -> bool {
        let known = self.actor(id);
        known.is_none_or(|known| known.kind == actor.kind && known.id == actor.id)
    }

    fn actor(&self, id: ViewerId) -> Option<&Actor> {
        let gone = || self.gone.iter().find(|gone| gone.id == id).map(|gone| &gone.actor);
        self.present.get(&id).map(|viewer| &viewer.actor).or_else(gone)
    }

    /// Lets a viewer in. One that was known keeps its number, and its earlier place is taken from it.
    pub(super) fn join(&mut self, id: ViewerId, actor: Actor) -> (Seat, &mut Viewer) {
        let number = self.number(id);
        let lost_keyboard_at = self.gone.iter().find(|gone| gone.id == id).and_then(|gone| gone.lost_keyboard_at);
        self.gone.retain(|gone| gone.id != id);
        self.last_seat += 1;
        let viewer = Viewer {
            number,
            actor,
            seat: self.last_seat,
            is_read_only: false,
            size: None,
            acked: 0,
            told_applied: 0,
            lost_keyboard_at,
            notices: Notices::default(),
        };
        let seat = Seat { viewer: id, seat: self.last_seat };
        (seat, self.present.entry(id).insert_entry(viewer).into_mut())
    }

    fn number(&mut self, id: ViewerId) -> u32 {
        let gone = self.gone.iter().find(|gone| gone.id == id).map(|gone| gone.number);
        let known = self.present.get(&id).map(|viewer| viewer.number).or(gone);
        known.unwrap_or_else(|| {
            self.last_number += 1;
            self.last_number
        })
    }

    /// Lets a viewer out, and remembers it until then. False where it had lost its place before.
    pub(super) fn leave(&mut self, seat: Seat, until: Duration) -> bool {
        if self.at(seat).is_none() {
            return false;
        }
        if let Some(Viewer { number, actor, lost_keyboard_at, .. }) = self.present.remove(&seat.viewer) {
            if self.gone.len() == MAX_GONE {
                self.gone.pop_front();
            }
            self.gone.push_back(Gone { id: seat.viewer, number, actor, lost_keyboard_at, until });
        }
        true
    }

    /// Notes that the keyboard was taken from a viewer, there or not, and that others' input begins at `next`.
    pub(super) fn note_lost_keyboard(&mut self, id: ViewerId, next: u64) {
        if let Some(viewer) = self.present.get_mut(&id) {
            viewer.lost_keyboard_at = Some(next);
            viewer.notices.note(Notice::LostKeyboard);
        } else if let Some(gone) = self.gone.iter_mut().find(|gone| gone.id == id) {
            gone.lost_keyboard_at = Some(next);
        }
    }

    /// Forgets those who stayed away.
    pub(super) fn expire(&mut self, now: Duration) {
        self.gone.retain(|gone| gone.until > now);
    }

    /// Returns who sits there, unless the place was taken from it.
    pub(super) fn at(&mut self, seat: Seat) -> Option<&mut Viewer> {
        self.present.get_mut(&seat.viewer).filter(|viewer| viewer.seat == seat.seat)
    }

    pub(super) fn get(&mut self, id: ViewerId) -> Option<&mut Viewer> {
        self.present.get_mut(&id)
    }

    /// Returns the viewer of this number that is there.
    pub(super) fn by_number(&self, number: u32) -> Option<(ViewerId, &Viewer)> {
        self.present.iter().find(|(_, viewer)| viewer.number == number).map(|(id, viewer)| (*id, viewer))
    }

    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Viewer> {
        self.present.values_mut()
    }

    /// Returns a viewer's name for people, for as long as it is remembered.
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
        let (seat, _) = viewers.join(viewer(1), anna());
        viewers.join(viewer(2), anna());
        assert!(viewers.leave(seat, SOON));
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
        let mut notices = Notices::default();
        for by in 0..1000 {
            notices.note(Notice::Size);
            notices.note(Notice::Request(by));
        }
        let told: Vec<_> = std::iter::from_fn(|| notices.take(true)).collect();
        assert_eq!((told[0], told.len()), (Notice::Size, 1 + MAX_REQUESTS));
    }

    #[test]
    fn a_viewer_costs_less_than_a_kilobyte() {
        assert!(size_of::<(ViewerId, Viewer)>() + MAX_REQUESTS * size_of::<Notice>() < 1024);
    }

    #[test]
    fn a_keyboard_that_went_and_came_back_did_not_stay() {
        let told = |has_keyboard| {
            let mut notices = Notices([Notice::Control, Notice::LostKeyboard].into());
            std::iter::from_fn(|| notices.take(has_keyboard)).collect::<Vec<_>>()
        };
        assert_eq!(told(true), [Notice::LostKeyboard, Notice::Control]);
        assert_eq!(told(false), [Notice::Control]);
    }

    #[test]
    fn who_stays_away_is_forgotten() {
        let mut viewers = Viewers::default();
        for n in 0..100 {
            let (seat, _) = viewers.join(viewer(n), anna());
            viewers.leave(seat, SOON);
        }
        assert_eq!(viewers.gone.len(), MAX_GONE);
        viewers.expire(SOON);
        assert!(viewers.gone.is_empty());
    }
}
