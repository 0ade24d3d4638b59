//! A viewer of a session that reattaches by itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hive_wire::agent::ErrorBody;
use hive_wire::api::{Session, SessionEnd, SessionStatus, Size};
use hive_wire::backoff::{Backoff, BackoffLimits};
use hive_wire::session::{AttachRequest, Attached, Control, FromViewer, ToViewer, ViewMode};
use hive_wire::{ErrorCode, SessionId, ViewerId};
use tokio::time::{Instant, sleep_until};

use super::reattach::{Discontinuity, InputRefusal, OutputCursor, Reattach};
use super::send_queue::SendQueue;
use crate::clock::{Entropy as _, SystemEntropy};
use crate::sessions::{Attachment, AttachmentInput, AttachmentOutput, SessionEvent, SessionManager, ViewerAction};
use crate::{Error, Result};

/// How long [`Terminal::leave`] may take to send what is queued.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The delays between attempts to reattach. They are short, because a person is waiting.
const RECONNECT: BackoffLimits = BackoffLimits { initial: Duration::from_millis(100), max: Duration::from_secs(5) };

/// How to view a session.
#[derive(Debug, Clone, Default)]
pub struct ViewOptions {
    /// Whether the viewer wants the keyboard.
    pub mode: ViewMode,
    /// The size of the viewer's screen.
    pub size: Option<Size>,
}

/// An event of a [`Terminal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalEvent {
    /// The next bytes of output: every byte once and in order, except for what a `Gap` or a `Reset` skips.
    Output {
        /// The offset behind the last byte, for [`Terminal::ack`] once the bytes are shown.
        end: u64,
        /// The bytes.
        data: Bytes,
    },
    /// Output that was lost.
    Gap {
        /// The first missing byte.
        from: u64,
        /// The first byte behind the gap.
        to: u64,
    },
    /// Output was skipped. The screen is to be reset, and these escape sequences are to be written to it.
    Reset {
        /// Escape sequences that set the modes of the session on a fresh terminal.
        modes: String,
    },
    /// The connection to the hive is broken. The session continues, and the viewer reattaches by itself.
    Disconnected {
        /// The cause.
        cause: String,
        /// The delay before the next attempt.
        retry_in: Duration,
    },
    /// The connection is restored. Events for what has changed meanwhile follow.
    Reconnected {
        /// Bytes of input that were lost, because another viewer has the keyboard now.
        lost_input: u64,
    },
    /// Any other message: the holder of the keyboard, the satellite's link, the size.
    Message(ToViewer),
    /// The program has ended. No event follows.
    Ended(SessionEnd),
    /// The hive refuses this viewer: its key was revoked, or the session does not exist. The program may still run. No
    /// event follows.
    Refused(ErrorBody),
}

/// One viewer of a session, over any number of attachments.
///
/// Only [`next`](Self::next) waits, and it does all the work: it sends input, receives events and reattaches. The other
/// methods queue messages and return at once, so that one `select!` can read the keyboard and the session without
/// either blocking the other. Dropping it detaches; the program continues.
pub struct Terminal {
    hive: Arc<dyn SessionManager>,
    id: SessionId,
    options: ViewOptions,
    session: Session,
    viewer: ViewerId,
    cursor: OutputCursor,
    queue: SendQueue,
    state: ConnState,
    backoff: Backoff,
    /// Events to return before anything is read.
    pending_events: VecDeque<TerminalEvent>,
}

/// The state of the connection to the hive.
enum ConnState {
    Connected { output: Box<dyn AttachmentOutput>, input: Box<dyn AttachmentInput> },
    Backoff { until: Instant },
    Connecting(BoxFuture<'static, Result<Attachment>>),
    Closed,
}

/// The result of one step.
enum TerminalStep {
    Sent(ViewerAction, Result<()>),
    Received(Option<SessionEvent>),
    Waited,
    Attached(Box<Result<Attachment>>),
}

impl Terminal {
    /// Attaches to a session.
    ///
    /// # Errors
    /// The errors of [`SessionManager::attach`] for this first attempt.
    pub async fn open(hive: Arc<dyn SessionManager>, id: SessionId, options: ViewOptions) -> Result<Self> {
        let request = AttachRequest { viewer: None, output: None, mode: options.mode.clone(), size: options.size };
        // The first attempt is not repeated: a caller wants to know at once that the session does not exist.
        let Attachment { attached, output, input } = hive.attach(id, request).await?;
        Ok(Self {
            hive,
            id,
            options: ViewOptions { mode: mode_of_reattach(options.mode), ..options },
            viewer: attached.viewer,
            cursor: OutputCursor::starting_with(&attached),
            queue: SendQueue::starting_with(attached.control.clone(), attached.output),
            state: ConnState::Connected { output, input },
            backoff: Backoff::new(RECONNECT),
            pending_events: first_screen(&attached).into_iter().collect(),
            session: attached.session,
        })
    }

