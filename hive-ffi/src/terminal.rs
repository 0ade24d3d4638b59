//! One viewer of a terminal, for languages whose objects are shared.
//!
//! A task owns the [`session::Terminal`](hive_core::session::Terminal), which attaches again by itself; the object gives it
//! orders and reads what it tells. Output is acknowledged when it is taken, so that a reader who is slow slows the program
//! and nobody's memory fills.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hive_core::session::{self, TerminalEvent as Told};
use hive_core::wire::api;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use crate::HiveError;
use crate::engine::Engine;
use crate::feed::Feed;
use crate::records::{Session, Size, TerminalEvent};

/// Events a reader may owe; then the terminal is left alone until it reads.
const EVENTS: usize = 64;
/// Orders that may wait; whoever gives one more waits.
const ORDERS: usize = 16;
/// How often to look whether there is room for what is to be typed.
const ROOM_INTERVAL: Duration = Duration::from_millis(10);

/// A viewer of a terminal. Dropping it leaves; the program lives on.
#[derive(uniffi::Object)]
pub struct Terminal {
    orders: mpsc::Sender<Order>,
    events: Feed<(TerminalEvent, Option<u64>)>,
    /// How far the output was taken.
    taken: watch::Sender<u64>,
    session: Arc<Mutex<Session>>,
}

/// What is to be said to the terminal.
enum Order {
    Write(Bytes, oneshot::Sender<Result<(), HiveError>>),
    Resize(api::Size),
    RequestControl,
    TakeControl,
    ReleaseControl,
    GrantControl(u32),
    Leave(oneshot::Sender<()>),
}

#[uniffi::export]
impl Terminal {
    /// The terminal as it was last heard of.
    pub fn session(&self) -> Session {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until something happens; false where nothing follows. Giving up waiting loses nothing.
    pub async fn wait(&self) -> bool {
        self.events.wait().await
    }

    /// Takes what happened; nothing where nothing did.
    pub fn take(&self) -> Result<Option<TerminalEvent>, HiveError> {
        let Some((event, end)) = self.events.take()? else { return Ok(None) };
        if let Some(end) = end {
            self.taken.send_replace(end);
        }
        Ok(Some(event))
    }

    /// Types, and returns when all of it is taken over: it reaches the program once and in order, also over a way that
    /// breaks, as long as the keyboard stays ours.
    pub async fn write(&self, data: Vec<u8>) -> Result<(), HiveError> {
        self.ask(|done| Order::Write(data.into(), done)).await.unwrap_or_else(|| Err(over()))
    }

    /// Says that the viewer's screen has another size. Only that of who has the keyboard counts.
    pub async fn resize(&self, size: Size) -> Result<(), HiveError> {
        self.order(Order::Resize(size.into())).await
    }

    /// Asks who has the keyboard for it.
    pub async fn request_control(&self) -> Result<(), HiveError> {
        self.order(Order::RequestControl).await
    }

    /// Takes the keyboard from whoever has it.
    pub async fn take_control(&self) -> Result<(), HiveError> {
        self.order(Order::TakeControl).await
    }

    /// Lets the keyboard go.
    pub async fn release_control(&self) -> Result<(), HiveError> {
        self.order(Order::ReleaseControl).await
    }

    /// Gives the keyboard to who asked for it, by the number in `ControlRequested`.
    pub async fn grant_control(&self, to: u32) -> Result<(), HiveError> {
        self.order(Order::GrantControl(to)).await
    }

    /// Leaves: ends the events, says what was typed, and lets the keyboard go. The program lives on.
    pub async fn close(&self) {
        self.events.close();
        // A task that has ended has left.
        self.ask(Order::Leave).await;
    }
}

impl Terminal {
    pub(crate) fn new(terminal: session::Terminal, engine: Arc<Engine>) -> Arc<Self> {
        let (orders, given) = mpsc::channel(ORDERS);
        let (told, mut heard) = mpsc::channel(EVENTS);
        let (taken, shown) = watch::channel(0);
        let session = Arc::new(Mutex::new(terminal.session().clone().into()));
        let driver =
            Driver { terminal, orders: given, told, shown, typing: None, unheard: None, session: session.clone() };
        drop(engine.tasks().start(driver.run()));
        let mut is_over = false;
        let events = futures_util::stream::poll_fn(move |context| {
            heard.poll_recv(context).map(|event| match event {
                Some((event, end)) => {
                    is_over = matches!(event, TerminalEvent::Ended { .. } | TerminalEvent::Refused { .. });
                    Some(Ok((event, end)))
                }
                None if is_over => None,
                None => {
                    is_over = true;
                    Some(Err(HiveError::unavailable("the hive was closed; the terminal lives on")))
                }
            })
        });
        let events = Feed::new(engine, events);
        Arc::new(Self { orders, events, taken, session })
    }

