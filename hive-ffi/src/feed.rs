//! Streams as other languages read them: wait, then take.
//!
//! Two steps, because whoever awaits may be cancelled between an item's arrival and its hand-over: waiting takes nothing, and
//! taking does not wait, so that nothing is lost.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, Stream};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::HiveError;
use crate::engine::Engine;
use crate::records::{ExecEvent, JobEvent, SatelliteEvent};

/// Something that happens, again and again, for one reader.
pub(crate) struct Feed<T> {
    inbox: Mutex<Inbox<T>>,
    closed: CancellationToken,
    /// Who feeds it runs on this.
    _engine: Arc<Engine>,
}

struct Inbox<T> {
    /// None once it is over.
    source: Option<BoxStream<'static, Result<T, HiveError>>>,
    next: Option<Result<T, HiveError>>,
}

impl<T: Send + 'static> Feed<T> {
    pub(crate) fn new(engine: Arc<Engine>, source: impl Stream<Item = Result<T, HiveError>> + Send + 'static) -> Self {
        let inbox = Mutex::new(Inbox { source: Some(source.boxed()), next: None });
        Self { inbox, closed: CancellationToken::new(), _engine: engine }
    }

    /// Waits until there is something to take. False where it is over.
    pub(crate) async fn wait(&self) -> bool {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => {
                *self.inbox.lock().await = Inbox { source: None, next: None };
                false
            }
            is_there = self.arrival() => is_there,
        }
    }

    /// Takes what [`wait`](Self::wait) waited for.
    pub(crate) fn take(&self) -> Result<Option<T>, HiveError> {
        // Who holds the lock waits for what comes next: there is nothing to take.
        let Ok(mut inbox) = self.inbox.try_lock() else { return Ok(None) };
        inbox.next.take().transpose()
    }

    /// Ends it, for who waits as well.
    pub(crate) fn close(&self) {
        self.closed.cancel();
        if let Ok(mut inbox) = self.inbox.try_lock() {
            *inbox = Inbox { source: None, next: None };
        }
    }

    async fn arrival(&self) -> bool {
        let mut inbox = self.inbox.lock().await;
        if inbox.next.is_none()
            && let Some(source) = &mut inbox.source
        {
            inbox.next = source.next().await;
            if !matches!(inbox.next, Some(Ok(_))) {
                inbox.source = None;
            }
        }
        inbox.next.is_some()
    }
}

/// The items of a stream that ends with an error unless `is_complete` said of the last one that nothing follows.
pub(crate) fn complete<T, S>(
    source: S,
    broken: &'static str,
    mut is_complete: impl FnMut(&T) -> bool + Send + 'static,
) -> impl Stream<Item = Result<T, HiveError>> + Send + 'static
where
    T: Send + 'static,
    S: Stream<Item = T> + Send + 'static,
{
    let mut source = source.boxed();
    let (mut ended, mut is_over) = (false, false);
    futures_util::stream::poll_fn(move |context| {
        if is_over {
            return std::task::Poll::Ready(None);
        }
        source.poll_next_unpin(context).map(|item| {
            if let Some(item) = item {
                ended = is_complete(&item);
                return Some(Ok(item));
            }
            is_over = true;
            (!ended).then(|| Err(HiveError::unavailable(broken)))
        })
    })
}

/// A stream as an object of the languages.
macro_rules! streams {
    ($($(#[$doc:meta])* $name:ident of $item:ty;)*) => {$(
        $(#[$doc])*
        #[derive(uniffi::Object)]
        pub struct $name(Feed<$item>);

        impl $name {
            pub(crate) fn new(
                engine: Arc<Engine>,
                source: impl Stream<Item = Result<$item, HiveError>> + Send + 'static,
            ) -> Arc<Self> {
                Arc::new(Self(Feed::new(engine, source)))
            }
        }

        #[uniffi::export]
        impl $name {
            /// Waits until there is something to take; false where the stream is over. Giving up waiting loses nothing.
            pub async fn wait(&self) -> bool {
                self.0.wait().await
            }

            /// Takes what was waited for; nothing where there is nothing yet.
            pub fn take(&self) -> Result<Option<$item>, HiveError> {
                self.0.take()
            }

            /// Ends the stream.
            pub fn close(&self) {
                self.0.close();
            }
        }
    )*};
}

streams! {
    /// What happens to satellites. It ends with an error where it broke off: then ask anew what there is.
    SatelliteEvents of SatelliteEvent;
    /// What happens to commands while they run.
    ExecEvents of ExecEvent;
    /// What happens to a job until it has ended, beginning with what has happened.
    JobEvents of JobEvent;
    /// An exported audit trail, a line of JSON an item; the last is the signed manifest.
    AuditExport of String;
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn feed<T: Send + 'static>(source: impl Stream<Item = Result<T, HiveError>> + Send + 'static) -> Feed<T> {
        Feed::new(Engine::get().unwrap(), source)
    }

    #[tokio::test]
    async fn what_was_waited_for_is_taken_once() {
        let feed = feed(stream::iter([1, 2]).map(Ok));
        assert!(feed.wait().await && feed.wait().await, "waiting twice takes nothing");
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
    async fn a_stream_that_breaks_off_says_so() {
        let check = async |last: u8, broken: bool| {
            let items = complete(stream::iter([1, last]), "broke off", |item| *item == 9).collect::<Vec<_>>().await;
            assert_eq!(items.last().unwrap().is_err(), broken);
        };
        check(2, true).await;
        check(9, false).await;
    }
}
