//! `/api/v1/sessions/{id}/attach`, from the request to the attached viewer. The attached viewer is in `viewer`.

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use hive_core::sessions::Attachment;
use hive_core::wire::SessionId;
use hive_core::wire::session::{AttachRequest, FromViewer, SUBPROTOCOL};
use hive_core::{ActingHive, Error};
use tokio::time::timeout;

use super::Upgrade;
use super::close::ViewerClose;
use super::origin::OwnOrigin;
use super::viewer::{ViewerSocket, close_socket};
use crate::auth::Authenticated;
use crate::error::HttpError;
use crate::extract::Path;
use crate::state::AppState;

/// The most bytes of one message: a full data frame, which is larger than any control message.
const MAX_MESSAGE_BYTES: usize = 128 * 1024;
/// The read buffer. A viewer sends little.
const READ_BUFFER: usize = 512;
/// Messages are written at once, without a buffer.
const WRITE_BUFFER: usize = 0;

pub(super) async fn attach(
    State(state): State<AppState>,
    Authenticated(hive): Authenticated,
    Path(id): Path<SessionId>,
    _: OwnOrigin,
    upgrade: Upgrade,
) -> Result<Response, HttpError> {
    // Before the upgrade, so that an unknown session is a 404 and not a close code.
    if hive.sessions().get(id).await?.is_none() {
        return Err(Error::SessionNotFound(id.to_string()).into());
    }
    let upgrade = negotiate(upgrade)?;
    // Held until the socket is closed, so that a shutdown waits for the close handshake.
    let open_viewer = state.links().token();
    Ok(upgrade.on_upgrade(move |socket| {
        Box::pin(async move {
            serve(state, hive, id, socket).await;
            drop(open_viewer);
        })
    }))
}

fn negotiate(upgrade: Upgrade) -> Result<WebSocketUpgrade, HttpError> {
    let upgrade = upgrade.map_err(|_| HttpError::UpgradeRequired(Some(SUBPROTOCOL)))?.protocols([SUBPROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        return Err(HttpError::UpgradeRequired(Some(SUBPROTOCOL)));
    }
    Ok(upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES))
}

async fn serve(state: AppState, hive: ActingHive, id: SessionId, mut socket: WebSocket) {
    // Boxed: the future of an attached viewer must not have space for its opening.
    match Box::pin(open(&state, &hive, id, &mut socket)).await {
        Ok(attachment) => Box::pin(ViewerSocket::new(&state, socket, attachment).run(state.draining())).await,
        Err(close) => Box::pin(close_socket(socket, close)).await,
    }
}

/// Waits for the first message and attaches the viewer.
async fn open(
    state: &AppState,
    hive: &ActingHive,
    id: SessionId,
    socket: &mut WebSocket,
) -> Result<Attachment, ViewerClose> {
    let opening = async {
        let first = timeout(state.limits().handshake_timeout, first_message(socket)).await;
        let request = first.map_err(|_| ViewerClose::timeout("no first message was received in time"))??;
        Ok(hive.sessions().attach(id, request).await?)
    };
    tokio::select! {
        opened = opening => opened,
        () = state.draining().cancelled() => Err(ViewerClose::going_away()),
    }
}

async fn first_message(socket: &mut WebSocket) -> Result<AttachRequest, ViewerClose> {
    loop {
        match socket.recv().await {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(FromViewer::Attach(request)) => return Ok(request),
                _ => return Err(ViewerClose::protocol("the first message must be an attach")),
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => return Err(ViewerClose::protocol("the first message must be an attach")),
            Some(Err(error)) => return Err(ViewerClose::protocol(error.to_string())),
            Some(Ok(Message::Close(_))) | None => return Err(ViewerClose::ConnectionLost),
        }
    }
}
