//! The task that owns a terminal: it carries out requests and passes events on, one at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hive_core::terminal;
use hive_core::wire::api;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use crate::HiveError;
use crate::records::{Session, TerminalEvent};

/// How often to check whether the terminal has room for more input.
const ROOM_INTERVAL: Duration = Duration::from_millis(10);

/// The offset behind the last byte of an output event.
pub(super) type OutputEnd = u64;

/// What the object asks the driver to do.
pub(super) enum DriverRequest {
    /// Answered when all of the input is accepted, or refused.
    Write(Bytes, oneshot::Sender<Result<(), HiveError>>),
    Resize(api::Size),
    RequestControl,
    TakeControl,
    ReleaseControl,
    GrantControl(u32),
    /// Answered when the terminal is detached.
    Leave(oneshot::Sender<()>),
}

/// What the driver waits for.
enum Wakeup {
    /// The pending event can be passed on.
    ReaderReady,
    /// The terminal has an event; none at its end.
    Event(Option<terminal::TerminalEvent>),
    /// The object has a request; none if the object is gone.
    Request(Option<DriverRequest>),
    /// The reader has taken output.
    Acknowledged,
    /// The object is gone.
    Dropped,
    /// There may be room for more input.
    RetryInput,
}

pub(super) struct Driver {
    terminal: terminal::Terminal,
    requests: mpsc::Receiver<DriverRequest>,
    events: mpsc::Sender<(TerminalEvent, Option<OutputEnd>)>,
    acknowledged: watch::Receiver<OutputEnd>,
    /// Input that is not accepted yet, and who waits for it.
    pending_input: Option<(Bytes, oneshot::Sender<Result<(), HiveError>>)>,
    /// An event that waits for the reader.
    pending_event: Option<terminal::TerminalEvent>,
    session: Arc<Mutex<Session>>,
}

impl Driver {
    pub(super) fn new(
        terminal: terminal::Terminal,
        requests: mpsc::Receiver<DriverRequest>,
        events: mpsc::Sender<(TerminalEvent, Option<OutputEnd>)>,
        acknowledged: watch::Receiver<OutputEnd>,
        session: Arc<Mutex<Session>>,
    ) -> Self {
        Self { terminal, requests, events, acknowledged, pending_input: None, pending_event: None, session }
    }

    /// Runs until the terminal ends, the object detaches, or the object is dropped.
    pub(super) async fn run(mut self) {
        loop {
            // First the input that waits: a request that follows it is not read before it is written.
            self.write_pending();
            match self.wait().await {
                Wakeup::ReaderReady => self.pass_on(),
                Wakeup::Event(Some(event)) => {
                    self.pending_event = Some(event);
                    self.publish_session();
                }
                Wakeup::Request(Some(DriverRequest::Leave(reply))) => {
                    // `leave` sends the accepted input, and waits for that at most a second.
                    self.terminal.leave().await;
                    reply.send(()).ok();
                    return;
                }
                Wakeup::Request(Some(request)) => self.carry_out(request),
                Wakeup::Acknowledged => {
                    let end = *self.acknowledged.borrow_and_update();
                    self.terminal.ack(end);
                }
                Wakeup::RetryInput => {}
                // The terminal has ended, and its last event was passed on: there is nothing to leave.
                Wakeup::Event(None) => return,
                Wakeup::Request(None) | Wakeup::Dropped => return self.terminal.leave().await,
            }
        }
    }

    /// Waits for one wakeup. All branches are cancel-safe: those that do not complete lose nothing.
    async fn wait(&mut self) -> Wakeup {
        let (has_event, has_input) = (self.pending_event.is_some(), self.pending_input.is_some());
        tokio::select! {
            slot = self.events.reserve(), if has_event => if slot.is_ok() { Wakeup::ReaderReady } else { Wakeup::Dropped },
            // While the reader is behind, nothing is read. The terminal's own window then stops the program.
            event = self.terminal.next(), if !has_event => Wakeup::Event(event),
            // Input keeps its place before later requests, such as a resize or the end.
            request = self.requests.recv(), if !has_input => Wakeup::Request(request),
            acked = self.acknowledged.changed() => if acked.is_ok() { Wakeup::Acknowledged } else { Wakeup::Dropped },
            // The terminal does not report room: input is tried again.
            () = sleep(ROOM_INTERVAL), if has_input => Wakeup::RetryInput,
        }
    }

    /// Passes the pending event on. `reserve` found room for it, and this task is the only sender.
    fn pass_on(&mut self) {
        let Some(event) = self.pending_event.take() else { return };
        let end = if let terminal::TerminalEvent::Output { end, .. } = &event { Some(*end) } else { None };
        if let Some(event) = TerminalEvent::from_core(event) {
            self.events.try_send((event, end)).ok();
        }
    }

    fn carry_out(&mut self, request: DriverRequest) {
        match request {
            DriverRequest::Write(data, reply) => self.pending_input = Some((data, reply)),
            DriverRequest::Resize(size) => self.terminal.resize(size),
            DriverRequest::RequestControl => self.terminal.request_control(),
            DriverRequest::TakeControl => self.terminal.take_control(),
            DriverRequest::ReleaseControl => self.terminal.release_control(),
            DriverRequest::GrantControl(to) => self.terminal.grant_control(to),
            // `run` ends the driver with this request.
            DriverRequest::Leave(_) => {}
        }
    }

    /// Writes as much of the pending input as the terminal has room for.
    fn write_pending(&mut self) {
        let Some((mut data, reply)) = self.pending_input.take() else { return };
        let is_mine = self.terminal.control().is_mine;
        // Without the keyboard there is no room to wait for: all of the input is written, so that the refusal is the answer.
        let room = if is_mine { self.terminal.room().min(data.len()) } else { data.len() };
        let written = if room > 0 { self.terminal.write(data.split_to(room)) } else { Ok(()) };
        match written {
            Ok(()) if !data.is_empty() => self.pending_input = Some((data, reply)),
            written => drop(reply.send(written.map_err(HiveError::from))),
        }
    }

    fn publish_session(&self) {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        // The object reads the session without a request, because its getter must not wait.
        *session = self.terminal.session().clone().into();
    }
}
