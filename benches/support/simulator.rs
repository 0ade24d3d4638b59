//! Many satellites in one process: real WebSocket clients that shake hands and answer heartbeats, and run nothing.
//!
//! The bench starts itself again in this role, so that the memory of the satellites is not the server's. Identities come
//! as JSON lines in a file; one line on standard output says that all links are up.

use std::path::Path;

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt, stream};
use hive_core::wire::agent::{Handshake, Metrics, PROTOCOL_VERSION, SUBPROTOCOL, SystemInfo, ToAgent, ToServer};
use hive_core::wire::{SatelliteId, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Handshakes under way at the same time.
const OPENING: usize = 64;

/// A registered satellite.
#[derive(Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) id: SatelliteId,
    pub(crate) api_key: String,
}

/// What the simulator says once every link is up.
#[derive(Serialize, Deserialize)]
pub(crate) struct Linked {
    pub(crate) links: usize,
    pub(crate) seconds: f64,
}

type Socket = WebSocketStream<TcpStream>;

/// Opens a link for each identity in the file, tells when all are up, and holds them until the first one ends.
pub(crate) async fn run(address: &str, identities: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(identities)?;
    let identities = text.lines().map(serde_json::from_str).collect::<Result<Vec<Identity>, _>>()?;
    let began = Instant::now();
    let mut opening = stream::iter(identities).map(|identity| open(address, identity)).buffer_unordered(OPENING);
    let mut links = JoinSet::new();
    while let Some(socket) = opening.next().await {
        links.spawn(answer_heartbeats(socket?));
    }
    say(&Linked { links: links.len(), seconds: began.elapsed().as_secs_f64() })?;
    let ended = links.join_next().await.context("there are no links")?;
    bail!("a link ended: {:?}", ended?)
}

#[expect(clippy::print_stdout, reason = "the bench that started this process reads it")]
fn say(linked: &Linked) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(linked)?);
    Ok(())
}

async fn open(address: &str, identity: Identity) -> anyhow::Result<Socket> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut request = format!("ws://{address}/ws/agent").into_client_request()?;
    request.headers_mut().insert("authorization", format!("Bearer {}", identity.api_key).parse()?);
    request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse()?);
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let (mut socket, _) = client_async_with_config(request, stream, Some(config)).await?;
    send(&mut socket, &ToServer::Handshake(Box::new(handshake(identity.id)))).await?;
    match receive(&mut socket).await? {
        Some(ToAgent::HandshakeAck(ack)) if ack.success => Ok(socket),
        other => bail!("the handshake was refused: {other:?}"),
    }
}

async fn answer_heartbeats(mut socket: Socket) -> anyhow::Result<()> {
    while let Some(message) = receive(&mut socket).await? {
        if let ToAgent::HeartbeatPing { timestamp } = message {
            send(&mut socket, &pong(timestamp)).await?;
        }
    }
    Ok(())
}

/// Waits for the next control message; `None` where the server closed the link.
async fn receive(socket: &mut Socket) -> anyhow::Result<Option<ToAgent>> {
    while let Some(message) = socket.next().await {
        match message? {
            Message::Text(text) => return Ok(Some(serde_json::from_str(&text)?)),
            Message::Close(close) => bail!("the server closed the link: {close:?}"),
            _ => {}
        }
    }
    Ok(None)
}

async fn send(socket: &mut Socket, message: &ToServer) -> anyhow::Result<()> {
    Ok(socket.send(Message::text(serde_json::to_string(message)?)).await?)
}

fn handshake(id: SatelliteId) -> Handshake {
    Handshake {
        agent_id: id,
        version: env!("CARGO_PKG_VERSION").into(),
        protocol_version: PROTOCOL_VERSION.into(),
        capabilities: vec!["shell".into()],
        features: Vec::new(),
        journal_id: id.to_string(),
        sessions: Vec::new(),
        boot_id: None,
        system: SystemInfo { hostname: id.to_string(), os: "linux".into(), ..SystemInfo::default() },
    }
}

fn pong(timestamp: Timestamp) -> ToServer {
    ToServer::HeartbeatPong {
        timestamp,
        metrics: Some(Metrics { cpu_percent: 1.5, memory_percent: 20.0, ..Metrics::default() }),
    }
}
