//! One link of a simulated satellite, from the connection to its end.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hive_core::wire::Timestamp;
use hive_core::wire::agent::{
    Handshake, HandshakeAck, MAX_MESSAGE, Metrics, PROTOCOL_VERSION, SUBPROTOCOL, SystemInfo, ToAgent, ToServer, close,
};
use hive_core::wire::frame::HEADER_LEN;
use hyper::header::{AUTHORIZATION, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use hyper::{HeaderMap, StatusCode};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::SimulatedIdentity;
use super::satellite::{MAX_RETRY_AFTER, SimulatedSatellite};
use super::work::SimulatedWork;

/// How long each step of opening a link may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many heartbeat intervals the server may be silent.
const MISSED_HEARTBEATS: u32 = 3;

/// Why a link, or the attempt to open one, ended.
#[derive(Debug)]
pub(super) enum SimulatedLinkEnd {
    KeyRejected,
    Replaced,
    Lost { retry_after: Duration },
}

impl SimulatedLinkEnd {
    const LOST: Self = Self::Lost { retry_after: Duration::ZERO };

    fn told(retry_after: Duration) -> Self {
        Self::Lost { retry_after: retry_after.min(MAX_RETRY_AFTER) }
    }
}

impl From<Error> for SimulatedLinkEnd {
    fn from(error: Error) -> Self {
        match error {
            Error::Http(answer) if answer.status() == StatusCode::UNAUTHORIZED => Self::KeyRejected,
            Error::Http(answer) => Self::told(retry_after(answer.headers())),
            _ => Self::LOST,
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map_or(Duration::ZERO, Duration::from_secs)
}

/// A link that is up.
pub(super) struct SimulatedLink {
    socket: WebSocketStream<TcpStream>,
    patience: Duration,
    work: SimulatedWork,
}

/// Connects and shakes hands.
pub(super) async fn open(address: &str, identity: &SimulatedIdentity) -> Result<SimulatedLink, SimulatedLinkEnd> {
    let stream = within(TcpStream::connect(address)).await?.map_err(|_| SimulatedLinkEnd::LOST)?;
    stream.set_nodelay(true).map_err(|_| SimulatedLinkEnd::LOST)?;
    let limits = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(4096)
        .max_message_size(Some(MAX_MESSAGE + HEADER_LEN))
        .max_frame_size(Some(MAX_MESSAGE + HEADER_LEN));
    // Large while it lasts, and done once a link: not to be part of the task for good.
    let upgrade = Box::pin(client_async_with_config(request(address, identity)?, stream, Some(limits)));
    let (mut socket, _) = within(upgrade).await??;
    let hello = ToServer::Handshake(Box::new(handshake(identity)));
    socket.send(text(&hello)).await?;
    let ack = within(answer(&mut socket)).await??;
    let patience = Duration::from_secs(ack.heartbeat_interval.clamp(1, 3600)) * MISSED_HEARTBEATS;
    Ok(SimulatedLink { socket, patience, work: SimulatedWork::default() })
}

async fn within<T>(step: impl Future<Output = T>) -> Result<T, SimulatedLinkEnd> {
    timeout(PATIENCE, step).await.map_err(|_| SimulatedLinkEnd::LOST)
}

fn request(address: &str, identity: &SimulatedIdentity) -> Result<Request, SimulatedLinkEnd> {
    let mut request = format!("ws://{address}/ws/agent").into_client_request()?;
    let bearer = format!("Bearer {}", identity.api_key).parse().map_err(|_| SimulatedLinkEnd::KeyRejected)?;
    request.headers_mut().insert(AUTHORIZATION, bearer);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL.parse().expect("the sub-protocol is plain text"));
    Ok(request)
}

async fn answer(socket: &mut WebSocketStream<TcpStream>) -> Result<HandshakeAck, SimulatedLinkEnd> {
    while let Some(message) = socket.next().await {
        match read(message?)? {
            Some(ToAgent::HandshakeAck(ack)) if ack.success => return Ok(*ack),
            Some(ToAgent::Disconnect { retry_after_ms, .. }) => return Err(told_to_leave(retry_after_ms)),
            _ => {}
        }
    }
    Err(SimulatedLinkEnd::LOST)
}

/// Reads a control message; nothing for what is none.
fn read(message: Message) -> Result<Option<ToAgent>, SimulatedLinkEnd> {
    match message {
        Message::Text(text) => Ok(serde_json::from_str(&text).ok()),
        Message::Close(frame) => Err(closed(frame.as_ref())),
        _ => Ok(None),
    }
}

fn closed(frame: Option<&CloseFrame>) -> SimulatedLinkEnd {
    match frame.map(|frame| u16::from(frame.code)) {
        Some(close::AUTH_FAILED) => SimulatedLinkEnd::KeyRejected,
        Some(close::REPLACED) => SimulatedLinkEnd::Replaced,
        _ => SimulatedLinkEnd::LOST,
    }
}

fn told_to_leave(retry_after_ms: Option<u64>) -> SimulatedLinkEnd {
    SimulatedLinkEnd::told(Duration::from_millis(retry_after_ms.unwrap_or(0)))
}

impl SimulatedLink {
    /// Serves the link until it ends.
    pub(super) async fn serve(mut self, satellite: &mut SimulatedSatellite) -> SimulatedLinkEnd {
        loop {
            let Ok(Some(Ok(message))) = timeout(self.patience, self.socket.next()).await else {
                return SimulatedLinkEnd::LOST;
            };
            let step = match read(message) {
                Ok(Some(message)) => self.on_control(message, satellite).await,
                Ok(None) => Ok(()),
                Err(end) => Err(end),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn on_control(
        &mut self,
        message: ToAgent,
        satellite: &mut SimulatedSatellite,
    ) -> Result<(), SimulatedLinkEnd> {
        match message {
            ToAgent::HeartbeatPing { timestamp, .. } => {
                satellite.count(|tally| tally.heartbeats += 1);
                self.socket.send(text(&pong(timestamp))).await?;
            }
            ToAgent::Command(command) => {
                let is_new = satellite.ran.insert(command.id);
                satellite.count(|tally| if is_new { tally.runs += 1 } else { tally.repeats += 1 });
                self.work.begin(*command);
            }
            ToAgent::StreamCredit { stream, limit } => self.work.credit(stream, limit),
            ToAgent::RotateKey { api_key } => {
                satellite.identity.api_key = api_key.0;
                // As an agent does: it connects again with the new key.
                return Err(SimulatedLinkEnd::LOST);
            }
            ToAgent::Disconnect { retry_after_ms, .. } => return Err(told_to_leave(retry_after_ms)),
            _ => {}
        }
        while let Some(message) = self.work.next() {
            self.socket.feed(message).await?;
        }
        Ok(self.socket.flush().await?)
    }
}

pub(super) fn text(message: &ToServer) -> Message {
    Message::text(serde_json::to_string(message).expect("control messages are plain data"))
}

fn handshake(identity: &SimulatedIdentity) -> Handshake {
    Handshake {
        agent_id: identity.id,
        version: env!("CARGO_PKG_VERSION").into(),
        protocol_version: PROTOCOL_VERSION.into(),
        capabilities: vec!["shell".into()],
        features: Vec::new(),
        capacity: None,
        journal_id: identity.id.to_string(),
        journal_position: None,
        start_id: None,
        earlier_start_ids: Vec::new(),
        sessions: Vec::new(),
        boot_id: None,
        system: SystemInfo { hostname: identity.id.to_string(), os: "linux".into(), ..SystemInfo::default() },
    }
}

fn pong(timestamp: Timestamp) -> ToServer {
    ToServer::HeartbeatPong {
        timestamp,
        metrics: Some(Metrics { cpu_percent: 1.5, memory_percent: 20.0, ..Metrics::default() }),
        capacity: None,
    }
}
