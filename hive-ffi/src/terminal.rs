//! One viewer of a terminal, for languages whose objects are shared between threads.
//!
//! The [`terminal::Terminal`](hive_core::terminal::Terminal) has one owner, the task of [`driver`]. The object sends it requests
//! and reads its events. Output is acknowledged when it is taken: a slow reader slows the program down, and no queue grows.

mod driver;

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{Stream, poll_fn};
use hive_core::terminal;
use tokio::sync::{mpsc, oneshot, watch};

use crate::HiveError;
use crate::engine::Engine;
use crate::feed::Feed;
use crate::records::{Session, Size, TerminalEvent};

use driver::{Driver, DriverRequest, OutputEnd};

/// Events that wait for the reader. When there are so many, nothing more is read from the terminal.
const MAX_EVENTS: usize = 64;
/// Requests that wait for the driver. When there are so many, callers wait.
const MAX_REQUESTS: usize = 16;

/// A viewer of a terminal. Dropping it detaches; the program continues.
#[derive(uniffi::Object)]
pub struct Terminal {
    requests: mpsc::Sender<DriverRequest>,
    events: Feed<(TerminalEvent, Option<OutputEnd>)>,
    /// The end of the output that the reader has taken.
    acknowledged: watch::Sender<OutputEnd>,
    session: Arc<Mutex<Session>>,
}

#[uniffi::export]
impl Terminal {
    /// The session as last reported.
    pub fn session(&self) -> Session {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for an event; false at the end of the stream. A caller that stops waiting loses nothing.
    pub async fn wait(&self) -> bool {
        self.events.wait().await
    }

    /// Takes the event; nothing if there is none yet.
    pub fn take(&self) -> Result<Option<TerminalEvent>, HiveError> {
        let Some((event, end)) = self.events.take()? else { return Ok(None) };
        if let Some(end) = end {
            // The latest end acknowledges all output before it. A driver that has ended does not matter.
            self.acknowledged.send_replace(end);
        }
        Ok(Some(event))
    }

    /// Sends input, and returns when all of it is accepted. It reaches the program once and in order, also over connections
    /// that break, as long as this viewer keeps the keyboard.
    pub async fn write(&self, data: Vec<u8>) -> Result<(), HiveError> {
        self.ask(|reply| DriverRequest::Write(data.into(), reply)).await.unwrap_or_else(|| Err(detached()))
    }

    /// Reports another size of the viewer's screen. Only the size of the keyboard's holder counts.
    pub async fn resize(&self, size: Size) -> Result<(), HiveError> {
        self.send(DriverRequest::Resize(size.into())).await
    }

    /// Asks the holder of the keyboard for it.
    pub async fn request_control(&self) -> Result<(), HiveError> {
        self.send(DriverRequest::RequestControl).await
    }

    /// Takes the keyboard from its holder.
    pub async fn take_control(&self) -> Result<(), HiveError> {
        self.send(DriverRequest::TakeControl).await
    }

    /// Releases the keyboard.
    pub async fn release_control(&self) -> Result<(), HiveError> {
        self.send(DriverRequest::ReleaseControl).await
    }

    /// Gives the keyboard to a viewer that asked for it, by the number in `ControlRequested`.
    pub async fn grant_control(&self, to: u32) -> Result<(), HiveError> {
        self.send(DriverRequest::GrantControl(to)).await
    }

    /// Detaches: ends the events, sends the accepted input, and releases the keyboard. The program continues.
    pub async fn close(&self) {
        // First the events: a reader that waits is woken even if the driver is busy.
        self.events.close();
        // Without an answer, the driver has ended and thereby detached.
        self.ask(DriverRequest::Leave).await;
    }
}

impl Terminal {
    pub(crate) fn new(terminal: terminal::Terminal, engine: Arc<Engine>) -> Arc<Self> {
        let (requests, incoming) = mpsc::channel(MAX_REQUESTS);
        let (sender, receiver) = mpsc::channel(MAX_EVENTS);
        // Acknowledgements are cumulative: only the latest one counts.
        let (acknowledged, acks) = watch::channel(0);
        let session = Arc::new(Mutex::new(terminal.session().clone().into()));
        let driver = Driver::new(terminal, incoming, sender, acks, session.clone());
        drop(engine.tasks().start(driver.run()));
        let events = Feed::new(engine, until_last_event(receiver));
        Arc::new(Self { requests, events, acknowledged, session })
    }

    /// Sends a request and waits for its reply; none if the driver has ended, or ends meanwhile.
    ///
    /// A request that is sent while the driver ends stays in the channel, and its reply stays open, for as long as our end of
    /// the channel exists. Waiting for the reply alone would never end.
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> DriverRequest) -> Option<T> {
        let (reply, mut answer) = oneshot::channel();
        self.send(request(reply)).await.ok()?;
        tokio::select! {
            // A driver may have answered and then ended.
            biased;
            answer = &mut answer => answer.ok(),
            () = self.requests.closed() => answer.try_recv().ok(),
        }
    }

    async fn send(&self, request: DriverRequest) -> Result<(), HiveError> {
        self.requests.send(request).await.map_err(|_| detached())
    }
}

fn detached() -> HiveError {
    HiveError::conflict("this view of the terminal is over")
}

/// The events of the driver as a stream. It ends with an error unless its last event was the last of the terminal.
fn until_last_event(
    mut receiver: mpsc::Receiver<(TerminalEvent, Option<OutputEnd>)>,
) -> impl Stream<Item = Result<(TerminalEvent, Option<OutputEnd>), HiveError>> {
    let mut is_over = false;
    poll_fn(move |context| {
        receiver.poll_recv(context).map(|event| match event {
            Some((event, end)) => {
                is_over = matches!(event, TerminalEvent::Ended { .. } | TerminalEvent::Refused { .. });
                Some(Ok((event, end)))
            }
            // The driver ends without a last event if the hive is closed under it.
            None if is_over => None,
            None => {
                is_over = true;
                Some(Err(HiveError::unavailable("the hive was closed; the terminal lives on")))
            }
        })
    })
}
