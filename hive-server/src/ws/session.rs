//! `/api/v1/sessions/{id}/attach`, from the request to the viewer that is let in. What comes then is in `viewer`.

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use hive_core::session::Attachment;
use hive_core::wire::SessionId;
use hive_core::wire::session::{AttachRequest, FromViewer, SUBPROTOCOL};
use hive_core::{ActingHive, Error, SessionManager};
use tokio::time::timeout;

use super::close::Parting;
use super::origin::SameOrigin;
use super::viewer::{Viewer, part};
use crate::auth::Caller;
use crate::error::Failure;
use crate::extract::Path;
use crate::state::AppState;

/// The most bytes of one message: a full frame, and more than any text.
const MAX_MESSAGE: usize = 128 * 1024;
/// Read at once. A viewer says little.
const READ_BUFFER: usize = 4096;
/// Messages are written as they come.
const WRITE_BUFFER: usize = 0;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

pub(super) async fn attach(
    State(state): State<AppState>,
    Caller(hive): Caller,
    Path(id): Path<SessionId>,
    _: SameOrigin,
    upgrade: Upgrade,
) -> Result<Response, Failure> {
    if hive.session_get(id).await?.is_none() {
        return Err(Error::SessionNotFound(id.to_string()).into());
    }
    let upgrade = negotiate(upgrade)?;
    let present = state.links().token();
    Ok(upgrade.on_upgrade(move |socket| {
        Box::pin(async move {
            serve(state, hive, id, socket).await;
            drop(present);
        })
    }))
}

fn negotiate(upgrade: Upgrade) -> Result<WebSocketUpgrade, Failure> {
    let upgrade = upgrade.map_err(|_| Failure::UpgradeRequired)?.protocols([SUBPROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        return Err(Failure::UpgradeRequired);
    }
    Ok(upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE))
}

async fn serve(state: AppState, hive: ActingHive, id: SessionId, mut socket: WebSocket) {
    match Box::pin(open(&state, &hive, id, &mut socket)).await {
        Ok(attachment) => Box::pin(Viewer::new(&state, socket, attachment).run(state.stopping())).await,
        Err(parting) => Box::pin(part(socket, parting)).await,
    }
}

/// Waits for the first message and lets the viewer in.
async fn open(
    state: &AppState,
    hive: &ActingHive,
    id: SessionId,
    socket: &mut WebSocket,
) -> Result<Attachment, Parting> {
    let opening = async {
        let first = timeout(state.limits().handshake_timeout, first_message(socket)).await;
        let request = first.map_err(|_| Parting::timeout("no first message came in time"))??;
        Ok(hive.session_attach(id, request).await?)
    };
    tokio::select! {
        opened = opening => opened,
        () = state.stopping().cancelled() => Err(Parting::going_away()),
    }
}

async fn first_message(socket: &mut WebSocket) -> Result<AttachRequest, Parting> {
    loop {
        match socket.recv().await {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(FromViewer::Attach(request)) => return Ok(request),
                _ => return Err(Parting::protocol("the first message must be an attach")),
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => return Err(Parting::protocol("the first message must be an attach")),
            Some(Err(error)) => return Err(Parting::protocol(error.to_string())),
            Some(Ok(Message::Close(_))) | None => return Err(Parting::Gone),
        }
    }
}
