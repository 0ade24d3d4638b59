//! One terminal in this process: its output, its input, who looks at it, and the satellite's link to it.
//!
//! There is no task here. The satellite's messages and the viewers' calls change the state under one short lock, and whoever
//! waits is woken: a keystroke and its echo pass without a task between the two sockets. What is sent to the satellite goes
//! into its link's channel, which never waits.

mod admission;
mod from_satellite;
mod to_satellite;
mod viewer;

use std::sync::Mutex;
use std::time::Duration;

use hive_wire::api::{SessionEnd, SessionStatus, Size};
use hive_wire::frame::StreamId;
use hive_wire::session::{Control, INPUT_WINDOW, SCROLLBACK};
use hive_wire::stream::{Receiver, Ring};
use hive_wire::{SatelliteId, SessionId, ViewerId};
use tokio::sync::watch;

use super::flow::{ClaimTimeouts, Flow};
use super::input_buffer::InputBuffer;
use super::keyboard::{InputLease, Keyboard};
use super::modes::ModeCheckpoints;
use super::viewers::{ViewerEvent, Viewers};
use crate::links::LinkHandle;
use crate::store::SessionRow;
use crate::sync::lock;

pub(crate) use admission::{Admission, ViewerIdentity};
pub(crate) use from_satellite::Started;
pub(crate) use viewer::Next;

/// Output that one who comes without any gets: more than a screen of it.
const TAIL: u64 = 64 * 1024;
/// How long an ended terminal stays for viewers that were cut off at that moment.
const ENDED_STAY: Duration = Duration::from_mins(1);
/// Input that was typed before who types it is told at once; less is told with the next tick.
const WORTH_TELLING: u64 = INPUT_WINDOW / 4;

/// One terminal.
pub(crate) struct LiveSession {
    pub(crate) id: SessionId,
    pub(crate) satellite: SatelliteId,
    /// Wakes everybody who looks at it, or waits for it to begin or to end.
    changes: watch::Sender<()>,
    /// How much of the input is typed, for those who wait for that.
    applied: watch::Sender<u64>,
    state: Mutex<LiveState>,
}

/// How a terminal stands, for those who wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SessionState {
    /// Its satellite has not said anything of it to this process yet.
    Unknown,
    /// It can be used; now, where its satellite has a link.
    Open { is_online: bool },
    /// It has ended.
    Ended(SessionEnd),
    /// The hive stops.
    Closed,
}

/// What is to be done about a terminal after a tick.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tick {
    /// It ended a while ago, and those who were cut off then have had their time.
    pub(crate) is_over: bool,
    /// The size to be stored.
    pub(crate) size: Option<Size>,
}

struct LiveState {
    id: SessionId,
    timeouts: ClaimTimeouts,
    phase: Phase,
    /// Whether this process knows the terminal's offsets: from its beginning, or by its satellite's word.
    is_known: bool,
    /// Whether the store has it as open.
    is_open: bool,
    ring: Ring,
    checkpoints: ModeCheckpoints,
    flow: Flow,
    input: InputBuffer,
    keyboard: Keyboard,
    viewers: Viewers,
    size: Size,
    stored_size: Size,
    redraw: Redraw,
    end: Option<(SessionEnd, Duration)>,
    is_closed: bool,
}

/// How a terminal is reached.
enum Phase {
    /// Its satellite was not asked to open it yet.
    New,
    /// Its satellite has no link, since then.
    Away(Duration),
    /// Its satellite was asked to open it or to go on with it, and has not answered.
    Asked(LinkHandle),
    /// It is there.
    Linked(Linked),
}

/// A terminal's part of its satellite's link.
struct Linked {
    link: LinkHandle,
    stream: StreamId,
    receiver: Receiver,
    told_size: Size,
    told_writer: Option<ViewerId>,
    unanswered: u32,
}

/// Whether the program is to draw its screen anew, and when it may be asked again.
#[derive(Default)]
struct Redraw {
    is_wanted: bool,
    not_before: Duration,
}

