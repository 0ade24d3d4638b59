//! A link over a WebSocket, as an agent opens it.

use futures_util::{SinkExt as _, StreamExt as _};
use hive_wire::agent::{Handshake, HandshakeAck, MAX_MESSAGE, SUBPROTOCOL, ToAgent, ToServer};
use hive_wire::frame::{Frame, HEADER_LEN};
use hyper::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::{ClosedByHive, FakeSatellite, SatelliteLink};
use crate::message::{FromHive, FromSatellite};
use crate::wait::PATIENCE;

/// The satellite's end of a WebSocket.
#[derive(Debug)]
pub struct WebSocketLink {
    /// Its socket, for what is no message.
    pub socket: WebSocketStream<TcpStream>,
}

impl WebSocketLink {
    /// Opens a link with this key at a server (`host:port`). Its handshake is still to be done.
    pub async fn dial(address: &str, key: &str) -> Result<Self, Error> {
        Self::dial_as(address, key, Some(SUBPROTOCOL)).await
    }

    /// The same with another sub-protocol, or none.
    pub async fn dial_as(address: &str, key: &str, protocol: Option<&str>) -> Result<Self, Error> {
        let mut request = format!("ws://{address}/ws/agent").into_client_request()?;
        request.headers_mut().insert(AUTHORIZATION, format!("Bearer {key}").parse()?);
        if let Some(protocol) = protocol {
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol.parse()?);
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // Small buffers, for thousands of links in one process.
        let limits = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(4096)
            .max_message_size(Some(MAX_MESSAGE + HEADER_LEN))
            .max_frame_size(Some(MAX_MESSAGE + HEADER_LEN));
        // Large while it lasts, and done once a link: not to be part of the task for good.
        let upgrade = Box::pin(client_async_with_config(request, stream, Some(limits)));
        let (socket, _) = upgrade.await?;
        Ok(Self { socket })
    }

    /// Sends a message of the WebSocket, which need be none of the protocol; it may end the link.
    pub async fn try_send_raw(&mut self, message: Message) -> Result<(), Error> {
        self.socket.send(message).await
    }

    /// Sends a message of the WebSocket, which need be none of the protocol.
    pub async fn send_raw(&mut self, message: Message) {
        self.try_send_raw(message).await.unwrap();
    }

    /// The next message of the WebSocket; nothing where it has ended.
    pub async fn next_raw(&mut self) -> Option<Message> {
        let next = timeout(PATIENCE, self.socket.next()).await;
        next.expect("the server sends a message").and_then(Result::ok)
    }

    /// Sends JSON, which need be no message of the protocol; it may end the link.
    pub async fn try_send_json(&mut self, message: &Value) -> Result<(), Error> {
        self.try_send_raw(Message::text(message.to_string())).await
    }

    /// Waits for a message of this type.
    pub async fn next_json(&mut self, kind: &str) -> Value {
        loop {
            let Message::Text(text) = self.next_raw().await.expect("the link is open") else { continue };
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Waits until the server has seen all that was sent: it answers, or has closed the link.
    pub async fn seen(&mut self) {
        self.socket.send(Message::Ping("seen".into())).await.ok();
        while let Some(Ok(message)) = self.socket.next().await {
            if matches!(message, Message::Pong(_) | Message::Close(_)) {
                break;
            }
        }
    }
}

impl SatelliteLink for WebSocketLink {
    type Refusal = Error;

    async fn feed(&mut self, message: FromSatellite) -> Result<(), Error> {
        let message = match message {
            FromSatellite::Control(message) => Message::text(serde_json::to_string(&message).unwrap()),
            FromSatellite::Frame(frame) => Message::Binary(frame.encode()),
        };
        self.socket.feed(message).await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.socket.flush().await
    }

    async fn next(&mut self) -> Result<FromHive, ClosedByHive> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(FromHive::Control(serde_json::from_str(&text).unwrap())),
                Some(Ok(Message::Binary(bytes))) => return Ok(FromHive::Frame(Frame::decode(bytes).unwrap())),
                Some(Ok(Message::Close(frame))) => {
                    return Err(ClosedByHive { code: frame.map(|frame| frame.code.into()) });
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(ClosedByHive { code: None }),
            }
        }
    }
}

impl FakeSatellite<WebSocketLink> {
    /// Shakes hands. Returns the answer; panics where the link ends without one.
    pub async fn shake_hands(&mut self, handshake: Handshake) -> HandshakeAck {
        self.send(ToServer::Handshake(Box::new(handshake))).await;
        match self.next_control().await {
            ToAgent::HandshakeAck(ack) => *ack,
            other => panic!("not an acknowledgement: {other:?}"),
        }
    }
}
