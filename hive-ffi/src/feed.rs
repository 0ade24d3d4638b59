//! A stream as other languages read it, in two steps: wait, then take.
//!
//! One step would lose items: a task that awaits the next item may be cancelled after the item has arrived, and before it is
//! handed over. Waiting consumes nothing, and taking does not wait.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, Stream};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::HiveError;
use crate::engine::Engine;

/// A stream for one reader.
pub(crate) struct Feed<T> {
    slot: Mutex<Slot<T>>,
    closed: CancellationToken,
    /// The tasks behind the stream run on it.
    _engine: Arc<Engine>,
}

struct Slot<T> {
    /// None after the last item.
    source: Option<BoxStream<'static, Result<T, HiveError>>>,
    /// The item that was waited for and not taken yet.
    next: Option<Result<T, HiveError>>,
}

impl<T: Send + 'static> Feed<T> {
    pub(crate) fn new(engine: Arc<Engine>, source: impl Stream<Item = Result<T, HiveError>> + Send + 'static) -> Self {
        let slot = Mutex::new(Slot { source: Some(source.boxed()), next: None });
        Self { slot, closed: CancellationToken::new(), _engine: engine }
    }

    /// Waits until there is an item to take. Returns false at the end of the stream.
    pub(crate) async fn wait(&self) -> bool {
        tokio::select! {
            // A closed stream ends, even if items are left.
            biased;
            () = self.closed.cancelled() => {
                *self.slot.lock().await = Slot { source: None, next: None };
                false
            }
            has_item = self.fill() => has_item,
        }
    }

    /// Takes the item that [`wait`](Self::wait) waited for.
    pub(crate) fn take(&self) -> Result<Option<T>, HiveError> {
        // The lock is held only while a reader waits for an item. Then there is none to take.
        let Ok(mut slot) = self.slot.try_lock() else { return Ok(None) };
        slot.next.take().transpose()
    }

    /// Ends the stream, also for a reader that waits.
    pub(crate) fn close(&self) {
        self.closed.cancel();
        // A reader that holds the lock is woken by `closed` and drops the source itself.
        if let Ok(mut slot) = self.slot.try_lock() {
            *slot = Slot { source: None, next: None };
        }
    }

    /// Reads the next item into the slot, unless there is one. Returns whether there is one now.
    async fn fill(&self) -> bool {
        let mut slot = self.slot.lock().await;
        if slot.next.is_none()
            && let Some(source) = &mut slot.source
        {
            slot.next = source.next().await;
            if !matches!(slot.next, Some(Ok(_))) {
                slot.source = None;
            }
        }
        slot.next.is_some()
    }
}

/// Adds an error to the end of a stream, unless `is_complete` held for its last item. A stream whose connection breaks just
/// ends, and its reader could not tell that from completion.
pub(crate) fn or_broken<T, S>(
    source: S,
    broken: &'static str,
    mut is_complete: impl FnMut(&T) -> bool + Send + 'static,
) -> impl Stream<Item = Result<T, HiveError>> + Send + 'static
where
    T: Send + 'static,
    S: Stream<Item = T> + Send + 'static,
{
    let mut source = source.boxed();
    let (mut has_all, mut is_over) = (false, false);
    futures_util::stream::poll_fn(move |context| {
        if is_over {
            return std::task::Poll::Ready(None);
        }
        source.poll_next_unpin(context).map(|item| {
            if let Some(item) = item {
                has_all = is_complete(&item);
                return Some(Ok(item));
            }
            is_over = true;
            (!has_all).then(|| Err(HiveError::unavailable(broken)))
        })
    })
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn feed<T: Send + 'static>(source: impl Stream<Item = Result<T, HiveError>> + Send + 'static) -> Feed<T> {
        Feed::new(Engine::get().unwrap(), source)
    }

    #[tokio::test]
    async fn an_item_is_taken_once() {
        let feed = feed(stream::iter([1, 2]).map(Ok));
        assert!(feed.wait().await && feed.wait().await, "waiting consumes nothing");
        assert_eq!(feed.take(), Ok(Some(1)));
        assert_eq!(feed.take(), Ok(None));
        assert!(feed.wait().await);
        assert_eq!(feed.take(), Ok(Some(2)));
        assert!(!feed.wait().await);
    }

    #[tokio::test]
    async fn closing_ends_the_waiting() {
        let feed = Arc::new(feed::<u8>(stream::pending()));
        let mut waiting = Box::pin(feed.wait());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        feed.close();
        assert!(!waiting.await);
        assert_eq!(feed.take(), Ok(None));
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_ends_with_an_error() {
        let check = async |last: u8, broken: bool| {
            let items = or_broken(stream::iter([1, last]), "broke off", |item| *item == 9).collect::<Vec<_>>().await;
            assert_eq!(items.last().unwrap().is_err(), broken);
        };
        check(2, true).await;
        check(9, false).await;
    }
}