impl LiveSession {
    /// A terminal about to be opened.
    pub(crate) fn new(id: SessionId, satellite: SatelliteId, size: Size, timeouts: ClaimTimeouts) -> Self {
        Self::with(id, satellite, LiveState::new(id, size, timeouts))
    }

    /// A terminal that was opened before this process began, and whose satellite has no link since `now`.
    pub(crate) fn stored(row: &SessionRow, timeouts: ClaimTimeouts, now: Duration) -> Self {
        let is_open = row.status == SessionStatus::Open;
        let state = LiveState::new(row.id, row.size, timeouts);
        Self::with(row.id, row.satellite_id, LiveState { phase: Phase::Away(now), is_known: false, is_open, ..state })
    }

    fn with(id: SessionId, satellite: SatelliteId, state: LiveState) -> Self {
        Self {
            id,
            satellite,
            changes: watch::Sender::new(()),
            applied: watch::Sender::new(0),
            state: Mutex::new(state),
        }
    }

    /// Returns how it stands.
    pub(crate) fn state(&self) -> SessionState {
        self.read(|state| match &state.end {
            Some((end, _)) => SessionState::Ended(end.clone()),
            None if state.is_closed => SessionState::Closed,
            None if state.is_known && state.is_open => SessionState::Open { is_online: state.is_linked() },
            None => SessionState::Unknown,
        })
    }

    /// Waits until it stands as wanted.
    pub(crate) async fn wait_for(&self, is_wanted: impl Fn(&SessionState) -> bool) -> SessionState {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let state = self.state();
            if is_wanted(&state) || state == SessionState::Closed || changes.changed().await.is_err() {
                return state;
            }
        }
    }

    /// Whether this process has heard nothing of it yet, and did not open it.
    pub(crate) fn is_unheard_of(&self) -> bool {
        self.read(|state| !state.is_known)
    }

    /// Returns its size and how many look at it.
    pub(crate) fn overview(&self) -> (Size, u32) {
        self.read(|state| (state.size, state.viewers.count() as u32))
    }

    /// Returns how many bytes of output there were, as far as this process knows.
    pub(crate) fn output(&self) -> Option<u64> {
        self.read(|state| state.is_known.then(|| state.ring.end()))
    }

    /// Since when its satellite has no link; `None` while it has one.
    pub(crate) fn away_since(&self) -> Option<Duration> {
        self.read(|state| match state.phase {
            Phase::Away(since) => Some(since),
            _ => None,
        })
    }

    /// Gives it its end. Its viewers read what is left, and are told then.
    pub(crate) fn end(&self, now: Duration, end: SessionEnd) {
        self.change(|state| {
            state.end.get_or_insert((end, now));
        });
    }

    /// Ends all attachments: the hive stops.
    pub(crate) fn close(&self) {
        self.change(|state| state.is_closed = true);
    }

    /// Does what is due, now and then.
    pub(crate) fn tick(&self, now: Duration) -> Tick {
        let (tick, has_news) = self.read(|state| state.tick(now));
        if has_news {
            self.changes.send_replace(());
        }
        tick
    }

    /// Changes the state and wakes who waits.
    fn change<T>(&self, work: impl FnOnce(&mut LiveState) -> T) -> T {
        let result = self.read(work);
        self.changes.send_replace(());
        result
    }

    /// Works on the state without waking anybody.
    fn read<T>(&self, work: impl FnOnce(&mut LiveState) -> T) -> T {
        work(&mut lock(&self.state))
    }
}

impl LiveState {
    fn new(id: SessionId, size: Size, timeouts: ClaimTimeouts) -> Self {
        Self {
            id,
            timeouts,
            phase: Phase::New,
            is_known: true,
            is_open: false,
            ring: Ring::starting_at(0, SCROLLBACK),
            checkpoints: ModeCheckpoints::starting_at(0, 2 * TAIL),
            flow: Flow::new(0, timeouts),
            input: InputBuffer::default(),
            keyboard: Keyboard::default(),
            viewers: Viewers::default(),
            size,
            stored_size: size,
            redraw: Redraw::default(),
            end: None,
            is_closed: false,
        }
    }

