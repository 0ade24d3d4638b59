//! Opens a link over a WebSocket: TCP, TLS, the upgrade with the key, the handshake.

mod link;
mod tcp;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use hive_wire::HiveId;
use hive_wire::agent::{Handshake, HandshakeAck, MAX_MESSAGE, SUBPROTOCOL, ToAgent, ToServer};
use hive_wire::frame::HEADER_LEN;
use hive_wire::satellite_api::HIVE_ID_HEADER;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use secrecy::SecretString;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::Error as SocketError;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

use crate::clock;
use crate::config::{AgentConfig, ServerUrl};
use crate::connect_failure::ConnectFailure;
use crate::http;
use crate::language::Language;
use crate::protocol::handshake::{check_ack, heartbeat_interval};
use crate::protocol::link_clock::LinkClock;
use crate::protocol::{AgentMessage, DisconnectReason};

pub(crate) use link::serve;

/// Bytes read from a socket at once. An idle link costs little more than this.
const READ_BUFFER: usize = 4 * 1024;
/// Bytes gathered before they are written, unless there is nothing more to gather.
const WRITE_BUFFER: usize = 16 * 1024;

/// Appended to an answer to the upgrade that no hive gives.
const NO_WEBSOCKETS: &str =
    " to the WebSocket upgrade; what stands in between must let WebSockets to /ws/agent through";
/// Used where the upgrade is not answered at all.
const NO_UPGRADE: &str =
    "the WebSocket upgrade is not answered (what stands in between must let WebSockets to /ws/agent through)";

pub(crate) type LinkSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A link whose handshake was accepted.
pub(crate) struct EstablishedLink {
    pub(crate) socket: LinkSocket,
    pub(crate) heartbeat_interval: Duration,
    /// Measures the transit time of its messages.
    pub(crate) clock: LinkClock,
    /// The id of the hive, if it sent one.
    pub(crate) hive_id: Option<HiveId>,
}

/// Opens connections to the server.
pub(crate) struct Dialer {
    server: ServerUrl,
    tls: Connector,
    timeout: Duration,
}

impl Dialer {
    pub(crate) fn new(config: &AgentConfig, tls: Connector) -> Self {
        Self { server: config.server.clone(), tls, timeout: config.handshake_timeout }
    }

    /// Opens a link and completes the handshake.
    pub(crate) async fn open(
        &self,
        key: &SecretString,
        hive: Option<HiveId>,
        handshake: Handshake,
    ) -> Result<EstablishedLink, DisconnectReason> {
        // Each step has the full time limit, because a slow TCP connect says nothing about the server.
        let socket = self.within(self.connect(), "it does not accept the connection").await??;
        // Boxed: the future is large, runs once per link, and would otherwise stay part of the task's size.
        let mut socket = Box::pin(self.within(self.upgrade(socket, key, hive), NO_UPGRADE)).await??;
        let handshake_sent_at = clock::steady();
        let ack = self.within(exchange_handshake(&mut socket, handshake), "it does not answer the handshake").await??;
        let clock = LinkClock::new(handshake_sent_at, ack.sent_at);
        Ok(EstablishedLink { socket, heartbeat_interval: heartbeat_interval(&ack), clock, hive_id: ack.hive_id })
    }

    async fn within<T>(&self, step: impl Future<Output = T>, otherwise: &str) -> Result<T, DisconnectReason> {
        let late =
            |_| DisconnectReason::lost(format!("{}: {otherwise} within {} s", self.server, self.timeout.as_secs_f64()));
        tokio::time::timeout(self.timeout, step).await.map_err(late)
    }

    async fn connect(&self) -> Result<TcpStream, DisconnectReason> {
        let connected = tcp::connect(&self.server.host_and_port()).await;
        connected.map_err(|failure| self.lost(&failure))
    }

