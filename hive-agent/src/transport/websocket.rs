//! Opens a link: TCP, TLS, the upgrade with the key, the handshake.

mod link;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hive_wire::agent::{Handshake, HandshakeAck, MAX_MESSAGE, PROTOCOL_VERSION, SUBPROTOCOL, ToAgent, ToServer, close};
use hive_wire::frame::HEADER_LEN;
use hive_wire::satellite_api::HIVE_ID_HEADER;
use hive_wire::{ErrorCode, HiveId};
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use secrecy::SecretString;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::Error as SocketError;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};
use tracing::warn;

use crate::clock;
use crate::config::{Config, ServerUrl};
use crate::dispatch::Dispatch;
use crate::http;
use crate::identity::Identity;
use crate::machine;
use crate::protocol::LinkEnd;
use crate::protocol::link_clock::LinkClock;
use crate::pty::Terminals;

pub(crate) use link::Link;

/// Bytes read from a socket at once; an idle link costs little more than this.
const READ_BUFFER: usize = 4 * 1024;
/// Bytes gathered before they are written, unless there is nothing more to gather.
const WRITE_BUFFER: usize = 16 * 1024;

/// Bytes the kernel takes ahead of what the network has taken. What answers a keystroke waits behind them, which would be
/// seconds on a narrow line with the kernel's own measure.
#[cfg(any(target_os = "android", target_os = "linux"))]
const UNSENT: u32 = 16 * 1024;

/// What an answer is told with that no hive gives.
const NO_WEBSOCKETS: &str =
    " to the WebSocket upgrade; what stands in between must let WebSockets to /ws/agent through";
/// The same where there is no answer.
const NO_UPGRADE: &str =
    "the WebSocket upgrade is not answered (what stands in between must let WebSockets to /ws/agent through)";

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A link that was accepted.
pub(crate) struct Opened {
    pub(crate) socket: Socket,
    pub(crate) heartbeat_interval: Duration,
    /// When its messages were sent.
    pub(crate) clock: LinkClock,
    /// The hive that answers, where it says so.
    pub(crate) hive_id: Option<HiveId>,
}

/// Knows where the server is and how to get there.
pub(crate) struct Dialer {
    server: ServerUrl,
    tls: Connector,
    timeout: Duration,
}

impl Dialer {
    pub(crate) fn new(config: &Config, tls: Connector) -> Self {
        Self { server: config.server.clone(), tls, timeout: config.handshake_timeout }
    }

    /// Opens a link.
    pub(crate) async fn open(
        &self,
        key: &SecretString,
        hive: Option<HiveId>,
        handshake: Handshake,
    ) -> Result<Opened, LinkEnd> {
        let socket = self.within(self.connect(), "it does not accept the connection").await??;
        // Large while it lasts, and done once a link: not to be part of the task for good.
        let mut socket = Box::pin(self.within(self.upgrade(socket, key, hive), NO_UPGRADE)).await??;
        let asked_at = clock::steady();
        let ack = self.within(shake_hands(&mut socket, handshake), "it does not answer the handshake").await??;
        let clock = LinkClock::new(asked_at, ack.sent_at);
        Ok(Opened { socket, heartbeat_interval: heartbeat_interval(&ack), clock, hive_id: ack.hive_id })
    }

    async fn within<T>(&self, step: impl Future<Output = T>, otherwise: &str) -> Result<T, LinkEnd> {
        let late = |_| LinkEnd::lost(format!("{}: {otherwise} within {} s", self.server, self.timeout.as_secs_f64()));
        tokio::time::timeout(self.timeout, step).await.map_err(late)
    }

    async fn connect(&self) -> Result<TcpStream, LinkEnd> {
        let connected = connect(&self.server.host_and_port()).await;
        connected.map_err(|error| LinkEnd::lost(format!("cannot connect to {}: {error}", self.server)))
    }

    async fn upgrade(&self, socket: TcpStream, key: &SecretString, hive: Option<HiveId>) -> Result<Socket, LinkEnd> {
        let request = self.request(key, hive).map_err(|error| self.refused(error))?;
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            .max_message_size(Some(MAX_MESSAGE + HEADER_LEN))
            .max_frame_size(Some(MAX_MESSAGE + HEADER_LEN));
        let upgraded =
            tokio_tungstenite::client_async_tls_with_config(request, socket, Some(limits), Some(self.tls.clone()))
                .await;
        upgraded.map(|(socket, _)| socket).map_err(|error| self.refused(error))
    }

    fn request(&self, key: &SecretString, hive: Option<HiveId>) -> Result<Request, SocketError> {
        let mut request = self.server.websocket("/ws/agent").into_client_request()?;
        let mut bearer = HeaderValue::try_from(http::authorization(key))
            .map_err(|_| SocketError::Utf8("the stored key has characters no header may have".into()))?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        let protocol = HeaderValue::from_static(SUBPROTOCOL);
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        if let Some(id) = hive.and_then(|hive| HeaderValue::try_from(hive.to_string()).ok()) {
            request.headers_mut().insert(HIVE_ID_HEADER, id);
        }
        Ok(request)
    }

    fn refused(&self, error: SocketError) -> LinkEnd {
        match error {
            SocketError::Http(response) if response.status() == StatusCode::UNAUTHORIZED => LinkEnd::KeyRejected,
            SocketError::Http(response) => LinkEnd::Lost {
                cause: format!("{} answers {}{}", self.server, response.status(), hint(response.status())),
                retry_after: http::retry_after(response.headers()).unwrap_or_default(),
            },
            error => LinkEnd::lost(format!("{}: {error}", self.server)),
        }
    }
}

