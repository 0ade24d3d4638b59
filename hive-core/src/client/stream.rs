//! Endless answers. A task reads them and passes the events on over a bounded channel.
//!
//! A slow listener slows the reader down, and by TCP also the hive, which ends the stream of a listener that falls behind. The
//! reader ends when the subscription is dropped, when the stream ends, and when a line or an event is too long. A listener
//! recognises a stream that broke off by the missing last event.

use hive_wire::open::OpenTagged;
use reqwest::Response;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::Client;
use super::lines::{LineSplitter, LineTooLong};
use super::sse::Parser;
use crate::Subscription;

/// The events with output that are buffered for a listener. Beyond it, the reader waits.
const LARGE_EVENTS: usize = 32;
/// The most bytes of one event, or of one line.
const MAX_EVENT: usize = 4 * 1024 * 1024;

/// Splits a body into events or lines.
enum Cutter {
    Events(Parser),
    Lines(LineSplitter),
}

impl Cutter {
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, LineTooLong> {
        match self {
            Self::Events(parser) => Ok(parser.push(bytes)?.into_iter().map(String::into_bytes).collect()),
            Self::Lines(lines) => lines.push(bytes),
        }
    }

    fn take_rest(&mut self) -> Option<Vec<u8>> {
        match self {
            // The standard discards an event at the end of the stream that no empty line has ended.
            Self::Events(_) => None,
            Self::Lines(lines) => lines.take_rest(),
        }
    }
}

impl Client {
    /// Returns the server-sent events of an answer.
    pub(super) fn events<T: DeserializeOwned + OpenTagged + Send + 'static>(
        &self,
        response: Response,
    ) -> Subscription<T> {
        self.follow(response, Cutter::Events(Parser::new(MAX_EVENT)), T::is_known, Subscription::channel())
    }

    /// Returns the server-sent events of an answer, if they may be large.
    pub(super) fn large_events<T: DeserializeOwned + OpenTagged + Send + 'static>(
        &self,
        response: Response,
    ) -> Subscription<T> {
        self.follow(
            response,
            Cutter::Events(Parser::new(MAX_EVENT)),
            T::is_known,
            Subscription::with_capacity(LARGE_EVENTS),
        )
    }

    /// Returns the JSON lines of an answer.
    pub(super) fn json_lines<T: DeserializeOwned + Send + 'static>(&self, response: Response) -> Subscription<T> {
        self.follow(response, Cutter::Lines(LineSplitter::new(MAX_EVENT)), |_| true, Subscription::channel())
    }

    fn follow<T: DeserializeOwned + Send + 'static>(
        &self,
        response: Response,
        cutter: Cutter,
        is_known: fn(&T) -> bool,
        (sender, subscription): (mpsc::Sender<T>, Subscription<T>),
    ) -> Subscription<T> {
        self.readers.spawn(async move {
            tokio::select! {
                // A quiet hive sends nothing for hours. Without this, a dropped subscription would keep its connection open.
                () = sender.closed() => {}
                () = pump(response, cutter, is_known, &sender) => {}
            }
        });
        subscription
    }
}

async fn pump<T: DeserializeOwned>(
    mut response: Response,
    mut cutter: Cutter,
    is_known: fn(&T) -> bool,
    listener: &mpsc::Sender<T>,
) {
    loop {
        let pieces = match response.chunk().await {
            Ok(Some(chunk)) => match cutter.push(&chunk) {
                Ok(pieces) => pieces,
                Err(error) => return tracing::warn!(%error, "the stream of a remote hive cannot be read"),
            },
            Ok(None) => {
                deliver(cutter.take_rest(), is_known, listener).await;
                return;
            }
            Err(error) => return tracing::debug!(error = %error.without_url(), "the stream of a remote hive broke off"),
        };
        if !deliver(pieces, is_known, listener).await {
            return;
        }
    }
}

/// Passes events to the listener. Returns false if the listener is gone.
async fn deliver<T: DeserializeOwned>(
    pieces: impl IntoIterator<Item = Vec<u8>>,
    is_known: fn(&T) -> bool,
    listener: &mpsc::Sender<T>,
) -> bool {
    // An empty line or event contains no JSON.
    for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
        match serde_json::from_slice(&piece) {
            // An event of a later version: skipped, as everywhere on the wire.
            Ok(item) if !is_known(&item) => {}
            Ok(item) => {
                if listener.send(item).await.is_err() {
                    return false;
                }
            }
            // One event that cannot be read must not end the stream of all others.
            Err(error) => tracing::debug!(%error, "skipped an event of a remote hive"),
        }
    }
    true
}
