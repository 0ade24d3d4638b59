//! Event streams (`text/event-stream`).

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use hive_core::Subscription;
use serde::Serialize;

use crate::state::AppState;

/// Streams a subscription: each event with its name, and its JSON as data.
pub(super) fn stream<T>(state: &AppState, events: Subscription<T>, name: fn(&T) -> &'static str) -> Response
where
    T: Serialize + Send + 'static,
{
    response(state, events.map(move |event| Event::default().event(name(&event)).json_data(&event)))
}

/// Streams events. An idle stream sends comments to keep the connection open. The stream ends when the server is draining.
pub(super) fn response(
    state: &AppState,
    events: impl Stream<Item = Result<Event, axum::Error>> + Send + 'static,
) -> Response {
    // Ended at once: an open stream would use up the grace period of other requests.
    let events = events.take_until(state.draining().clone().cancelled_owned());
    let keep_alive = KeepAlive::new().interval(state.limits().keep_alive);
    Sse::new(events).keep_alive(keep_alive).into_response()
}
