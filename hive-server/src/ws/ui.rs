//! `/ws/ui`, from the request to the open socket.
//!
//! The modules in the order of a message of a client: `request` reads it, `action` carries it out, `attached` has the sessions that
//! the socket shows, `typing` decides without I/O what may be typed, `socket` is the loop that sends what the feed of the hive and the
//! sessions give.

mod action;
mod attached;
mod request;
mod socket;
mod typing;

use axum::extract::State;
use axum::extract::ws::WebSocket;
use axum::response::Response;
use hive_core::ActingHive;
use hive_core::wire::ui::{InitialSatellites, MAX_MESSAGE, UiEvent, UiQuery};

use self::socket::UiSocket;
use super::Upgrade;
use super::close::{UiClose, close_handshake};
use super::origin::OwnOrigin;
use super::outbox::text;
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::Query;
use crate::state::AppState;

/// The read buffer. A client sends little.
const READ_BUFFER: usize = 512;
/// Messages are written at once, without a buffer.
const WRITE_BUFFER: usize = 0;

pub(super) async fn upgrade(
    State(state): State<AppState>,
    Authenticated(hive): Authenticated,
    Query(query): Query<UiQuery>,
    _: OwnOrigin,
    upgrade: Upgrade,
) -> Result<Response, HttpError> {
    let upgrade = upgrade.map_err(|_| HttpError::UpgradeRequired(None))?;
    // Before the upgrade, so that the answer can say when to try again.
    if state.draining().is_cancelled() {
        return Err(HttpError::Draining);
    }
    let open_socket = state.limiters().ui_sockets.open().ok_or(HttpError::TooManySockets)?;
    // Held until the socket is closed, so that a shutdown waits for the close handshake.
    let open_link = state.links().token();
    let upgrade = upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE);
    Ok(upgrade.on_upgrade(move |socket| {
        Box::pin(async move {
            serve(state, hive, query.initial, socket).await;
            drop((open_socket, open_link));
        })
    }))
}

async fn serve(state: AppState, hive: ActingHive, initial: InitialSatellites, socket: WebSocket) {
    // Boxed: the future of an open socket must not have space for its opening.
    match Box::pin(hive.live_feed(initial)).await {
        Ok(feed) => Box::pin(UiSocket::new(state, hive, feed, socket).run()).await,
        Err(error) => close(socket, error.into()).await,
    }
}

/// Closes a socket, and waits for the client to answer the close frame.
async fn close(socket: WebSocket, close: UiClose) {
    let UiClose::Frame { error, close } = close else { return };
    tracing::debug!(close.code = close.code, close.reason = %close.reason, "a UI socket is closed");
    let last_message = error.map(|error| text(&UiEvent::Error(*error)));
    close_handshake(socket, last_message, &close).await;
}
