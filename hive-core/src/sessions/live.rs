//! One session of this process: its output, its input, its viewers, and the link of its satellite.
//!
//! A session has no task. Messages of the satellite and calls of viewers change its state under one short lock, and then wake
//! the waiters. A keystroke and its echo therefore pass no task between the two sockets. Messages to the satellite go into
//! the channel of its link, which never blocks.

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

/// Output that a new viewer gets: more than one screen.
const TAIL: u64 = 64 * 1024;
/// How long an ended session stays in memory, for viewers that were disconnected when it ended and read the rest.
const ENDED_STAY: Duration = Duration::from_mins(1);
/// Confirmed input that is reported to the writer at once. Less is reported with the next tick. A quarter of the window: a
/// viewer that pastes gets room before its window is full.
const REPORT_STEP: u64 = INPUT_WINDOW / 4;

/// One session.
pub(crate) struct LiveSession {
    pub(crate) id: SessionId,
    pub(crate) satellite: SatelliteId,
    /// Wakes the viewers, and the callers that wait for the start or the end.
    changes: watch::Sender<()>,
    /// The offset of the confirmed input, for callers that wait for it.
    applied: watch::Sender<u64>,
    state: Mutex<LiveState>,
}

/// The state of a session, for callers that wait for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SessionState {
    /// Its satellite has not reported it to this process yet.
    Unknown,
    /// Its program runs. It can be used now if its satellite has a link to it.
    Open { is_online: bool },
    /// It has ended.
    Ended(SessionEnd),
    /// The hive stops.
    Closed,
}

/// The work that is due after a tick.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tick {
    /// The session ended more than [`ENDED_STAY`] ago and is to be removed.
    pub(crate) is_over: bool,
    /// The size to be stored.
    pub(crate) size: Option<Size>,
}

struct LiveState {
    id: SessionId,
    timeouts: ClaimTimeouts,
    phase: Phase,
    /// Whether this process knows the offsets of the session: it opened the session, or the satellite has reported them.
    is_known: bool,
    /// Whether it is open in the store.
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

/// The connection of a session to its satellite.
enum Phase {
    /// The satellite was not asked to open it yet.
    New,
    /// The satellite has no link since this time.
    Away(Duration),
    /// The satellite was asked over this link to open or to resume it, and has not answered.
    Asked(LinkHandle),
    /// The satellite has opened or resumed it over a link.
    Linked(Linked),
}

/// A session's part of its satellite's link.
struct Linked {
    link: LinkHandle,
    stream: StreamId,
    receiver: Receiver,
    /// The size that the satellite knows.
    told_size: Size,
    /// The writer that the satellite knows.
    told_writer: Option<ViewerId>,
    /// Messages about size and writer since the satellite last sent something about this session.
    unanswered: u32,
}

/// Whether the program is to redraw its screen, and when it may be asked again.
#[derive(Default)]
struct Redraw {
    is_wanted: bool,
    not_before: Duration,
}

impl LiveSession {
    /// A session that is about to be opened.
    pub(crate) fn new(id: SessionId, satellite: SatelliteId, size: Size, timeouts: ClaimTimeouts) -> Self {
        Self::with(id, satellite, LiveState::new(id, size, timeouts))
    }

    /// A session that was opened before this process started. Its satellite counts as away since `now`.
    pub(crate) fn stored(row: &SessionRow, timeouts: ClaimTimeouts, now: Duration) -> Self {
        // A session that was being opened when the process ended is stored as starting. It opens with the satellite's report.
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

    /// Returns its state.
    pub(crate) fn state(&self) -> SessionState {
        self.read(|state| match &state.end {
            // The end goes first: a caller that waits for it still gets it while the hive stops.
            Some((end, _)) => SessionState::Ended(end.clone()),
            None if state.is_closed => SessionState::Closed,
            // Open in the store too: the caller that opens a session reads its row next.
            None if state.is_known && state.is_open => SessionState::Open { is_online: state.is_linked() },
            None => SessionState::Unknown,
        })
    }

    /// Waits for a state, and returns it. Returns `Closed` when the hive stops.
    pub(crate) async fn wait_for(&self, is_wanted: impl Fn(&SessionState) -> bool) -> SessionState {
        let mut changes = self.changes.subscribe();
        loop {
            // Before the state is read: a change after the read then wakes this loop again.
            changes.mark_unchanged();
            let state = self.state();
            if is_wanted(&state) || state == SessionState::Closed || changes.changed().await.is_err() {
                return state;
            }
        }
    }

    /// Whether this process did not open it and has no report about it yet.
    pub(crate) fn is_unheard_of(&self) -> bool {
        self.read(|state| !state.is_known)
    }

    /// Returns its size and the number of its viewers.
    pub(crate) fn overview(&self) -> (Size, u32) {
        self.read(|state| (state.size, state.viewers.count() as u32))
    }

    /// Returns the number of bytes of output since its start; `None` if this process does not know its offsets.
    pub(crate) fn output(&self) -> Option<u64> {
        self.read(|state| state.is_known.then(|| state.ring.end()))
    }

    /// Returns since when its satellite has no link; `None` while it has one.
    pub(crate) fn away_since(&self) -> Option<Duration> {
        self.read(|state| match state.phase {
            Phase::Away(since) => Some(since),
            // `New` is about to be asked for or to fail. `Asked` becomes `Away` when its link ends.
            _ => None,
        })
    }

    /// Ends it. Its viewers get the remaining output, and then the end.
    pub(crate) fn end(&self, now: Duration, end: SessionEnd) {
        self.change(|state| {
            // The first end counts, as in the store: the program may exit while it is being terminated.
            state.end.get_or_insert((end, now));
        });
    }

    /// Ends all attachments because the hive stops.
    pub(crate) fn close(&self) {
        self.change(|state| state.is_closed = true);
    }

    /// Handles expired timeouts, and returns the work that is due.
    pub(crate) fn tick(&self, now: Duration) -> Tick {
        let (tick, has_news) = self.read(|state| state.tick(now));
        // An idle session must not wake all its viewers with every tick.
        if has_news {
            self.changes.send_replace(());
        }
        tick
    }

    /// Changes the state and wakes the waiters.
    fn change<T>(&self, work: impl FnOnce(&mut LiveState) -> T) -> T {
        let result = self.read(work);
        // After the lock is released, so that the woken tasks do not wait for it. `send` would fail without a receiver.
        self.changes.send_replace(());
        result
    }

    /// Accesses the state without waking the waiters.
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
            // Modes are looked up only where a tail begins, which is at most TAIL behind the end.
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
            self.send_pending(now, false);
        }
    }