/// A hive that cannot take a satellite now says so; other answers come from something that knows no WebSockets.
fn hint(status: StatusCode) -> &'static str {
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS { "" } else { NO_WEBSOCKETS }
}

/// Connects to the first address that answers.
async fn connect(host_and_port: &str) -> io::Result<TcpStream> {
    let mut refused = None;
    for address in lookup_host(host_and_port).await? {
        match connect_to(address).await {
            Ok(socket) => return Ok(socket),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_nodelay(true)?;
    let stream = socket.connect(address).await?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT)?;
    Ok(stream)
}

/// The first message of a link.
pub(crate) fn handshake(
    identity: &Identity,
    dispatch: &Dispatch,
    terminals: &Terminals,
    capabilities: &[String],
) -> Handshake {
    let (start_id, earlier_start_ids) = match dispatch.start_ids().split_last() {
        Some((this, earlier)) => (Some(this.clone()), earlier.to_vec()),
        None => (None, Vec::new()),
    };
    Handshake {
        agent_id: identity.satellite_id,
        version: env!("CARGO_PKG_VERSION").into(),
        protocol_version: PROTOCOL_VERSION.into(),
        capabilities: capabilities.to_vec(),
        features: Vec::new(),
        capacity: Some(dispatch.capacity()),
        journal_id: dispatch.journal_id().to_owned(),
        journal_position: Some(dispatch.journal_position()),
        start_id,
        earlier_start_ids,
        sessions: terminals.ids(),
        boot_id: dispatch.boot_id().map(Into::into),
        system: machine::system_info(),
    }
}

/// The server's heartbeat interval, within what makes sense.
fn heartbeat_interval(ack: &HandshakeAck) -> Duration {
    Duration::from_secs(ack.heartbeat_interval).clamp(Duration::from_secs(1), Duration::from_hours(1))
}

async fn shake_hands(socket: &mut Socket, handshake: Handshake) -> Result<HandshakeAck, LinkEnd> {
    let hello = text(&ToServer::Handshake(Box::new(handshake)))?;
    socket.send(hello).await.map_err(|error| LinkEnd::lost(error.to_string()))?;
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(message))) => match serde_json::from_str(&message) {
                Ok(ToAgent::HandshakeAck(ack)) => return judge(*ack),
                Ok(ToAgent::Disconnect { reason, retry_after_ms }) => {
                    return Err(told_to_leave(&reason, retry_after_ms));
                }
                _ => {}
            },
            Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(LinkEnd::lost(error.to_string())),
            None => return Err(LinkEnd::lost("the server hung up before the handshake")),
        }
    }
}

fn judge(ack: HandshakeAck) -> Result<HandshakeAck, LinkEnd> {
    if ack.success {
        return Ok(ack);
    }
    let error = ack.error.map(|error| (error.code, error.message));
    warn!(?error, "the server refused the handshake");
    Err(match error {
        Some((ErrorCode::AuthRequired | ErrorCode::AuthInvalid, _)) => LinkEnd::KeyRejected,
        Some((ErrorCode::Conflict, _)) => LinkEnd::IdentityConflict,
        Some((_, message)) => LinkEnd::lost(message),
        None => LinkEnd::lost("the server refused the handshake"),
    })
}

/// A control message as it goes over the socket.
pub(crate) fn text(message: &ToServer) -> Result<Message, LinkEnd> {
    let json = serde_json::to_string(message).map_err(|error| LinkEnd::lost(error.to_string()))?;
    Ok(Message::text(json))
}

/// What a close frame means.
pub(crate) fn closed(frame: Option<CloseFrame>) -> LinkEnd {
    let Some(frame) = frame else { return LinkEnd::lost("the server closed the link") };
    match u16::from(frame.code) {
        close::AUTH_FAILED => LinkEnd::KeyRejected,
        close::REPLACED => LinkEnd::Replaced,
        close::IDENTITY_CONFLICT => LinkEnd::IdentityConflict,
        code => LinkEnd::lost(format!("the server closed the link ({code}, {:?})", frame.reason.as_str())),
    }
}

/// What a disconnect message means.
pub(crate) fn told_to_leave(reason: &str, retry_after_ms: Option<u64>) -> LinkEnd {
    LinkEnd::Lost {
        cause: format!("the server says goodbye: {reason:?}"),
        retry_after: Duration::from_millis(retry_after_ms.unwrap_or(0)).min(http::MAX_RETRY_AFTER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_can_send_a_satellite_away_for_good() {
        let check = |asked, expected| match told_to_leave("restart", asked) {
            LinkEnd::Lost { retry_after, .. } => assert_eq!(retry_after, expected, "{asked:?}"),
            other => panic!("{other:?}"),
        };
        check(None, Duration::ZERO);
        check(Some(700), Duration::from_millis(700));
        check(Some(u64::MAX), http::MAX_RETRY_AFTER);
    }

    #[test]
    fn no_server_can_stop_the_heart() {
        let check = |asked, expected| {
            let ack = HandshakeAck {
                success: true,
                protocol_version: PROTOCOL_VERSION.into(),
                server_time: hive_wire::Timestamp::from_micros(0),
                sent_at: None,
                heartbeat_interval: asked,
                hive_id: None,
                error: None,
            };
            assert_eq!(heartbeat_interval(&ack).as_secs(), expected);
        };
        check(0, 1);
        check(30, 30);
        check(u64::MAX, 3600);
    }
}
