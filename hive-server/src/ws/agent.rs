//! `/ws/agent`, from the request to the accepted handshake. What comes then is in `link`.
//!
//! Memory counts here: a hive holds many links, and most are idle. Buffers start small, and what only the beginning needs
//! lives in a box that is gone before the link is up.

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use hive_core::Error;
use hive_core::access::SatelliteIdentity;
use hive_core::hive::Attached;
use hive_core::link::{ChannelLink, LinkEnd, Outgoing};
use hive_core::wire::agent::{Handshake, HandshakeAck, MAX_MESSAGE, PROTOCOL_VERSION, SUBPROTOCOL, ToAgent, ToServer};
use tokio::time::{Instant, timeout_at};

use super::close::{Ending, refusal};
use super::link::Link;
use super::socket::{Incoming, Socket};
use crate::auth::Visitor;
use crate::error::Failure;
use crate::limits::{Admitted, HandshakeGuard};
use crate::satellites::{self, SatelliteFailure};
use crate::state::AppState;

/// Read at once. The default of 128 KiB would cost 1.3 GB for 10,000 satellites.
const READ_BUFFER: usize = 4096;
/// Messages are written as they come.
const WRITE_BUFFER: usize = 0;
/// The most bytes of the first message.
const MAX_HANDSHAKE: usize = 64 * 1024;
/// What may wait for a socket that does not take it: the message being sent, and pongs behind it.
const MAX_WRITE_BUFFER: usize = 2 * MAX_MESSAGE;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

pub(super) async fn upgrade(
    State(state): State<AppState>,
    visitor: Visitor,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Result<Response, SatelliteFailure> {
    if state.stopping().is_cancelled() {
        return Err(Failure::Stopping.into());
    }
    let (identity, admitted) = satellites::authenticate(&state, &visitor, &headers).await?;
    let upgrade = negotiate(upgrade)?;
    let until = visitor.until();
    let place = Place { admitted, handshake: state.door().begin_handshake(identity.id) };
    let present = state.links().token();
    Ok(upgrade.on_upgrade(move |socket| {
        let socket = Socket::new(socket, state.limits().write_timeout);
        Box::pin(async move {
            serve(state, identity, place, socket, until).await;
            drop(present);
        })
    }))
}

fn negotiate(upgrade: Upgrade) -> Result<WebSocketUpgrade, SatelliteFailure> {
    let upgrade = upgrade.map_err(|_| SatelliteFailure::UpgradeRequired)?.protocols([SUBPROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        return Err(SatelliteFailure::UpgradeRequired);
    }
    Ok(upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE))
}

/// What a satellite takes up until its link is open.
struct Place {
    admitted: Admitted,
    handshake: HandshakeGuard,
}

async fn serve(state: AppState, identity: SatelliteIdentity, place: Place, mut socket: Socket, until: Instant) {
    let Place { admitted, handshake } = place;
    let opened = Box::pin(async {
        tokio::select! {
            biased;
            () = handshake.replaced() => Err(Ending::replaced()),
            opened = open(&state, identity, &mut socket, until) => opened,
        }
    })
    .await;
    drop((admitted, handshake));
    match opened {
        Ok((attached, end)) => Box::pin(Link::new(state, socket, attached, end).run()).await,
        Err(ending) => Box::pin(socket.end(ending, state.spread_ms())).await,
    }
}

/// Waits for the handshake and takes the satellite in.
async fn open(
    state: &AppState,
    identity: SatelliteIdentity,
    socket: &mut Socket,
    until: Instant,
) -> Result<(Attached, LinkEnd), Ending> {
    let first = timeout_at(until, handshake(socket));
    let handshake = tokio::select! {
        first = first => first.map_err(|_| Ending::timeout("no handshake came in time"))??,
        () = state.stopping().cancelled() => return Err(Ending::going_away()),
    };
    attach(state, identity, handshake, socket).await
}

async fn handshake(socket: &mut Socket) -> Result<Handshake, Ending> {
    loop {
        match socket.receive_at_most(MAX_HANDSHAKE).await? {
            Incoming::Control(ToServer::Handshake(handshake)) => return Ok(*handshake),
            Incoming::Alive => {}
            Incoming::Control(_) | Incoming::Frame(_) => {
                return Err(Ending::protocol("the first message must be a handshake"));
            }
        }
    }
}

/// Attaches the satellite, and meanwhile passes on what the hive already sends it: open commands may be many.
async fn attach(
    state: &AppState,
    identity: SatelliteIdentity,
    handshake: Handshake,
    socket: &mut Socket,
) -> Result<(Attached, LinkEnd), Ending> {
    let (link, mut end) = ChannelLink::pair();
    let mut attaching = std::pin::pin!(state.hive().attach(identity, handshake, link));
    let mut passed = Ok(());
    let attached = loop {
        tokio::select! {
            biased;
            attached = attaching.as_mut() => break attached,
            outgoing = end.next(), if passed.is_ok() => passed = socket.pass_on(outgoing).await,
        }
    };
    match attached {
        Ok(attached) => passed.map(|()| (attached, end)),
        Err(error) => Err(refuse(state, socket, error).await),
    }
}

async fn refuse(state: &AppState, socket: &mut Socket, error: Error) -> Ending {
    let ack = HandshakeAck {
        success: false,
        protocol_version: PROTOCOL_VERSION.into(),
        server_time: state.hive().source().now(),
        sent_at: None,
        heartbeat_interval: state.hive().settings().heartbeat_interval.as_secs(),
        hive_id: Some(state.hive().id()),
        error: Some(refusal(&error)),
    };
    match socket.send(Outgoing::Control(ToAgent::HandshakeAck(Box::new(ack)))).await {
        Ok(()) => error.into(),
        Err(ending) => ending,
    }
}
