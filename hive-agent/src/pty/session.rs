//! One terminal, as its own task and the link share it: what it said and was told, how large it is, whether it has ended.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hive_wire::api::{SessionEnd, Size};
use hive_wire::frame::Frame;
use hive_wire::stream::{Sender, StreamError};
use hive_wire::{SessionId, Timestamp, ViewerId};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::input::Input;
use super::output::{Output, Piece};
use super::timers::{Due, Limits, Patience};
use super::window_size::Screen;

/// A terminal, from its start until the server knows of its end.
#[derive(Debug)]
pub(crate) struct Terminal {
    pub(crate) id: SessionId,
    /// The program's process.
    pub(crate) pid: u32,
    pub(crate) since: Timestamp,
    state: Mutex<State>,
    /// The link has left something for the terminal's task to do.
    news: Notify,
    stop: CancellationToken,
}

#[derive(Debug)]
struct State {
    output: Output,
    input: Input,
    patience: Patience,
    screen: Screen,
    writer: Option<ViewerId>,
    end: Option<SessionEnd>,
}

/// How things stand when a link goes on with a terminal.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Where its output begins.
    pub(crate) output: u64,
    /// Where its input goes on.
    pub(crate) input: u64,
    pub(crate) keep: Option<u64>,
    pub(crate) writer: Option<ViewerId>,
    pub(crate) size: Size,
}

impl Terminal {
    pub(crate) fn new(id: SessionId, pid: u32, since: Timestamp, screen: Screen, limits: Limits) -> Self {
        let state = State {
            output: Output::new(),
            input: Input::new(),
            patience: Patience::new(limits, Instant::now()),
            screen,
            writer: None,
            end: None,
        };
        Self { id, pid, since, state: Mutex::new(state), news: Notify::new(), stop: CancellationToken::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the link asks and says.
impl Terminal {
    /// A link goes on with it, for a server that has `received` so much of its output.
    pub(crate) fn attach(&self, received: Option<u64>) -> Standing {
        let mut state = self.state();
        state.patience.on_return();
        Standing {
            output: state.output.begin_at(received),
            input: state.input.received(),
            keep: state.output.keep(),
            writer: state.writer,
            size: state.screen.size(),
        }
    }

    /// The link is gone.
    pub(crate) fn leave(&self) {
        self.state().patience.on_leave(Instant::now());
        self.news.notify_one();
    }

    /// Takes what was typed.
    pub(crate) fn type_in(&self, frame: &Frame) -> Result<(), StreamError> {
        let mut state = self.state();
        if state.input.accept(frame)? {
            state.patience.on_use(Instant::now());
            if state.end.is_some() {
                state.input.give_up();
            }
            self.news.notify_one();
        }
        Ok(())
    }

    /// Takes the server's word on how far output may go, and on what somebody still needs.
    pub(crate) fn set_flow(&self, limit: u64, keep: Option<u64>) {
        let mut state = self.state();
        state.output.set_flow(limit, keep);
        state.patience.on_flow();
        self.news.notify_one();
    }

    pub(crate) fn set_writer(&self, writer: Option<ViewerId>) {
        self.state().writer = writer;
    }

    pub(crate) fn resize(&self, size: Size, redraw: bool) {
        self.state().screen.resize(size, redraw);
        self.news.notify_one();
    }

    /// Asks for its end.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Takes the next piece of output to be sent.
    pub(crate) fn next_piece(&self, sender: &mut Sender) -> Option<Piece> {
        self.state().output.next(sender)
    }

    /// Everything before this offset of the input was given to it.
    pub(crate) fn applied(&self) -> u64 {
        self.state().input.applied()
    }

    /// How it ended, once all of its output before that is at `sent`.
    pub(crate) fn end_behind(&self, sent: u64) -> Option<SessionEnd> {
        let state = self.state();
        let is_all_sent = sent >= state.output.end();
        state.end.clone().filter(|_| is_all_sent)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state().end.is_some()
    }
}

/// What its own task asks and says.
impl Terminal {
    /// Waits until the link has left something to do.
    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Waits until somebody asks for its end.
    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// How many bytes may be read from the program now.
    pub(super) fn room(&self) -> u64 {
        self.state().output.room()
    }

    /// How many bytes may be read from the program that is gone.
    pub(super) fn last_room(&self) -> u64 {
        self.state().output.last_room()
    }

    /// Keeps what was read.
    pub(crate) fn keep(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.output.append(bytes);
        state.patience.on_use(Instant::now());
    }

    /// Takes a size the program is to see now, and shows what is to be typed behind it.
    pub(super) fn next_turn(&self) -> (Option<Size>, Option<Bytes>) {
        let mut state = self.state();
        (state.screen.next(Instant::now()), state.input.next())
    }

    /// So many of them were typed.
    pub(crate) fn apply(&self, len: usize) {
        self.state().input.apply(len);
    }

    /// Whether it has waited for too long. Output that nobody has come back for is released on the way.
    pub(super) fn has_run_out(&self) -> bool {
        let mut state = self.state();
        match state.patience.due(Instant::now()) {
            Some(Due::End) => return true,
            Some(Due::Release) => {
                state.output.release();
                state.patience.on_release();
            }
            None => {}
        }
        false
    }

    /// When to look again at sizes and patience.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let state = self.state();
        [state.patience.next(), state.screen.next_at()].into_iter().flatten().min()
    }

    /// It has ended like this, and nothing more is read.
    pub(crate) fn set_end(&self, end: SessionEnd) {
        let mut state = self.state();
        state.input.give_up();
        state.end = Some(end);
    }
}
