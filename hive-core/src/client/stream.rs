//! Endless answers. A task reads them and passes the events on over a bounded channel.
//!
//! A slow listener slows the reader down, and by TCP also the hive, which ends the stream of a listener that falls behind, or sends
//! it a `resync`. The reader ends when the subscription is dropped, when the stream ends, and when a line or an event is too long.
//! A listener recognises a stream that broke off by the missing last event.

use hive_wire::api::{EventCursor, Resync};
use hive_wire::open::OpenTagged;
use reqwest::Response;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::Client;
use super::lines::{LineSplitter, LineTooLong};
use super::sse::{Block, Parser};
use crate::{EventItem, PublishedEvent, Subscription};

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
    fn events() -> Self {
        Self::Events(Parser::new(MAX_EVENT))
    }

    fn push(&mut self, bytes: &[u8]) -> Result<Vec<Block>, LineTooLong> {
        match self {
            Self::Events(parser) => parser.push(bytes),
            Self::Lines(lines) => Ok(lines.push(bytes)?.into_iter().map(line).collect()),
        }
    }

    fn take_rest(&mut self) -> Option<Block> {
        match self {
            // The standard discards an event at the end of the stream that no empty line has ended.
            Self::Events(_) => None,
            Self::Lines(lines) => lines.take_rest().map(line),
        }
    }
}

fn line(bytes: Vec<u8>) -> Block {
    Block { data: Some(String::from_utf8_lossy(&bytes).into_owned()), ..Block::default() }
}

/// Reads an item of a stream; none where there is nothing for the listener.
type Read<T> = fn(Block) -> serde_json::Result<Option<T>>;

impl Client {
    /// Returns the server-sent events of an answer.
    pub(super) fn events<T: DeserializeOwned + OpenTagged + Send + 'static>(
        &self,
        response: Response,
    ) -> Subscription<T> {
        self.follow(response, Cutter::events(), known, Subscription::channel())
    }

    /// Returns the server-sent events of an answer, if they may be large.
    pub(super) fn large_events<T: DeserializeOwned + OpenTagged + Send + 'static>(
        &self,
        response: Response,
    ) -> Subscription<T> {
        self.follow(response, Cutter::events(), known, Subscription::with_capacity(LARGE_EVENTS))
    }

    /// The events of satellites.
    pub(super) fn satellite_events(&self, response: Response) -> Subscription<EventItem> {
        self.follow(response, Cutter::events(), event_item, Subscription::channel())
    }

    /// Returns the JSON lines of an answer.
    pub(super) fn json_lines<T: DeserializeOwned + Send + 'static>(&self, response: Response) -> Subscription<T> {
        self.follow(response, Cutter::Lines(LineSplitter::new(MAX_EVENT)), json, Subscription::channel())
    }

    fn follow<T: Send + 'static>(
        &self,
        response: Response,
        cutter: Cutter,
        read: Read<T>,
        (sender, subscription): (mpsc::Sender<T>, Subscription<T>),
    ) -> Subscription<T> {
        self.readers.spawn(async move {
            tokio::select! {
                // A quiet hive sends nothing for hours. Without this, a dropped subscription would keep its connection open.
                () = sender.closed() => {}
                () = pump(response, cutter, read, &sender) => {}
            }
        });
        subscription
    }
}

/// Reads JSON.
fn json<T: DeserializeOwned>(block: Block) -> serde_json::Result<Option<T>> {
    block.data.filter(|data| !data.is_empty()).map(|data| serde_json::from_str(&data)).transpose()
}

/// Reads an event, and skips one of a later version, as everywhere on the wire.
fn known<T: DeserializeOwned + OpenTagged>(block: Block) -> serde_json::Result<Option<T>> {
    Ok(json(block)?.filter(T::is_known))
}

/// Reads an event of satellites. One of a later version is passed on: its position counts. A server of an earlier version sends no
/// positions.
fn event_item(block: Block) -> serde_json::Result<Option<EventItem>> {
    let cursor = block.id.as_deref().and_then(|id| id.parse().ok());
    if block.name.as_deref() == Some("resync") {
        return Ok(json(block)?.map(|Resync { cursor }| EventItem::Resync(cursor)));
    }
    let Some(data) = block.data.filter(|data| !data.is_empty()) else {
        return Ok(cursor.map(EventItem::Bookmark));
    };
    let published = PublishedEvent::parse(cursor.unwrap_or(EventCursor::UNKNOWN), data)?;
    Ok(Some(EventItem::Event(published.into())))
}

async fn pump<T>(mut response: Response, mut cutter: Cutter, read: Read<T>, listener: &mpsc::Sender<T>) {
    loop {
        let blocks = match response.chunk().await {
            Ok(Some(chunk)) => match cutter.push(&chunk) {
                Ok(blocks) => blocks,
                Err(error) => return tracing::warn!(%error, "the stream of a remote hive cannot be read"),
            },
            Ok(None) => {
                deliver(cutter.take_rest(), read, listener).await;
                return;
            }
            Err(error) => return tracing::debug!(error = %error.without_url(), "the stream of a remote hive broke off"),
        };
        if !deliver(blocks, read, listener).await {
            return;
        }
    }
}

/// Passes items to the listener. Returns false if the listener is gone.
async fn deliver<T>(blocks: impl IntoIterator<Item = Block>, read: Read<T>, listener: &mpsc::Sender<T>) -> bool {
    for block in blocks {
        match read(block) {
            Ok(None) => {}
            Ok(Some(item)) => {
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

#[cfg(test)]
mod tests {
    use hive_wire::api::SatelliteEvent;

    use super::*;

    const ID: &str = "0000000000000007-5";

    fn read(name: Option<&str>, id: Option<&str>, data: Option<&str>) -> Option<EventItem> {
        event_item(Block { name: name.map(Into::into), id: id.map(Into::into), data: data.map(Into::into) }).unwrap()
    }

    #[test]
    fn an_event_has_the_position_of_its_id() {
        let json = r#"{"event":"satellite:removed","data":{"seq":5,"id":"sat_01kge3h900e41861050r3gg28a"}}"#;
        let item = read(Some("satellite:removed"), Some(ID), Some(json)).unwrap();
        assert!(matches!(item.event(), Some(SatelliteEvent::Removed { seq: 5, .. })), "{item:?}");
        assert_eq!(item.cursor(), ID.parse().unwrap());
        assert_eq!(read(None, None, Some(json)).unwrap().cursor(), EventCursor::UNKNOWN);
    }

    #[test]
    fn an_event_of_a_later_version_is_passed_on() {
        let json = r#"{"event":"satellite:renamed","data":{"seq":5}}"#;
        let Some(EventItem::Event(published)) = read(Some("satellite:renamed"), Some(ID), Some(json)) else {
            panic!("no event");
        };
        assert!(matches!(published.event(), SatelliteEvent::Unknown(_)));
        assert_eq!((published.json(), published.cursor()), (json, ID.parse().unwrap()));
    }

    #[test]
    fn a_resync_and_an_id_alone_are_positions() {
        let cursor = ID.parse().unwrap();
        let data = format!(r#"{{"cursor":"{ID}"}}"#);
        assert_eq!(read(Some("resync"), Some(ID), Some(&data)), Some(EventItem::Resync(cursor)));
        assert_eq!(read(None, Some(ID), None), Some(EventItem::Bookmark(cursor)));
        assert_eq!(read(None, Some("of another version"), None), None);
    }
}
