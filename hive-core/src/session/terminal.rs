//! A terminal that attaches again by itself.

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

use super::resume::{Jump, Reading, Refused, Return};
use super::saying::Saying;
use super::{Attachment, AttachmentInput, AttachmentOutput, SessionEvent, SessionManager, ViewerAction};
use crate::clock::{Entropy as _, SystemEntropy};
use crate::{Error, Result};

/// How long one who leaves tries to say its last words.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long a viewer waits between attempts to attach again. A person looks on: the waits stay short.
const RECONNECT: BackoffLimits = BackoffLimits { initial: Duration::from_millis(100), max: Duration::from_secs(5) };

/// How to look at a terminal.
#[derive(Debug, Clone, Default)]
pub struct ViewOptions {
    /// What to do there.
    pub mode: ViewMode,
    /// The size of the viewer's screen.
    pub size: Option<Size>,
}

/// Something that happens in a [`Terminal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalEvent {
    /// The next bytes of output: every byte once, in order, but for what a `Gap` or a `Reset` leaves out.
    Output {
        /// The offset behind the last byte, to be given to [`Terminal::ack`] once the bytes are shown.
        end: u64,
        /// The bytes.
        data: Bytes,
    },
    /// Output that nobody has any more.
    Gap {
        /// The first missing byte.
        from: u64,
        /// The first byte that is there again.
        to: u64,
    },
    /// Output was left out: the screen is to be reset, and then these escape sequences written to it.
    Reset {
        /// They bring a fresh terminal into the modes this one is in.
        modes: String,
    },
    /// The way to the hive is broken. The terminal lives on, and the way is tried again by itself.
    Away {
        /// Why.
        cause: String,
        /// When it is tried again.
        retry_in: Duration,
    },
    /// The way is there again. What has changed meanwhile is told behind it.
    Back {
        /// Bytes that were typed and reached nobody, because another viewer has the keyboard now.
        lost_input: u64,
    },
    /// Anything else: who has the keyboard, the satellite's link, the terminal's size.
    Told(ToViewer),
    /// The program has ended; nothing follows.
    Ended(SessionEnd),
    /// The hive does not let this viewer in any more: its key was revoked, or there is no such terminal. The program may
    /// live on; nothing follows.
    Refused(ErrorBody),
}

/// One viewer of a terminal, over as many attachments as it takes.
///
/// Only [`next`](Self::next) waits, and it does all the work: it says what was typed, reads what comes, and attaches again.
/// The other methods note what is to be said and return at once, so that one `select!` may read the keyboard and the
/// terminal, and neither stops the other. Dropping it leaves; the program lives on.
pub struct Terminal {
    hive: Arc<dyn SessionManager>,
    id: SessionId,
    options: ViewOptions,
    session: Session,
    viewer: ViewerId,
    reading: Reading,
    saying: Saying,
    way: Way,
    backoff: Backoff,
    /// What is to be told before anything else.
    news: VecDeque<TerminalEvent>,
}

/// The way to the hive.
enum Way {
    There { output: Box<dyn AttachmentOutput>, input: Box<dyn AttachmentInput> },
    Waiting { until: Instant },
    Attaching(BoxFuture<'static, Result<Attachment>>),
    Over,
}

/// What came of one step.
enum Step {
    Said(ViewerAction, Result<()>),
    Heard(Option<SessionEvent>),
    Waited,
    Attached(Box<Result<Attachment>>),
}

impl Terminal {
    /// Attaches to a terminal.
    ///
    /// # Errors
    /// Whatever [`SessionManager::session_attach`] says to this first attempt.
    pub async fn open(hive: Arc<dyn SessionManager>, id: SessionId, options: ViewOptions) -> Result<Self> {
        let request = AttachRequest { viewer: None, output: None, mode: options.mode.clone(), size: options.size };
        let Attachment { attached, output, input } = hive.attach(id, request).await?;
        Ok(Self {
            hive,
            id,
            options: ViewOptions { mode: mode_of_return(options.mode), ..options },
            viewer: attached.viewer,
            reading: Reading::starting_with(&attached),
            saying: Saying::starting_with(attached.control.clone(), attached.output),
            way: Way::There { output, input },
            backoff: Backoff::new(RECONNECT),
            news: first_screen(&attached).into_iter().collect(),
            session: attached.session,
        })
    }

