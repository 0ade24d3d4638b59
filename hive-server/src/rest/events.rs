//! Events of satellites, as a stream.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::StreamExt;
use hive_core::EventItem;
use hive_core::wire::api::{EventCursor, EventQuery, Resync, SatelliteEvent};

use super::sse;
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::Query;
use crate::routes::{Operation, Reach, Routes};
use crate::state::AppState;
use hive_core::access::Permission;

pub(super) fn routes() -> Routes<AppState> {
    Routes::tagged("events").get(
        "/api/v1/events",
        events,
        Operation::new("event_stream", "Streams the events of satellites")
            .description(
                "The id of an event is its cursor. An event `resync` says that events before its cursor were dropped: the reader \
                 reads the list again.",
            )
            .permission(Permission::SatellitesRead, Reach::Visible)
            .query::<EventQuery>()
            .header("Last-Event-ID", "The id of the last event, as browsers send it. It counts instead of `after`.")
            .answer_events::<SatelliteEvent>("The events of the satellites that the caller may see."),
    )
}

/// How a client that reconnects by itself says what it got last, as the HTML standard says in "9.2.4 The `Last-Event-ID` header".
const LAST_EVENT_ID: &str = "last-event-id";

pub(super) async fn events(
    State(state): State<AppState>,
    Authenticated(hive): Authenticated,
    Query(EventQuery { after }): Query<EventQuery>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    // The header first: a client that reconnects by itself repeats the query of its first request.
    let items = hive.satellites().subscribe(last_event_id(&headers).or(after)).await?;
    Ok(sse::response(&state, items.filter_map(async |item| sse_event(&item))))
}

/// Returns the position of a client that reconnects by itself. A text that is no cursor was sent by another version, and gives
/// a resync: a browser that is refused would not try again.
fn last_event_id(headers: &HeaderMap) -> Option<EventCursor> {
    let id = headers.get(LAST_EVENT_ID)?;
    if id.is_empty() {
        return None;
    }
    Some(id.to_str().ok().and_then(|id| id.parse().ok()).unwrap_or(EventCursor::UNKNOWN))
}

/// An item as it is sent: with the JSON that was written when the event was published.
fn sse_event(item: &EventItem) -> Option<Result<Event, axum::Error>> {
    let event = Event::default().id(item.cursor().to_string());
    match item {
        EventItem::Event(published) => Some(Ok(event.event(event_name(published.event())).data(published.json()))),
        EventItem::Resync(cursor) => Some(event.event("resync").json_data(Resync { cursor: *cursor })),
        // An id alone: clients keep it, and see no event.
        EventItem::Bookmark(_) => Some(Ok(event)),
        _ => None,
    }
}

fn event_name(event: &SatelliteEvent) -> &'static str {
    match event {
        SatelliteEvent::Online { .. } => "satellite:online",
        SatelliteEvent::Offline { .. } => "satellite:offline",
        SatelliteEvent::Updated { .. } => "satellite:updated",
        SatelliteEvent::KeyReplaced { .. } => "satellite:key_replaced",
        SatelliteEvent::Conflict { .. } => "satellite:conflict",
        SatelliteEvent::Removed { .. } => "satellite:removed",
        _ => "satellite:event",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_another_version_is_a_position_that_is_unknown() {
        let check = |id: &'static str, expected: Option<EventCursor>| {
            let headers = HeaderMap::from_iter([(LAST_EVENT_ID.parse().unwrap(), id.parse().unwrap())]);
            assert_eq!(last_event_id(&headers), expected, "{id:?}");
        };
        check("0000000000000007-5", Some(EventCursor { epoch: 7, seq: 5 }));
        check("v2:7:5", Some(EventCursor::UNKNOWN));
        check("", None);
        assert_eq!(last_event_id(&HeaderMap::new()), None);
    }
}
