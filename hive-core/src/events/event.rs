//! Events, as they are kept and as subscribers get them.

use std::sync::Arc;

use hive_wire::api::{EventCursor, SatelliteEvent};
use hive_wire::{SatelliteId, TeamId};

use crate::access::{Permission, Resource, ResourceScope};
use crate::store::SatelliteRow;

/// What a subscriber of [`DeviceRegistry::subscribe`](crate::DeviceRegistry::subscribe) gets.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum EventItem {
    /// Something happened.
    Event(Arc<PublishedEvent>),
    /// Events before this position were dropped for this subscriber: it lists the satellites again. What happens after the
    /// position follows.
    Resync(EventCursor),
    /// Nothing happened that this subscriber may see, up to this position. A subscription begins with one, unless it continues
    /// from an earlier position; later ones keep the position of a subscriber for whom little happens from getting too old.
    Bookmark(EventCursor),
}

impl EventItem {
    /// The event, where it is one.
    pub fn event(&self) -> Option<&SatelliteEvent> {
        match self {
            Self::Event(published) => Some(published.event()),
            Self::Resync(_) | Self::Bookmark(_) => None,
        }
    }

    /// The position behind the item: a subscription that begins after it misses nothing and repeats nothing.
    pub fn cursor(&self) -> EventCursor {
        match self {
            Self::Event(published) => published.cursor(),
            Self::Resync(cursor) | Self::Bookmark(cursor) => *cursor,
        }
    }
}

/// An event with its position and its JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedEvent {
    cursor: EventCursor,
    event: SatelliteEvent,
    json: Box<str>,
}

impl PublishedEvent {
    /// An event of this hive. It is serialized here, once for all subscribers.
    pub(super) fn new(cursor: EventCursor, event: SatelliteEvent) -> Self {
        let json = serde_json::to_string(&event).expect("the keys of an event are texts");
        Self { cursor, event, json: json.into() }
    }

    /// Reads an event of another hive.
    #[cfg(feature = "client")]
    pub(crate) fn parse(cursor: EventCursor, json: String) -> serde_json::Result<Self> {
        let event = serde_json::from_str(&json)?;
        Ok(Self { cursor, event, json: json.into() })
    }

    /// The position behind the event.
    pub fn cursor(&self) -> EventCursor {
        self.cursor
    }

    /// The event.
    pub fn event(&self) -> &SatelliteEvent {
        &self.event
    }

    /// The event as JSON.
    pub fn json(&self) -> &str {
        &self.json
    }
}

/// The satellite that an event is about, with all that decides who may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventSubject {
    pub(crate) satellite: SatelliteId,
    pub(crate) team: Option<TeamId>,
    pub(crate) tags: Arc<[String]>,
}

impl EventSubject {
    /// A satellite of which nothing is noted. Only who sees all satellites sees its events.
    pub(super) fn unknown(satellite: SatelliteId) -> Self {
        Self { satellite, team: None, tags: Arc::default() }
    }

    pub(super) fn scope(&self) -> ResourceScope<'_> {
        ResourceScope::Satellite { team: self.team, tags: &self.tags }
    }
}

impl From<&SatelliteRow> for EventSubject {
    fn from(row: &SatelliteRow) -> Self {
        Self { satellite: row.id, team: row.team_id, tags: row.tags.as_slice().into() }
    }
}

/// An event on the bus.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) published: Arc<PublishedEvent>,
    /// The satellite as it was when the event was published.
    pub(crate) subject: EventSubject,
    /// What the satellite has become, where the event is for those who lose sight of it.
    pub(super) moved_to: Option<EventSubject>,
}

impl Resource for Event {
    fn read_permission(&self) -> Permission {
        Permission::SatellitesRead
    }

    fn scope(&self) -> ResourceScope<'_> {
        self.subject.scope()
    }

    fn moved_to(&self) -> Option<ResourceScope<'_>> {
        self.moved_to.as_ref().map(EventSubject::scope)
    }
}