    async fn upgrade(
        &self,
        socket: TcpStream,
        key: &SecretString,
        hive: Option<HiveId>,
    ) -> Result<LinkSocket, DisconnectReason> {
        let request = self.request(key, hive).map_err(|error| self.upgrade_error(error))?;
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(WRITE_BUFFER)
            // A larger message cannot be one of the protocol, and is refused before memory is spent on it.
            .max_message_size(Some(MAX_MESSAGE + HEADER_LEN))
            .max_frame_size(Some(MAX_MESSAGE + HEADER_LEN));
        let upgraded =
            tokio_tungstenite::client_async_tls_with_config(request, socket, Some(limits), Some(self.tls.clone()))
                .await;
        upgraded.map(|(socket, _)| socket).map_err(|error| self.upgrade_error(error))
    }

    fn request(&self, key: &SecretString, hive: Option<HiveId>) -> Result<Request, SocketError> {
        let mut request = self.server.websocket("/ws/agent").into_client_request()?;
        let mut bearer = HeaderValue::try_from(http::authorization(key)).map_err(|_| {
            SocketError::Utf8("the stored key contains characters that are not allowed in a header".into())
        })?;
        // Keeps the key out of debug output of the headers.
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        let protocol = HeaderValue::from_static(SUBPROTOCOL);
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        if let Some(id) = hive.and_then(|hive| HeaderValue::try_from(hive.to_string()).ok()) {
            request.headers_mut().insert(HIVE_ID_HEADER, id);
        }
        Ok(request)
    }

    /// The causes of a link are logged in English and stand on the status pages.
    fn lost(&self, failure: &ConnectFailure) -> DisconnectReason {
        DisconnectReason::lost(format!("cannot connect to {}: {}", self.server, failure.describe(Language::English)))
    }

    fn upgrade_error(&self, error: SocketError) -> DisconnectReason {
        match error {
            // Not final: the registrar asks over HTTPS whether it is the satellite's own hive that rejects the key.
            SocketError::Http(response) if response.status() == StatusCode::UNAUTHORIZED => {
                DisconnectReason::KeyRejected
            }
            SocketError::Http(response) => DisconnectReason::Lost {
                cause: format!("{} answers {}{}", self.server, response.status(), hint(response.status())),
                retry_after: http::retry_after(response.headers()).unwrap_or_default(),
            },
            error => self.lost(&ConnectFailure::of(&error)),
        }
    }
}

/// A hive that is overloaded answers with 429 or 5xx. Any other status comes from something that does not know
/// WebSockets.
fn hint(status: StatusCode) -> &'static str {
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS { "" } else { NO_WEBSOCKETS }
}

async fn exchange_handshake(socket: &mut LinkSocket, handshake: Handshake) -> Result<HandshakeAck, DisconnectReason> {
    let hello = encode(AgentMessage::Control(ToServer::Handshake(Box::new(handshake))));
    let sent = async { socket.send(hello?).await };
    sent.await.map_err(|error| connection_lost(&error))?;
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(message))) => match serde_json::from_str(&message) {
                // Other messages before the answer are ignored; a later version may send some.
                Ok(ToAgent::HandshakeAck(ack)) => return check_ack(*ack),
                Ok(ToAgent::Disconnect { reason, retry_after_ms }) => {
                    return Err(DisconnectReason::disconnected(&reason, retry_after_ms));
                }
                _ => {}
            },
            Some(Ok(Message::Close(frame))) => return Err(close_reason(frame)),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(connection_lost(&error)),
            None => return Err(DisconnectReason::lost("the server closed the connection before the handshake")),
        }
    }
}

/// Encodes a message for the socket.
fn encode(message: AgentMessage) -> Result<Message, SocketError> {
    Ok(match message {
        AgentMessage::Control(message) => Message::text(serde_json::to_string(&message).map_err(io::Error::from)?),
        AgentMessage::Data(frame) => Message::Binary(frame.encode()),
        AgentMessage::Ping => Message::Ping(Bytes::new()),
    })
}

/// The meaning of an error of an open connection.
fn connection_lost(error: &SocketError) -> DisconnectReason {
    DisconnectReason::lost(format!(
        "the connection to the server broke: {}",
        ConnectFailure::of(error).describe(Language::English)
    ))
}

/// The meaning of a close frame.
fn close_reason(frame: Option<CloseFrame>) -> DisconnectReason {
    match frame {
        Some(frame) => DisconnectReason::closed(frame.code.into(), frame.reason.as_str()),
        None => DisconnectReason::lost("the server closed the link"),
    }
}