    /// Gives an order and waits for its answer; none where the task has ended, or ends meanwhile.
    ///
    /// An order that is given just as the task ends stays in the channel, and its answer open, for as long as our end of the
    /// channel is there: the answer alone would be waited for without end.
    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
        let (done, mut answer) = oneshot::channel();
        self.order(order(done)).await.ok()?;
        tokio::select! {
            biased;
            answer = &mut answer => answer.ok(),
            () = self.orders.closed() => answer.try_recv().ok(),
        }
    }

    async fn order(&self, order: Order) -> Result<(), HiveError> {
        self.orders.send(order).await.map_err(|_| over())
    }
}

fn over() -> HiveError {
    HiveError::conflict("this view of the terminal is over")
}

/// The task that owns the terminal.
struct Driver {
    terminal: session::Terminal,
    orders: mpsc::Receiver<Order>,
    told: mpsc::Sender<(TerminalEvent, Option<u64>)>,
    shown: watch::Receiver<u64>,
    /// What is being typed. It goes before the next order.
    typing: Option<(Bytes, oneshot::Sender<Result<(), HiveError>>)>,
    /// What waits for room among the events.
    unheard: Option<Told>,
    session: Arc<Mutex<Session>>,
}

/// What came of one step.
enum Step {
    /// There is room among the events for what waits.
    Room,
    Event(Option<Told>),
    Order(Option<Order>),
    Shown,
    /// Nobody listens any more.
    Forgotten,
    /// There may be room for what is to be typed.
    Again,
}

impl Driver {
    async fn run(mut self) {
        loop {
            self.type_on();
            match self.step().await {
                Step::Room => self.tell(),
                Step::Event(Some(event)) => {
                    self.unheard = Some(event);
                    self.note();
                }
                Step::Order(Some(Order::Leave(done))) => {
                    self.terminal.leave().await;
                    done.send(()).ok();
                    return;
                }
                Step::Order(Some(order)) => self.carry_out(order),
                Step::Shown => {
                    let end = *self.shown.borrow_and_update();
                    self.terminal.ack(end);
                }
                Step::Again => {}
                Step::Event(None) => return,
                Step::Order(None) | Step::Forgotten => return self.terminal.leave().await,
            }
        }
    }

    /// Waits for one thing to happen. Nothing is lost where another one happens first.
    async fn step(&mut self) -> Step {
        let (is_unheard, is_typing) = (self.unheard.is_some(), self.typing.is_some());
        tokio::select! {
            room = self.told.reserve(), if is_unheard => if room.is_ok() { Step::Room } else { Step::Forgotten },
            event = self.terminal.next(), if !is_unheard => Step::Event(event),
            order = self.orders.recv(), if !is_typing => Step::Order(order),
            shown = self.shown.changed() => if shown.is_ok() { Step::Shown } else { Step::Forgotten },
            () = sleep(ROOM_INTERVAL), if is_typing => Step::Again,
        }
    }

    /// Tells what waits. There is room, and nobody else to take it.
    fn tell(&mut self) {
        let Some(event) = self.unheard.take() else { return };
        let end = if let Told::Output { end, .. } = &event { Some(*end) } else { None };
        if let Some(event) = TerminalEvent::of(event) {
            self.told.try_send((event, end)).ok();
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Write(data, done) => self.typing = Some((data, done)),
            Order::Resize(size) => self.terminal.resize(size),
            Order::RequestControl => self.terminal.request_control(),
            Order::TakeControl => self.terminal.take_control(),
            Order::ReleaseControl => self.terminal.release_control(),
            Order::GrantControl(to) => self.terminal.grant_control(to),
            Order::Leave(_) => {}
        }
    }

    /// Types as much as there is room for. Where the keyboard is not ours, that is the answer.
    fn type_on(&mut self) {
        let Some((mut data, done)) = self.typing.take() else { return };
        let is_mine = self.terminal.control().is_mine;
        let room = if is_mine { self.terminal.room().min(data.len()) } else { data.len() };
        let written = if room > 0 { self.terminal.write(data.split_to(room)) } else { Ok(()) };
        match written {
            Ok(()) if !data.is_empty() => self.typing = Some((data, done)),
            written => drop(done.send(written.map_err(HiveError::from))),
        }
    }

    fn note(&self) {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        *session = self.terminal.session().clone().into();
    }
}
