//! The peer of a server with idle satellites: tokio-tungstenite and nothing else.
//!
//! It takes every handshake for good, asks for heartbeats and forgets the answers: what any server over this library
//! must spend on a link. The read buffer is 4 KiB; the library's own 128 KiB would make a weak peer.

use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hive_core::wire::Timestamp;
use hive_core::wire::agent::{HandshakeAck, PROTOCOL_VERSION, SUBPROTOCOL, ToAgent};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::interval;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

const HEARTBEAT: Duration = Duration::from_secs(30);

/// Listens on a free port, says which on standard output, and serves until the process is ended.
#[expect(clippy::print_stdout, reason = "the bench that started this process reads it")]
pub(crate) async fn run() -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", json!(listener.local_addr()?));
    let mut links = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        links.spawn(serve(stream));
    }
}

async fn serve(stream: TcpStream) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let mut socket = accept_hdr_async_with_config(stream, choose_protocol, Some(config)).await?;
    let mut heartbeat = interval(HEARTBEAT);
    // The first tick of `interval` comes at once, and would be one more message for each link.
    heartbeat.reset();
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) if text.contains("\"handshake\"") => {
                    socket.send(text_of(&ToAgent::HandshakeAck(Box::new(accepted())))?).await?;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ok(()),
            },
            _ = heartbeat.tick() => {
                let ping = ToAgent::HeartbeatPing { timestamp: Timestamp::from_micros(0), sent_at: None };
                socket.send(text_of(&ping)?).await?;
            }
        }
    }
}

#[expect(clippy::result_large_err, clippy::unnecessary_wraps, reason = "the library's callback has this shape")]
fn choose_protocol(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let protocol = SUBPROTOCOL.parse().expect("the sub-protocol is plain text");
    response.headers_mut().insert("sec-websocket-protocol", protocol);
    Ok(response)
}

fn accepted() -> HandshakeAck {
    HandshakeAck {
        success: true,
        protocol_version: PROTOCOL_VERSION.into(),
        server_time: Timestamp::from_micros(0),
        sent_at: None,
        heartbeat_interval: HEARTBEAT.as_secs(),
        hive_id: None,
        error: None,
    }
}

fn text_of(message: &ToAgent) -> anyhow::Result<Message> {
    Ok(Message::text(serde_json::to_string(message)?))
}
