//! The reading of one subscriber: a task with a position of its own, and no queue. A slow subscriber delays nobody.

use std::sync::Arc;

use hive_wire::api::EventCursor;
use tokio::sync::mpsc::{self, error::SendError};

use super::bus::EventBatch;
use super::{EventItem, Events};
use crate::access::{Principal, may_see};
use crate::{Result, Subscription};

/// Items that wait for a subscriber. With more of them its position stays where it is, until a resync moves it.
const WAITING: usize = 64;
/// Events that a subscriber may not see, after which it gets a bookmark.
const BOOKMARK_INTERVAL: u64 = 1_000;

impl Events {
    /// Subscribes a principal to the events of the satellites it may see: from now on, or behind a position.
    pub(crate) async fn subscribe(
        self: &Arc<Self>,
        principal: &Principal,
        after: Option<EventCursor>,
    ) -> Result<Subscription<EventItem>> {
        let (listener, subscription) = Subscription::with_capacity(WAITING);
        // Before the grant is issued, which reads the store: what happens meanwhile is not missed.
        let position = after.unwrap_or_else(|| self.cursor());
        let reader = Reader { events: self.clone(), principal: principal.clone(), position, reported: after };
        self.grants.spawn_stream(principal, &listener, reader.run(listener.clone())).await?;
        Ok(subscription)
    }
}

struct Reader {
    events: Arc<Events>,
    principal: Principal,
    /// Up to where the events were read.
    position: EventCursor,
    /// The last position that the subscriber knows.
    reported: Option<EventCursor>,
}

impl Reader {
    /// Reads until the subscriber is gone.
    async fn run(mut self, listener: mpsc::Sender<EventItem>) {
        let mut published = self.events.published.subscribe();
        loop {
            // Before the reading: an event that is published after it wakes the next wait.
            published.mark_unchanged();
            match self.read(&listener).await {
                Ok(true) => {}
                Ok(false) if published.changed().await.is_ok() => {}
                Ok(false) | Err(_) => return,
            }
        }
    }

    /// Reads the next events and hands on those that may be seen. False where there are no more.
    async fn read(&mut self, listener: &mpsc::Sender<EventItem>) -> Result<bool, SendError<EventItem>> {
        let items = match self.events.read(&mut self.position) {
            EventBatch::Resync(cursor) => vec![EventItem::Resync(cursor)],
            EventBatch::Events(events) if events.is_empty() => {
                if self.is_bookmark_due() {
                    self.send(listener, EventItem::Bookmark(self.position)).await?;
                }
                return Ok(false);
            }
            EventBatch::Events(events) => {
                let visible = events.iter().filter(|event| may_see(&self.principal, event.as_ref()));
                visible.map(|event| EventItem::Event(event.published.clone())).collect()
            }
        };
        for item in items {
            self.send(listener, item).await?;
        }
        Ok(true)
    }

    async fn send(&mut self, listener: &mpsc::Sender<EventItem>, item: EventItem) -> Result<(), SendError<EventItem>> {
        self.reported = Some(item.cursor());
        listener.send(item).await
    }

    fn is_bookmark_due(&self) -> bool {
        self.reported.is_none_or(|reported| self.position.seq - reported.seq >= BOOKMARK_INTERVAL)
    }
}
