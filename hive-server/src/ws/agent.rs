//! `/ws/agent`, from the request to the accepted handshake. The open link is in `link`.
//!
//! A server holds many links, most of them idle, so their memory counts. Buffers start small, and the futures that only the
//! handshake needs are boxed and freed before the link is open.

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::HeaderMap;
use axum::response::Response;
use hive_core::Error;
use hive_core::access::SatelliteIdentity;
use hive_core::hive::AttachedSatellite;
use hive_core::link::{ChannelLink, LinkEnd, Outgoing};
use hive_core::wire::agent::{Handshake, HandshakeAck, MAX_MESSAGE, PROTOCOL_VERSION, SUBPROTOCOL, ToAgent, ToServer};
use tokio::time::{Instant, timeout_at};

use super::Upgrade;
use super::close::{LinkClose, handshake_error};
use super::link::Link;
use super::socket::{Socket, SocketMessage};
use crate::auth::RequestParts;
use crate::error::HttpError;
use crate::limits::{HandshakeGuard, HandshakePermit};
use crate::satellites::{self, SatelliteApiError};
use crate::state::AppState;

/// The read buffer, which an open link keeps. The default of 128 KiB would cost 1.3 GB for 10,000 satellites. Larger messages
/// cost no more reads of the socket: `ReadAhead` reads ahead.
const READ_BUFFER: usize = 512;
/// Messages are written at once, without a buffer.
const WRITE_BUFFER: usize = 0;
/// The most bytes of the first message.
const MAX_HANDSHAKE_BYTES: usize = 64 * 1024;
/// Bytes that may wait for a slow socket: the message being sent, and pongs behind it. With more, sending fails.
const MAX_WRITE_BUFFER: usize = 2 * MAX_MESSAGE;

pub(super) async fn upgrade(
    State(state): State<AppState>,
    request_parts: RequestParts,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Result<Response, SatelliteApiError> {
    // Before the authentication: a link that opens now would be closed at once, and its handshake would use up a permit.
    if state.draining().is_cancelled() {
        return Err(HttpError::Draining.into());
    }
    let (identity, permit) = satellites::authenticate(&state, &request_parts, &headers).await?;
    // After the authentication: without a key the response is 401, whatever else is wrong with the request.
    let upgrade = negotiate(upgrade)?;
    // The deadline of the connection: authentication and handshake share one timeout.
    let deadline = request_parts.deadline();
    let slots = HandshakeSlots { permit, guard: state.limiters().handshakes.begin(identity.id) };
    // Held until the link is closed, so that a shutdown waits for the close handshake.
    let open_link_token = state.links().token();
    Ok(upgrade.on_upgrade(move |socket| {
        let socket = Socket::new(socket, state.limits().write_timeout);
        // The future of the handshake is freed before the link runs, which stays open for days.
        let opening = Box::pin(open_link(state, identity, slots, socket, deadline));
        async move {
            let link = opening.await;
            if let Some(link) = link {
                Box::pin(link.run()).await;
            }
            drop(open_link_token);
        }
    }))
}

fn negotiate(upgrade: Upgrade) -> Result<WebSocketUpgrade, SatelliteApiError> {
    let upgrade = upgrade.map_err(|_| SatelliteApiError::UpgradeRequired)?.protocols([SUBPROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        return Err(SatelliteApiError::UpgradeRequired);
    }
    Ok(upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE))
}

/// What a satellite holds until its link is open.
struct HandshakeSlots {
    permit: HandshakePermit,
    guard: HandshakeGuard,
}

/// Opens the link, or closes the socket.
async fn open_link(
    state: AppState,
    identity: SatelliteIdentity,
    slots: HandshakeSlots,
    mut socket: Socket,
    deadline: Instant,
) -> Option<Link> {
    let HandshakeSlots { permit, guard } = slots;
    let opened = tokio::select! {
        // The replacement first: a handshake that was replaced must not attach its satellite.
        biased;
        () = guard.replaced() => Err(LinkClose::replaced()),
        opened = open(&state, identity, &mut socket, deadline) => opened,
    };
    // Returned before the socket is closed, which may take a second.
    drop((permit, guard));
    match opened {
        Ok((attached, end)) => Some(Link::new(state, socket, attached, end)),
        Err(close) => {
            socket.close(close, state.reconnect_jitter_ms()).await;
            None
        }
    }
}

/// Waits for the handshake and attaches the satellite.
async fn open(
    state: &AppState,
    identity: SatelliteIdentity,
    socket: &mut Socket,
    deadline: Instant,
) -> Result<(AttachedSatellite, LinkEnd), LinkClose> {
    let first = timeout_at(deadline, receive_handshake(socket));
    let handshake = tokio::select! {
        first = first => first.map_err(|_| LinkClose::timeout("no handshake was received in time"))??,
        () = state.draining().cancelled() => return Err(LinkClose::going_away()),
    };
    attach(state, identity, handshake, socket).await
}

async fn receive_handshake(socket: &mut Socket) -> Result<Handshake, LinkClose> {
    loop {
        match socket.receive_at_most(MAX_HANDSHAKE_BYTES).await? {
            SocketMessage::Control(ToServer::Handshake(handshake)) => return Ok(*handshake),
            SocketMessage::KeepAlive => {}
            SocketMessage::Control(_) | SocketMessage::Frame(_) => {
                return Err(LinkClose::protocol("the first message must be a handshake"));
            }
        }
    }
}

/// Attaches the satellite. Meanwhile sends it what the hive redelivers, because many open commands do not fit into the
/// channel of the link.
async fn attach(
    state: &AppState,
    identity: SatelliteIdentity,
    handshake: Handshake,
    socket: &mut Socket,
) -> Result<(AttachedSatellite, LinkEnd), LinkClose> {
    let (link, mut end) = ChannelLink::pair();
    let mut attaching = std::pin::pin!(state.hive().attach(identity, handshake, link));
    let mut sent = Ok(());
    let attached = loop {
        tokio::select! {
            // The attach first: once it is done, the open link sends what is left in the channel.
            biased;
            attached = attaching.as_mut() => break attached,
            // After a failed send the attach is still awaited, and its link then ends in the regular way.
            outgoing = end.next(), if sent.is_ok() => sent = socket.forward(outgoing).await,
        }
    };
    match attached {
        Ok(attached) => sent.map(|()| (attached, end)),
        Err(error) => Err(refuse(state, socket, error).await),
    }
}

async fn refuse(state: &AppState, socket: &mut Socket, error: Error) -> LinkClose {
    let ack = HandshakeAck {
        success: false,
        protocol_version: PROTOCOL_VERSION.into(),
        server_time: state.hive().source().now(),
        sent_at: None,
        heartbeat_interval: state.hive().settings().heartbeat_interval.as_secs(),
        hive_id: Some(state.hive().id()),
        error: Some(handshake_error(&error)),
    };
    // The acknowledgement carries the error code; the close frame that follows has no room for it.
    match socket.send(Outgoing::Control(ToAgent::HandshakeAck(Box::new(ack)))).await {
        Ok(()) => error.into(),
        Err(close) => close,
    }
}