    /// Changes the holder of the keyboard, and what depends on it: the claim, the size, and the events of the viewers.
    fn hand_over(&mut self, now: Duration, change: impl FnOnce(&mut Keyboard, u64)) {
        let (before, writer_before) = (self.keyboard.holder(), self.keyboard.writer());
        change(&mut self.keyboard, self.input.received());
        let (after, writer) = (self.keyboard.holder(), self.keyboard.writer());
        if before == after {
            return;
        }
        // A writer that is cut off, or that returns, is the same writer: it keeps its claim and its position in the input.
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
        self.send_pending(now, false);
        self.tell_flow();
    }

    fn claim_for_writer(&mut self, now: Duration, writer: ViewerId) {
        let Some(viewer) = self.viewers.get(writer) else { return };
        let (acked, size) = (viewer.acked, viewer.size);
        // Bytes before the ring cannot be delivered any more, so the satellite need not keep them either.
        self.flow.claim(now, writer, acked.max(self.ring.start()));
        if let Some(size) = size {
            self.set_size(now, size);
        }
    }

    fn tick(&mut self, now: Duration) -> (Tick, bool) {
        let is_over = self.end.as_ref().is_some_and(|(_, at)| now >= *at + ENDED_STAY);
        self.viewers.expire(now);
        // Read before the lease expires: afterwards the holder does not show that it has changed.
        let is_writer_gone = matches!(self.keyboard.holder(), InputLease::CutOff(_, until) if now >= until);
        self.hand_over(now, |keyboard, next| keyboard.expire(now, next));
        if self.flow.expire(now) {
            self.tell_flow();
        }
        if let Some(linked) = self.linked() {
            // A resize has no answer of its own, and a quiet program sends nothing else that would count as one. As many
            // messages with each tick cannot fill the link.
            linked.unanswered = 0;
        }
        self.send_pending(now, false);
        // Sizes are stored with a tick and not with each message: a window that is dragged sends dozens a second.
        let size = (self.is_open && self.end.is_none() && self.size != self.stored_size).then_some(self.size);
        // It counts as stored even if the write fails. A size is no reason to retry, and the next change is written again.
        self.stored_size = size.unwrap_or(self.stored_size);
        (Tick { is_over, size }, self.note_applied(1) || is_writer_gone)
    }

    /// Adds an event for the writer if at least `least` more bytes of input are confirmed. Returns whether it did.
    fn note_applied(&mut self, least: u64) -> bool {
        let applied = self.input.applied();
        let Some(viewer) = self.keyboard.writer().and_then(|writer| self.viewers.get(writer)) else { return false };
        let is_worth_reporting = applied >= viewer.reported_applied + least;
        if is_worth_reporting {
            viewer.pending.note(ViewerEvent::Applied);
        }
        is_worth_reporting
    }

    /// Returns the holder of the keyboard for one viewer, and the offset where that viewer types next, or where its input
    /// ended.
    fn control(&mut self, viewer: ViewerId) -> Control {
        let (is_mine, received) = (self.keyboard.is_held_by(viewer), self.input.received());
        let lost_at = self.viewers.get(viewer).and_then(|viewer| viewer.lost_keyboard_at);
        // After a restart, the satellite reports the id of the writer but not its name.
        let holder = self.keyboard.writer().map(|writer| self.viewers.name(writer).unwrap_or("somebody"));
        Control { is_mine, input: lost_at.filter(|_| !is_mine).unwrap_or(received), holder: holder.map(str::to_owned) }
    }

    /// Adds an event for all viewers. The caller wakes them.
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