    fn set_size(&mut self, now: Duration, size: Size) {
        if size != self.size {
            self.size = size;
            self.tell_all(ViewerEvent::Size);
            self.settle(now, false);
        }
    }

    /// Changes who has the keyboard, and what follows from that: the claim, the size, and what everybody is told.
    fn hand_over(&mut self, now: Duration, change: impl FnOnce(&mut Keyboard, u64)) {
        let (before, writer_before) = (self.keyboard.holder(), self.keyboard.writer());
        change(&mut self.keyboard, self.input.received());
        let (after, writer) = (self.keyboard.holder(), self.keyboard.writer());
        if before == after {
            return;
        }
        if let Some(old) = writer_before.filter(|old| writer != Some(*old)) {
            self.flow.drop_claim(old);
            self.viewers.note_lost_keyboard(old, self.input.received());
        }
        self.tell_all(ViewerEvent::Control);
        match after {
            InputLease::Viewer(viewer) => self.claim_for_writer(now, viewer),
            InputLease::CutOff(viewer, _) => self.flow.cut_off(now, viewer),
            InputLease::Nobody => {}
        }
        self.settle(now, false);
        self.tell_flow();
    }

    fn claim_for_writer(&mut self, now: Duration, writer: ViewerId) {
        let Some(viewer) = self.viewers.get(writer) else { return };
        let (acked, size) = (viewer.acked, viewer.size);
        self.flow.claim(now, writer, acked.max(self.ring.start()));
        if let Some(size) = size {
            self.set_size(now, size);
        }
    }

    fn tick(&mut self, now: Duration) -> (Tick, bool) {
        let is_over = self.end.as_ref().is_some_and(|(_, at)| now >= *at + ENDED_STAY);
        self.viewers.expire(now);
        let is_writer_gone = matches!(self.keyboard.holder(), InputLease::CutOff(_, until) if now >= until);
        self.hand_over(now, |keyboard, next| keyboard.expire(now, next));
        if self.flow.expire(now) {
            self.tell_flow();
        }
        if let Some(linked) = self.linked() {
            linked.unanswered = 0;
        }
        self.settle(now, false);
        let size = (self.is_open && self.end.is_none() && self.size != self.stored_size).then_some(self.size);
        self.stored_size = size.unwrap_or(self.stored_size);
        (Tick { is_over, size }, self.note_applied(1) || is_writer_gone)
    }

    /// Notes that who types is to be told how much of it was typed, where it is at least so much. Says whether it is.
    fn note_applied(&mut self, least: u64) -> bool {
        let applied = self.input.applied();
        let Some(viewer) = self.keyboard.writer().and_then(|writer| self.viewers.get(writer)) else { return false };
        let is_worth_telling = applied >= viewer.told_applied + least;
        if is_worth_telling {
            viewer.pending.note(ViewerEvent::Applied);
        }
        is_worth_telling
    }

    /// Returns who has the keyboard, as one viewer is told: where it types next, or where it stopped.
    fn control(&mut self, viewer: ViewerId) -> Control {
        let (is_mine, received) = (self.keyboard.is_held_by(viewer), self.input.received());
        let lost_at = self.viewers.get(viewer).and_then(|viewer| viewer.lost_keyboard_at);
        let holder = self.keyboard.writer().map(|writer| self.viewers.name(writer).unwrap_or("somebody"));
        Control { is_mine, input: lost_at.filter(|_| !is_mine).unwrap_or(received), holder: holder.map(str::to_owned) }
    }

    fn tell_all(&mut self, notice: ViewerEvent) {
        self.viewers.all().for_each(|viewer| viewer.pending.note(notice));
    }

    fn is_linked(&self) -> bool {
        matches!(self.phase, Phase::Linked(_))
    }
}

impl std::fmt::Debug for LiveSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveSession").field("id", &self.id).finish_non_exhaustive()
    }
}