    /// The terminal as it was last heard of.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Who has the keyboard, as it was last heard of.
    pub fn control(&self) -> &Control {
        self.saying.typing.control()
    }

    /// Whether the way to the hive is broken now.
    pub fn is_away(&self) -> bool {
        matches!(self.way, Way::Waiting { .. } | Way::Attaching(_))
    }

    /// Says what is to be said, and waits for what happens next; `None` behind [`TerminalEvent::Ended`] and
    /// [`TerminalEvent::Refused`]. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<TerminalEvent> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Some(news);
            }
            match self.step().await? {
                Step::Said(action, outcome) => self.on_said(&action, outcome),
                Step::Heard(Some(event)) => self.on_event(event),
                Step::Heard(None) => self.on_broken("the connection ended".into(), Duration::ZERO),
                Step::Waited => {}
                Step::Attached(outcome) => self.on_attempt(*outcome),
            }
        }
    }

    /// How many bytes [`write`](Self::write) takes now: none while the keyboard is not ours, or as much is under way as may
    /// be. Read the keyboard only where there is room; [`next`](Self::next) makes some.
    pub fn room(&self) -> usize {
        self.saying.typing.room()
    }

    /// How many typed bytes the satellite is not known to have.
    pub fn unapplied(&self) -> usize {
        self.saying.typing.unapplied()
    }

    /// Types. The bytes are kept until the satellite has them, over as many attachments as it takes, as long as the
    /// keyboard stays ours; also while the way is broken.
    ///
    /// # Errors
    /// `Conflict` where the keyboard is not ours, or there is no [`room`](Self::room) for all of the bytes: none is taken
    /// then.
    pub fn write(&mut self, data: Bytes) -> Result<()> {
        self.saying.typing.push(&data).map_err(|refused| {
            Error::Conflict(match (refused, &self.control().holder) {
                (Refused::NoRoom, _) => "as much is under way to the terminal as may be".into(),
                (Refused::NotMine, Some(holder)) => format!("{holder} has the keyboard"),
                (Refused::NotMine, None) => "the keyboard is not yours; take it first".into(),
            })
        })
    }

    /// Says that the output before `end` is on the screen. The terminal waits for its writer: one who does not say this
    /// for 10 seconds counts as gone.
    pub fn ack(&mut self, end: u64) {
        self.saying.on_shown(end, Instant::now());
    }

    /// Says that the screen has another size. What is typed from now on sees it.
    pub fn resize(&mut self, size: Size) {
        self.options.size = Some(size);
        self.saying.resize(size);
    }

    /// Asks who has the keyboard for it. The answer is a [`ToViewer::Control`], if there is one.
    pub fn request_control(&mut self) {
        self.saying.ask(FromViewer::RequestControl);
    }

    /// Takes the keyboard from whoever has it.
    pub fn take_control(&mut self) {
        self.saying.ask(FromViewer::TakeControl);
    }

    /// Lets the keyboard go.
    pub fn release_control(&mut self) {
        self.saying.ask(FromViewer::ReleaseControl);
    }

    /// Gives the keyboard to who asked for it, by the number in [`ToViewer::ControlRequested`].
    pub fn grant_control(&mut self, to: u32) {
        self.saying.ask(FromViewer::GrantControl { to });
    }

    /// Leaves for good: says what was typed, and lets the keyboard go. A viewer that is dropped instead counts as cut off,
    /// and its keyboard is kept for it for a while. Where the way is broken, nothing is said.
    pub async fn leave(mut self) {
        if self.control().is_mine {
            self.release_control();
        }
        let last_words = async {
            while !self.is_away() && self.saying.is_unsaid() {
                match self.step().await {
                    Some(Step::Said(action, Ok(()))) => self.saying.on_said(&action),
                    Some(Step::Heard(Some(_)) | Step::Waited) => {}
                    _ => return,
                }
            }
        };
        drop(tokio::time::timeout(GOODBYE, last_words).await);
    }

    /// Waits for one thing to happen. Dropping the future loses nothing: what was about to be said is said again, which
    /// changes nothing where it was said, and an attempt to attach goes on where it was.
    async fn step(&mut self) -> Option<Step> {
        match &mut self.way {
            Way::There { output, input } => {
                let due = self.saying.due_at();
                Some(tokio::select! {
                    biased;
                    (action, outcome) = say_next(input.as_mut(), &self.saying) => Step::Said(action, outcome),
                    event = output.next() => Step::Heard(event),
                    () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Step::Waited,
                })
            }
            Way::Waiting { until } => {
                sleep_until(*until).await;
                self.way = Way::Attaching(self.attach_again());
                Some(Step::Waited)
            }
            Way::Attaching(attempt) => Some(Step::Attached(Box::new(attempt.await))),
            Way::Over => None,
        }
    }

    fn attach_again(&self) -> BoxFuture<'static, Result<Attachment>> {
        let (hive, id) = (self.hive.clone(), self.id);
        let ViewOptions { mode, size } = self.options.clone();
        let request = AttachRequest { viewer: Some(self.viewer), output: Some(self.reading.position()), mode, size };
        Box::pin(async move { hive.attach(id, request).await })
    }

    fn on_said(&mut self, action: &ViewerAction, outcome: Result<()>) {
        match (outcome, action) {
            (Err(Error::Unavailable(cause)), _) => self.on_broken(cause.to_string(), Duration::ZERO),
            (Err(_), ViewerAction::Input { .. }) => self.saying.typing.on_refused(),
            _ => self.saying.on_said(action),
        }
    }

    fn on_event(&mut self, event: SessionEvent) {
        self.backoff.reset();
        match event {
            SessionEvent::Output { offset, data } => self.on_output(offset, data),
            SessionEvent::Told(told) => self.on_told(told),
        }
    }

    fn on_output(&mut self, offset: u64, data: Bytes) {
        let jump = self.reading.skip_to(offset);
        self.news.extend(jump.map(news_of_jump));
        let data = self.reading.take(offset, data);
        if !data.is_empty() {
            self.news.push_back(TerminalEvent::Output { end: self.reading.position(), data });
        }
    }

    fn on_told(&mut self, told: ToViewer) {
        match &told {
            ToViewer::Gap { to, .. } => {
                let jump = self.reading.skip_to(*to);
                return self.news.extend(jump.map(news_of_jump));
            }
            ToViewer::Reset { output, modes } => {
                let jump = self.reading.reset_to(*output, modes.clone());
                return self.news.push_back(news_of_jump(jump));
            }
            ToViewer::Applied { offset } => return self.saying.typing.on_applied(*offset),
            ToViewer::Ended(end) => return self.on_ended(end.clone()),
            ToViewer::Error { error } if is_final(&error.code) => return self.on_refused(error.clone().into()),
            ToViewer::Error { error } => return self.on_broken(error.message.clone(), Duration::ZERO),
            ToViewer::Control(control) => drop(self.saying.typing.on_control(control.clone())),
            ToViewer::Resized(size) => self.session.size = *size,
            ToViewer::Link { online } => self.session.online = *online,
            _ => {}
        }
        self.news.push_back(TerminalEvent::Told(told));
    }

    fn on_ended(&mut self, end: SessionEnd) {
        self.way = Way::Over;
        self.session.status = SessionStatus::Ended;
        self.session.end = Some(end.clone());
        self.news.push_back(TerminalEvent::Ended(end));
    }

    fn on_refused(&mut self, error: ErrorBody) {
        self.way = Way::Over;
        self.news.push_back(TerminalEvent::Refused(error));
    }

    fn on_broken(&mut self, cause: String, at_least: Duration) {
        if let Some(end) = self.session.end.clone() {
            return self.on_ended(end);
        }
        self.saying.on_broken();
        let retry_in = self.backoff.next_delay_from_half(roll()).max(at_least);
        self.way = Way::Waiting { until: Instant::now() + retry_in };
        self.news.push_back(TerminalEvent::Away { cause, retry_in });
    }

    fn on_attempt(&mut self, outcome: Result<Attachment>) {
        match outcome {
            Ok(attachment) => self.on_attached(attachment),
            Err(error) if is_final(&error.code()) => {
                self.on_refused(ErrorBody { code: error.code(), message: error.to_string() });
            }
            Err(Error::RateLimited { retry_after_seconds }) => {
                self.on_broken("too many calls".into(), Duration::from_secs(retry_after_seconds));
            }
            Err(Error::Unavailable(cause)) => self.on_broken(cause.to_string(), Duration::ZERO),
            Err(error) => self.on_broken(error.to_string(), Duration::ZERO),
        }
    }

    fn on_attached(&mut self, Attachment { attached, output, input }: Attachment) {
        let control_before = self.control().clone();
        let jump = self.reading.on_attached(&attached);
        let Attached { session, viewer, control, is_resumed, .. } = attached;
        let who = match (is_resumed, viewer == self.viewer) {
            (true, _) => Return::Typist,
            (false, true) => Return::Known,
            (false, false) => Return::Stranger,
        };
        let lost_input = self.saying.on_attached(control.clone(), who, self.reading.position());
        self.news.push_back(TerminalEvent::Back { lost_input });
        self.news.extend(jump.map(news_of_jump));
        let is_other_hand = (control.is_mine, &control.holder) != (control_before.is_mine, &control_before.holder);
        let changes = [
            is_other_hand.then_some(ToViewer::Control(control)),
            (session.size != self.session.size).then_some(ToViewer::Resized(session.size)),
            (session.online != self.session.online).then_some(ToViewer::Link { online: session.online }),
        ];
        self.news.extend(changes.into_iter().flatten().map(TerminalEvent::Told));
        (self.session, self.viewer, self.way) = (session, viewer, Way::There { output, input });
    }
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Says what is next to be said; waits for ever where there is nothing.
async fn say_next(input: &mut dyn AttachmentInput, saying: &Saying) -> (ViewerAction, Result<()>) {
    match saying.next(Instant::now()) {
        Some(action) => (action.clone(), input.send(action).await),
        None => std::future::pending().await,
    }
}

/// Who comes back does not take the keyboard from whoever took it meanwhile.
fn mode_of_return(mode: ViewMode) -> ViewMode {
    match mode {
        ViewMode::ReadOnly | ViewMode::Unknown(_) => ViewMode::ReadOnly,
        ViewMode::Control | ViewMode::Take => ViewMode::Control,
    }
}

/// A terminal that is seen from its first byte needs no fresh screen.
fn first_screen(attached: &Attached) -> Option<TerminalEvent> {
    let modes = attached.modes.clone()?;
    let is_whole = attached.output == 0 && modes.is_empty();
    (!is_whole).then_some(TerminalEvent::Reset { modes })
}

fn news_of_jump(jump: Jump) -> TerminalEvent {
    match jump {
        Jump::Gap { from, to } => TerminalEvent::Gap { from, to },
        Jump::Reset { modes } => TerminalEvent::Reset { modes },
    }
}

/// A random number from 0 up to 1.
fn roll() -> f64 {
    let mut random = [0];
    SystemEntropy.fill(&mut random);
    f64::from(random[0]) / 256.0
}

/// Whether another attempt would be told the same.
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
