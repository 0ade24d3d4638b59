//! A stream of events to one listener.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::mpsc;

/// Events for one listener, over a bounded channel.
///
/// Whoever feeds it waits for a listener that is behind. What that means for the listener is said where it subscribes. Dropping
/// it unsubscribes.
#[derive(Debug)]
#[must_use = "a subscription that is dropped has ended"]
pub struct Subscription<T> {
    events: mpsc::Receiver<T>,
}

impl<T> Subscription<T> {
    /// Events a listener may owe.
    pub const CAPACITY: usize = 1024;

    /// A subscription and the end that feeds it.
    pub fn channel() -> (mpsc::Sender<T>, Self) {
        Self::with_capacity(Self::CAPACITY)
    }

    /// The same with room for so many events: where whoever feeds it waits for the listener, or events are large.
    pub(crate) fn with_capacity(capacity: usize) -> (mpsc::Sender<T>, Self) {
        let (sender, events) = mpsc::channel(capacity);
        (sender, Self { events })
    }

    /// Waits for the next event; `None` once the subscription has ended.
    pub async fn next(&mut self) -> Option<T> {
        self.events.recv().await
    }
}

impl<T> Stream for Subscription<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.events.poll_recv(context)
    }
}
