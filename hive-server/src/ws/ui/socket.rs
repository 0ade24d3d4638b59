//! The loop of one UI socket.
//!
//! What the hive has for the client is read when the socket has taken what was read before: a client that does not read has at most one
//! message of it here, and the answers to its own actions. When those are too many, its messages wait too.

use std::pin::pin;

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt as _;
use futures_util::stream::SplitStream;
use hive_core::live::{FeedEnd, LiveFeed, LiveMessage};
use hive_core::sessions::SessionEvent;
use hive_core::wire::SessionId;
use hive_core::wire::api::Size;
use hive_core::wire::ui::{
    ActionResult, MAX_ATTACHED, SessionInputAction, SessionResizeAction, UiAction, UiEvent, UiRequest,
};
use hive_core::{ActingHive, Error, Result};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::action::{self, ActionEffect, ActionOutcome, RunningActions};
use super::attached::AttachedSessions;
use super::request::{self, RefusedRequest};
use crate::error::HttpError;
use crate::limits::RateClass;
use crate::state::AppState;
use crate::ws::close::UiClose;
use crate::ws::outbox::{Outbox, text};
use crate::ws::ping_schedule::{PingSchedule, PingStep};

/// Messages that wait for the socket. With as many, no further message of the client is read.
const MAX_WAITING: usize = 64;

/// An open UI socket.
pub(super) struct UiSocket {
    state: AppState,
    hive: ActingHive,
    feed: LiveFeed,
    /// Watched apart from the feed, which is asked only when the socket has room.
    end: FeedEnd,
    outbox: Outbox,
    socket: SplitStream<WebSocket>,
    sessions: AttachedSessions,
    actions: RunningActions,
    pings: PingSchedule,
    /// Whether the feed is asked before the sessions: neither may keep the other from being sent.
    is_feed_first: bool,
}

/// Something that the hive has for the client.
enum Incoming {
    Live(Result<LiveMessage>),
    Session(SessionId, Option<SessionEvent>),
}

impl UiSocket {
    pub(super) fn new(state: AppState, hive: ActingHive, feed: LiveFeed, socket: WebSocket) -> Self {
        let (sink, socket) = socket.split();
        let pings = PingSchedule::new(Instant::now(), state.limits().viewer_ping);
        Self {
            state,
            hive,
            end: feed.end(),
            feed,
            outbox: Outbox::new(sink),
            socket,
            sessions: AttachedSessions::default(),
            actions: RunningActions::default(),
            pings,
            is_feed_first: true,
        }
    }

    /// Forwards messages until either side closes the socket.
    pub(super) async fn run(mut self) {
        let close = self.forward().await;
        let Self { outbox, socket, feed, sessions, actions, .. } = self;
        // Before the close handshake, which may take a second: the client hears and shows nothing from now on.
        drop((feed, sessions, actions));
        if let Ok(socket) = outbox.socket.reunite(socket) {
            super::close(socket, close).await;
        }
    }

    async fn forward(&mut self) -> UiClose {
        let draining = self.state.draining().clone();
        let mut draining = pin!(draining.cancelled());
        let mut timer = pin!(sleep_until(self.pings.at()));
        loop {
            // Only if it has changed: resetting the timer for each message would cost more than the message.
            if timer.deadline() != self.pings.at() {
                timer.as_mut().reset(self.pings.at());
            }
            let (has_room, takes_actions) = (self.outbox.has_room(), self.outbox.len() < MAX_WAITING);
            let Self { end, outbox, socket, feed, sessions, actions, is_feed_first, .. } = self;
            let step = tokio::select! {
                biased;
                () = draining.as_mut() => Err(UiClose::going_away()),
                // Before the messages of the client: who has lost a right does nothing more by it.
                error = end.wait() => Err(error.into()),
                sent = std::future::poll_fn(|context| outbox.poll_sent(context)) => match sent {
                    Ok(()) => {
                        sessions.confirm_sent().await;
                        Ok(())
                    }
                    Err(lost) => Err(lost.into()),
                },
                // Messages of the client before those for it: Ctrl-C must get through a flood of output.
                message = socket.next(), if takes_actions => self.on_message(message).await,
                outcome = actions.next(), if takes_actions => {
                    self.on_outcome(outcome);
                    Ok(())
                }
                incoming = next_incoming(feed, sessions, *is_feed_first), if has_room => self.on_incoming(incoming),
                () = timer.as_mut() => self.on_timer(),
            };
            if let Err(close) = step {
                return close;
            }
        }
    }

