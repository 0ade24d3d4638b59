//! One session, shared by its task and the link: output, input, size, end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hive_wire::api::{SessionEnd, Size};
use hive_wire::frame::Frame;
use hive_wire::stream::{Sender, StreamError};
use hive_wire::{SessionId, Timestamp, ViewerId};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::input::InputQueue;
use super::output::{OutputPiece, OutputRing};
use super::timers::{SessionTimeouts, SessionTimers, TimeoutAction};
use super::window_size::WindowSize;

/// A session from its start until the server has acknowledged its end.
#[derive(Debug)]
pub(crate) struct AgentSession {
    pub(crate) id: SessionId,
    /// The process id of the program.
    pub(crate) pid: u32,
    pub(crate) since: Timestamp,
    state: Mutex<AgentSessionState>,
    /// The link has changed something that the session's task must handle.
    changed: Notify,
    stop: CancellationToken,
}

#[derive(Debug)]
struct AgentSessionState {
    output: OutputRing,
    input: InputQueue,
    timers: SessionTimers,
    screen: WindowSize,
    writer: Option<ViewerId>,
    end: Option<SessionEnd>,
}

/// Where a link resumes a session.
#[derive(Debug)]
pub(crate) struct ResumePoint {
    /// The offset at which output starts.
    pub(crate) output: u64,
    /// The offset at which input continues.
    pub(crate) input: u64,
    pub(crate) keep: Option<u64>,
    pub(crate) writer: Option<ViewerId>,
    pub(crate) size: Size,
}

impl AgentSession {
    pub(crate) fn new(id: SessionId, pid: u32, since: Timestamp, screen: WindowSize, limits: SessionTimeouts) -> Self {
        let state = AgentSessionState {
            output: OutputRing::new(),
            input: InputQueue::new(),
            timers: SessionTimers::new(limits, Instant::now()),
            screen,
            writer: None,
            end: None,
        };
        Self { id, pid, since, state: Mutex::new(state), changed: Notify::new(), stop: CancellationToken::new() }
    }

    fn state(&self) -> MutexGuard<'_, AgentSessionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Methods for the link.
impl AgentSession {
    /// Attaches a link, for a server that has `received` so much output.
    pub(crate) fn attach(&self, received: Option<u64>) -> ResumePoint {
        let mut state = self.state();
        // The claim of the earlier link is kept until this one states its own.
        state.timers.on_link_resumed();
        ResumePoint {
            output: state.output.resume_offset(received),
            input: state.input.received(),
            keep: state.output.keep(),
            writer: state.writer,
            size: state.screen.size(),
        }
    }

    /// Notes that the link is lost.
    pub(crate) fn on_link_lost(&self) {
        self.state().timers.on_link_lost(Instant::now());
        self.changed.notify_one();
    }

    /// Accepts input.
    pub(crate) fn accept_input(&self, frame: &Frame) -> Result<(), StreamError> {
        let mut state = self.state();
        if state.input.accept(frame)? {
            state.timers.on_activity(Instant::now());
            // Input that arrives after the end is acknowledged as received, and dropped.
            if state.end.is_some() {
                state.input.clear();
            }
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Sets the offset up to which output may be read, and the first byte that a claim needs.
    pub(crate) fn set_flow(&self, limit: u64, keep: Option<u64>) {
        let mut state = self.state();
        state.output.set_flow(limit, keep);
        state.timers.on_flow();
        self.changed.notify_one();
    }

    pub(crate) fn set_writer(&self, writer: Option<ViewerId>) {
        self.state().writer = writer;
    }

    pub(crate) fn resize(&self, size: Size, redraw: bool) {
        self.state().screen.resize(size, redraw);
        self.changed.notify_one();
    }

    /// Requests its end.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Takes the next chunk of output to send.
    pub(crate) fn next_output(&self, sender: &mut Sender) -> Option<OutputPiece> {
        self.state().output.next(sender)
    }

    /// The offset up to which input was written.
    pub(crate) fn applied(&self) -> u64 {
        self.state().input.applied()
    }

    /// The end of the session, once all output was sent up to `sent`.
    pub(crate) fn end_behind(&self, sent: u64) -> Option<SessionEnd> {
        let state = self.state();
        let is_all_sent = sent >= state.output.end();
        state.end.clone().filter(|_| is_all_sent)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.state().end.is_some()
    }
}

/// Methods for the session's task.
impl AgentSession {
    /// Waits until the link has changed something.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Waits until the end is requested.
    pub(super) async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// How many bytes may be read from the program now.
    pub(super) fn room(&self) -> u64 {
        self.state().output.room()
    }

    /// How many bytes may be read after the program has ended.
    pub(super) fn final_room(&self) -> u64 {
        self.state().output.final_room()
    }

    /// Stores output that was read.
    pub(crate) fn append_output(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.output.append(bytes);
        state.timers.on_activity(Instant::now());
    }

    /// Takes a size that is to be set now, and returns the input that follows it.
    pub(super) fn next_write(&self) -> (Option<Size>, Option<Bytes>) {
        let mut state = self.state();
        (state.screen.next(Instant::now()), state.input.next())
    }

    /// Notes that `len` bytes of input were written.
    pub(crate) fn apply(&self, len: usize) {
        self.state().input.apply(len);
    }

    /// Whether a timeout has ended the session. An expired claim is released on the way.
    pub(super) fn is_timed_out(&self) -> bool {
        let mut state = self.state();
        match state.timers.due(Instant::now()) {
            Some(TimeoutAction::EndSession) => return true,
            Some(TimeoutAction::ReleaseOutput) => {
                state.output.release();
                state.timers.on_release();
            }
            None => {}
        }
        false
    }

    /// When to check sizes and timeouts again.
    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        let state = self.state();
        [state.timers.next(), state.screen.next_at()].into_iter().flatten().min()
    }

    /// Sets the end. No more output is read after this.
    pub(crate) fn set_end(&self, end: SessionEnd) {
        let mut state = self.state();
        state.input.clear();
        state.end = Some(end);
    }
}