    /// The session as last reported.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The holder of the keyboard as last reported.
    pub fn control(&self) -> &Control {
        self.queue.input.control()
    }

    /// Whether the connection to the hive is broken now.
    pub fn is_disconnected(&self) -> bool {
        matches!(self.state, ConnState::Backoff { .. } | ConnState::Connecting(_))
    }

    /// Sends what is queued and waits for the next event. `None` after [`TerminalEvent::Ended`] and
    /// [`TerminalEvent::Refused`]. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<TerminalEvent> {
        loop {
            // One step may give several events, such as those of a reconnect. Nothing is read until they are taken.
            if let Some(event) = self.pending_events.pop_front() {
                return Some(event);
            }
            match self.step().await? {
                TerminalStep::Sent(action, outcome) => self.on_sent(&action, outcome),
                TerminalStep::Received(Some(event)) => self.on_event(event),
                TerminalStep::Received(None) => self.on_disconnected("the connection ended".into(), Duration::ZERO),
                TerminalStep::Waited => {}
                TerminalStep::Attached(outcome) => self.on_attempt(*outcome),
            }
        }
    }

    /// How many bytes [`write`](Self::write) accepts now: none without the keyboard, or while the input window is full.
    /// Read the keyboard only if there is room; [`next`](Self::next) makes room.
    pub fn room(&self) -> usize {
        self.queue.input.room()
    }

    /// The number of bytes of input that the satellite has not confirmed.
    pub fn unapplied(&self) -> usize {
        self.queue.input.unapplied()
    }

    /// Queues input. The bytes are kept until the satellite has confirmed them, over any number of attachments and
    /// while the connection is broken, as long as the viewer keeps the keyboard.
    ///
    /// # Errors
    /// `Conflict` without the keyboard, or if there is no [`room`](Self::room) for all of the bytes. Then none is
    /// queued.
    pub fn write(&mut self, data: Bytes) -> Result<()> {
        self.queue.input.push(&data).map_err(|refused| {
            Error::Conflict(match (refused, &self.control().holder) {
                (InputRefusal::NoRoom, _) => {
                    "too much input is in flight; wait until the satellite has read some".into()
                }
                (InputRefusal::NotWriter, Some(holder)) => format!("{holder} has the keyboard"),
                (InputRefusal::NotWriter, None) => "the keyboard is not yours; take it first".into(),
            })
        })
    }

    /// Acknowledges that output before `end` is on the screen. The session waits for the holder of the keyboard; a
    /// viewer that does not acknowledge output for 10 seconds no longer counts.
    pub fn ack(&mut self, end: u64) {
        self.queue.on_shown(end, Instant::now());
    }

    /// Changes the size of the screen. It applies before any input that is queued later.
    pub fn resize(&mut self, size: Size) {
        self.options.size = Some(size);
        self.queue.resize(size);
    }

    /// Requests the keyboard from its holder. The answer, if any, is a [`ToViewer::Control`].
    pub fn request_control(&mut self) {
        self.queue.request(FromViewer::RequestControl);
    }

    /// Takes the keyboard from its holder.
    pub fn take_control(&mut self) {
        self.queue.request(FromViewer::TakeControl);
    }

    /// Releases the keyboard.
    pub fn release_control(&mut self) {
        self.queue.request(FromViewer::ReleaseControl);
    }

    /// Grants the keyboard to the viewer that requested it, by the number in [`ToViewer::ControlRequested`].
    pub fn grant_control(&mut self, to: u32) {
        self.queue.request(FromViewer::GrantControl { to });
    }

    /// Detaches after sending queued input, and releases the keyboard. A viewer that is dropped instead counts as
    /// disconnected, and its keyboard is reserved for a while. Without a connection nothing is sent.
    pub async fn leave(mut self) {
        if self.control().is_mine {
            self.release_control();
        }
        let last_messages = async {
            // A broken connection is not restored: the caller is leaving and would wait for nothing else.
            while !self.is_disconnected() && self.queue.has_unsent() {
                match self.step().await {
                    Some(TerminalStep::Sent(action, Ok(()))) => self.queue.on_sent(&action),
                    // Events are dropped, because nobody reads them any more.
                    Some(TerminalStep::Received(Some(_)) | TerminalStep::Waited) => {}
                    _ => return,
                }
            }
        };
        drop(tokio::time::timeout(CLOSE_TIMEOUT, last_messages).await);
    }