    fn on_incoming(&mut self, incoming: Incoming) -> Result<(), UiClose> {
        match incoming {
            Incoming::Live(message) => {
                self.is_feed_first = false;
                let message = message?;
                // The session says it itself, behind its last output.
                if !message.ended_session().is_some_and(|id| self.sessions.tells_end_of(id)) {
                    self.outbox.push(Message::text(message.json().into_owned()));
                }
            }
            Incoming::Session(id, event) => {
                self.is_feed_first = true;
                if let Some(event) = self.sessions.on_event(id, event) {
                    self.push(&event);
                }
            }
        }
        Ok(())
    }

    async fn on_message(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), UiClose> {
        self.pings.on_received();
        match message {
            Some(Ok(Message::Text(text))) => match request::read(&text) {
                Ok(request) => self.act(request).await,
                Err(RefusedRequest { request_id, error }) => self.answer(request_id, Err(error)),
            },
            Some(Ok(Message::Binary(_))) => {
                let error = Error::invalid("message", "must be a text message with JSON");
                self.answer(None, Err(error));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Err(error)) => return Err(UiClose::unreadable(&error)),
            Some(Ok(Message::Close(_))) | None => return Err(UiClose::ConnectionLost),
        }
        Ok(())
    }

    /// Carries an action out, or begins to.
    async fn act(&mut self, request: UiRequest) {
        let UiRequest { request_id, action } = request;
        let counted = match self.rate_class(&action) {
            Some(class) => self.state.limiters().requests.count_call(self.hive.principal(), class),
            None => Ok(()),
        };
        if let Err(error) = counted {
            return self.answer(request_id, Err(error));
        }
        let hive = self.hive.clone();
        let done = match action {
            UiAction::SessionCreate(params) => match self.check_room() {
                Ok(()) => return self.begin(request_id, action::create(hive, params)),
                Err(error) => Err(error),
            },
            UiAction::SessionAttach(params) if self.sessions.contains(params.session_id) => {
                Err(Error::Conflict("the session is attached to this socket".into()))
            }
            UiAction::SessionAttach(params) => match self.check_room() {
                Ok(()) => return self.begin(request_id, action::attach(hive, params)),
                Err(error) => Err(error),
            },
            UiAction::SessionInput(input) => return self.type_input(request_id, input).await,
            UiAction::SessionResize(SessionResizeAction { session_id, cols, rows }) => {
                let size = Size { cols, rows };
                if !self.sessions.contains(session_id) {
                    return self.begin(request_id, action::resize(hive, session_id, size));
                }
                self.sessions.resize(session_id, size).await
            }
            UiAction::SessionClose(params) => {
                return self.begin(request_id, action::terminate(hive, params.session_id));
            }
            UiAction::SessionThrottle(params) => self.sessions.throttle(params.session_id, params.pause),
            UiAction::Subscribe(change) => self.feed.subscribe(&change.satellites),
            UiAction::Unsubscribe(change) => {
                self.feed.unsubscribe(&change.satellites);
                Ok(())
            }
            _ => Err(Error::invalid("action", "unknown action")),
        };
        self.answer(request_id, done.map(|()| None));
    }

