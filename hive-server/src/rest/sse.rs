//! Events to a client that reads them as they come (`text/event-stream`).

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use hive_core::Subscription;
use serde::Serialize;

use crate::state::AppState;

/// Streams a subscription: each event by its name, with its JSON as data. A silent stream shows by comments that it
/// lives, and ends when the server stops.
pub(super) fn answer<T>(state: &AppState, events: Subscription<T>, name: fn(&T) -> &'static str) -> Response
where
    T: Serialize + Send + 'static,
{
    let stream = events
        .map(move |event| Event::default().event(name(&event)).json_data(&event))
        .take_until(state.stopping().clone().cancelled_owned());
    let keep_alive = KeepAlive::new().interval(state.limits().keep_alive);
    Sse::new(stream).keep_alive(keep_alive).into_response()
}