    /// Waits for one thing to happen. Dropping the future loses nothing: an action that was being sent is sent again,
    /// which has no effect if it arrived, and an attempt to attach continues.
    async fn step(&mut self) -> Option<TerminalStep> {
        match &mut self.state {
            ConnState::Connected { output, input } => {
                let due = self.queue.due_at();
                Some(tokio::select! {
                    // Sending goes first. It does not starve the output: it waits while the queue is empty, and only input,
                    // requests and due acknowledgements fill the queue.
                    biased;
                    (action, outcome) = send_next(input.as_mut(), &self.queue) => TerminalStep::Sent(action, outcome),
                    event = output.next() => TerminalStep::Received(event),
                    () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => TerminalStep::Waited,
                })
            }
            ConnState::Backoff { until } => {
                sleep_until(*until).await;
                // The attempt is part of the state. A caller that drops this future with each keystroke does not restart it.
                self.state = ConnState::Connecting(self.attach_again());
                Some(TerminalStep::Waited)
            }
            ConnState::Connecting(attempt) => Some(TerminalStep::Attached(Box::new(attempt.await))),
            ConnState::Closed => None,
        }
    }

    fn attach_again(&self) -> BoxFuture<'static, Result<Attachment>> {
        let (hive, id) = (self.hive.clone(), self.id);
        let ViewOptions { mode, size } = self.options.clone();
        let request = AttachRequest { viewer: Some(self.viewer), output: Some(self.cursor.position()), mode, size };
        Box::pin(async move { hive.attach(id, request).await })
    }

    fn on_sent(&mut self, action: &ViewerAction, outcome: Result<()>) {
        match (outcome, action) {
            (Err(Error::Unavailable(cause)), _) => self.on_disconnected(cause.to_string(), Duration::ZERO),
            // Kept: the keyboard or the window has changed, and an event about it is on its way.
            (Err(_), ViewerAction::Input { .. }) => self.queue.input.on_refused(),
            // A refused request counts as sent. It would be refused again.
            _ => self.queue.on_sent(action),
        }
    }

    fn on_event(&mut self, event: SessionEvent) {
        // Only an event shows that the connection works. A hive that accepts viewers and drops them at once would otherwise
        // be tried again without a delay.
        self.backoff.reset();
        match event {
            SessionEvent::Output { offset, data } => self.on_output(offset, data),
            SessionEvent::Message(message) => self.on_message(message),
        }
    }

    fn on_output(&mut self, offset: u64, data: Bytes) {
        // Missing bytes are reported even if no message announced the gap.
        let discontinuity = self.cursor.skip_to(offset);
        self.pending_events.extend(discontinuity.map(event_of));
        let data = self.cursor.take(offset, data);
        if !data.is_empty() {
            self.pending_events.push_back(TerminalEvent::Output { end: self.cursor.position(), data });
        }
    }

    fn on_message(&mut self, message: ToViewer) {
        match &message {
            ToViewer::Gap { to, .. } => {
                let discontinuity = self.cursor.skip_to(*to);
                return self.pending_events.extend(discontinuity.map(event_of));
            }
            ToViewer::Reset { output, modes } => {
                let discontinuity = self.cursor.reset_to(*output, modes.clone());
                return self.pending_events.push_back(event_of(discontinuity));
            }
            ToViewer::Applied { offset } => return self.queue.input.on_applied(*offset),
            ToViewer::Ended(end) => return self.on_ended(end.clone()),
            ToViewer::Error { error } if is_final(&error.code) => return self.on_refused(error.clone().into()),
            ToViewer::Error { error } => return self.on_disconnected(error.message.clone(), Duration::ZERO),
            // The number of lost bytes is dropped: with a connection, the event itself shows when the keyboard was lost.
            ToViewer::Control(control) => drop(self.queue.input.on_control(control.clone())),
            ToViewer::Resized(size) => self.session.size = *size,
            ToViewer::Link { online } => self.session.online = *online,
            _ => {}
        }
        self.pending_events.push_back(TerminalEvent::Message(message));
    }

    fn on_ended(&mut self, end: SessionEnd) {
        self.state = ConnState::Closed;
        self.session.status = SessionStatus::Ended;
        self.session.end = Some(end.clone());
        self.pending_events.push_back(TerminalEvent::Ended(end));
    }

    fn on_refused(&mut self, error: ErrorBody) {
        self.state = ConnState::Closed;
        self.pending_events.push_back(TerminalEvent::Refused(error));
    }

    fn on_disconnected(&mut self, cause: String, at_least: Duration) {
        // The session had ended when the viewer attached. There is nothing to return to.
        if let Some(end) = self.session.end.clone() {
            return self.on_ended(end);
        }
        self.queue.on_disconnected();
        let retry_in = self.backoff.next_delay_from_half(roll()).max(at_least);
        self.state = ConnState::Backoff { until: Instant::now() + retry_in };
        self.pending_events.push_back(TerminalEvent::Disconnected { cause, retry_in });
    }

    fn on_attempt(&mut self, outcome: Result<Attachment>) {
        match outcome {
            Ok(attachment) => self.on_attached(attachment),
            Err(error) if is_final(&error.code()) => {
                self.on_refused(ErrorBody { code: error.code(), message: error.to_string() });
            }
            Err(Error::RateLimited { retry_after_seconds }) => {
                self.on_disconnected("too many calls".into(), Duration::from_secs(retry_after_seconds));
            }
            Err(Error::Unavailable(cause)) => self.on_disconnected(cause.to_string(), Duration::ZERO),
            Err(error) => self.on_disconnected(error.to_string(), Duration::ZERO),
        }
    }

    fn on_attached(&mut self, Attachment { attached, output, input }: Attachment) {
        let control_before = self.control().clone();
        let discontinuity = self.cursor.on_attached(&attached);
        let Attached { session, viewer, control, is_resumed, .. } = attached;
        let reattach = match (is_resumed, viewer == self.viewer) {
            (true, _) => Reattach::Writer,
            // The hive gives a viewer its earlier id only if it remembers it.
            (false, true) => Reattach::Viewer,
            (false, false) => Reattach::New,
        };
        let lost_input = self.queue.on_attached(control.clone(), reattach, self.cursor.position());
        // The order matters to a screen: the connection is back, then what is missing, then what has changed.
        self.pending_events.push_back(TerminalEvent::Reconnected { lost_input });
        self.pending_events.extend(discontinuity.map(event_of));
        // Without the offset, which changes with all input and concerns nobody.
        let has_control_changed =
            (control.is_mine, &control.holder) != (control_before.is_mine, &control_before.holder);
        let changes = [
            has_control_changed.then_some(ToViewer::Control(control)),
            (session.size != self.session.size).then_some(ToViewer::Resized(session.size)),
            (session.online != self.session.online).then_some(ToViewer::Link { online: session.online }),
        ];
        self.pending_events.extend(changes.into_iter().flatten().map(TerminalEvent::Message));
        (self.session, self.viewer, self.state) = (session, viewer, ConnState::Connected { output, input });
    }
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Sends the next queued action, or waits forever if there is none.
async fn send_next(input: &mut dyn AttachmentInput, queue: &SendQueue) -> (ViewerAction, Result<()>) {
    match queue.next(Instant::now()) {
        Some(action) => (action.clone(), input.send(action).await),
        None => std::future::pending().await,
    }
}