    /// The class of the call that an action is. None belongs to the stream of an attached session: as on the socket of a viewer,
    /// keys are no calls.
    fn rate_class(&self, action: &UiAction) -> Option<RateClass> {
        let session = match action {
            UiAction::Subscribe(_) | UiAction::Unsubscribe(_) => return Some(RateClass::Read),
            UiAction::SessionInput(input) => input.session_id,
            UiAction::SessionResize(resize) => resize.session_id,
            UiAction::SessionThrottle(throttle) => throttle.session_id,
            _ => return Some(RateClass::Act),
        };
        (!self.sessions.contains(session)).then_some(RateClass::Act)
    }

    /// Checks that one more session may be attached. Those that are about to be count too.
    fn check_room(&self) -> Result<()> {
        if self.sessions.len() + self.actions.len() >= MAX_ATTACHED {
            return Err(Error::Conflict(format!("a socket has at most {MAX_ATTACHED} sessions attached")));
        }
        Ok(())
    }

    async fn type_input(&mut self, request_id: Option<String>, input: SessionInputAction) {
        let id = input.session_id;
        let done = match action::input_of(&input) {
            Ok(data) if self.sessions.contains(id) => self.sessions.type_input(id, data).await,
            Ok(data) => return self.begin(request_id, action::send_input(self.hive.clone(), id, data)),
            Err(error) => Err(error),
        };
        self.answer(request_id, done.map(|()| None));
    }

    fn begin(
        &mut self,
        request_id: Option<String>,
        action: impl Future<Output = Result<ActionEffect>> + Send + 'static,
    ) {
        if let Err((request_id, error)) = self.actions.begin(request_id, action) {
            self.answer(request_id, Err(error));
        }
    }

    fn on_outcome(&mut self, outcome: ActionOutcome) {
        let ActionOutcome { request_id, result } = outcome;
        let result = result.map(|effect| match effect {
            ActionEffect::Attached(attachment) => {
                let attached = self.sessions.add(*attachment);
                Some(serde_json::to_value(attached).expect("the keys of a message are texts"))
            }
            ActionEffect::Done => None,
        });
        self.answer(request_id, result);
    }

    /// Answers an action. Without an id, only a failure is worth a message.
    fn answer(&mut self, request_id: Option<String>, result: Result<Option<Value>>) {
        match (result, request_id) {
            (Ok(data), Some(request_id)) => self.push(&ActionResult::success(request_id, data)),
            (Ok(_), None) => {}
            (Err(error), request_id) => {
                let delay = match &error {
                    Error::RateLimited { retry_after_seconds } => Some(retry_after_seconds.saturating_mul(1000)),
                    _ => None,
                };
                let error = HttpError::from(error).into_parts().error;
                self.push(&ActionResult::failure(request_id, error));
                if let Some(delay_ms) = delay {
                    self.push(&UiEvent::Backpressure { delay_ms });
                }
            }
        }
    }

    fn push(&mut self, message: &impl serde::Serialize) {
        self.outbox.push(text(message));
    }

    fn on_timer(&mut self) -> Result<(), UiClose> {
        match self.pings.step(Instant::now(), self.outbox.is_empty()) {
            PingStep::Wait => {}
            PingStep::Send => self.outbox.push(Message::Ping(Bytes::new())),
            PingStep::TimedOut => return Err(UiClose::timeout()),
        }
        Ok(())
    }
}

/// Waits for what the hive has for the client. Cancel-safe.
async fn next_incoming(feed: &mut LiveFeed, sessions: &mut AttachedSessions, is_feed_first: bool) -> Incoming {
    let (feed, sessions) = (feed.next(), sessions.next());
    if is_feed_first {
        tokio::select! {
            biased;
            message = feed => Incoming::Live(message),
            (id, event) = sessions => Incoming::Session(id, event),
        }
    } else {
        tokio::select! {
            biased;
            (id, event) = sessions => Incoming::Session(id, event),
            message = feed => Incoming::Live(message),
        }
    }
}