/// A viewer that reattaches does not take the keyboard from another one.
fn mode_of_reattach(mode: ViewMode) -> ViewMode {
    match mode {
        ViewMode::ReadOnly | ViewMode::Unknown(_) => ViewMode::ReadOnly,
        ViewMode::Control | ViewMode::Take => ViewMode::Control,
    }
}

/// A session that is read from its first byte needs no reset.
fn first_screen(attached: &Attached) -> Option<TerminalEvent> {
    let modes = attached.modes.clone()?;
    let is_whole = attached.output == 0 && modes.is_empty();
    (!is_whole).then_some(TerminalEvent::Reset { modes })
}

fn event_of(discontinuity: Discontinuity) -> TerminalEvent {
    match discontinuity {
        Discontinuity::Gap { from, to } => TerminalEvent::Gap { from, to },
        Discontinuity::Reset { modes } => TerminalEvent::Reset { modes },
    }
}

/// A random number from 0 up to 1.
fn roll() -> f64 {
    // One byte is enough to spread viewers that lost the same hive.
    let mut random = [0];
    SystemEntropy.fill(&mut random);
    f64::from(random[0]) / 256.0
}

/// Whether another attempt would give the same error.
fn is_final(code: &ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::AuthRequired
            | ErrorCode::AuthInvalid
            | ErrorCode::Forbidden
            | ErrorCode::NotFound
            | ErrorCode::SatelliteNotFound
            | ErrorCode::SessionNotFound
            | ErrorCode::InvalidInput
    )
}

#[cfg(test)]
mod tests;
