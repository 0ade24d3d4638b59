//! The hive's side of a link.

use futures_util::{SinkExt as _, StreamExt as _};
use hive_wire::agent::{CommandResult, HandshakeAck, PROTOCOL_VERSION, ToAgent, ToServer};
use hive_wire::frame::Frame;
use hive_wire::{HiveId, Timestamp};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::hive_id;
use crate::message::FromSatellite;

/// The hive's side of a link.
pub struct HiveLink {
    /// Its socket, for what is no message.
    pub socket: WebSocketStream<TcpStream>,
}

impl HiveLink {
    pub(super) fn new(socket: WebSocketStream<TcpStream>) -> Self {
        Self { socket }
    }

    /// Accepts the handshake.
    pub async fn accept(&mut self, heartbeat_interval: u64) {
        self.accept_as(Some(hive_id()), heartbeat_interval).await;
    }

    /// Accepts the handshake as this hive.
    pub async fn accept_as(&mut self, hive_id: Option<HiveId>, heartbeat_interval: u64) {
        let ack = HandshakeAck {
            success: true,
            protocol_version: PROTOCOL_VERSION.into(),
            server_time: now(),
            sent_at: None,
            heartbeat_interval,
            hive_id,
            error: None,
        };
        self.send_control(ToAgent::HandshakeAck(Box::new(ack))).await;
    }

    /// Sends a control message.
    pub async fn send_control(&mut self, message: ToAgent) {
        self.socket.send(Message::text(serde_json::to_string(&message).unwrap())).await.unwrap();
    }

    /// Sends text, which may be no message.
    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Sends a data frame.
    pub async fn send_frame(&mut self, frame: &Frame) {
        self.socket.send(Message::Binary(frame.encode())).await.unwrap();
    }

    /// Closes the link with this code.
    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.socket.close(Some(frame)).await.unwrap();
    }

    /// The next message, without pings and pongs. Cancel-safe.
    pub async fn next(&mut self) -> FromSatellite {
        self.try_next().await.expect("the link is open")
    }

    /// The same; nothing where the link has ended.
    pub async fn try_next(&mut self) -> Option<FromSatellite> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str::<ToServer>(&text).unwrap().into()),
                Some(Ok(Message::Binary(bytes))) => return Some(Frame::decode(bytes).unwrap().into()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Reads up to a command's result. Returns it with what came before.
    pub async fn result(&mut self) -> (CommandResult, Transcript) {
        let mut transcript = Transcript::default();
        loop {
            match self.next().await {
                FromSatellite::Control(ToServer::CommandResult(result)) => return (result, transcript),
                FromSatellite::Control(ToServer::CommandAck { .. }) => transcript.acks += 1,
                FromSatellite::Control(ToServer::StreamOpen { offset, .. }) => transcript.offsets.push(offset),
                FromSatellite::Frame(frame) => transcript.bytes.extend_from_slice(&frame.payload),
                other @ FromSatellite::Control(_) => panic!("{other:?} instead of a result"),
            }
        }
    }
}

/// The messages before a result.
#[derive(Debug, Default, PartialEq)]
pub struct Transcript {
    /// Acknowledgements of commands.
    pub acks: usize,
    /// Where streams of output began.
    pub offsets: Vec<u64>,
    /// The output.
    pub bytes: Vec<u8>,
}

#[expect(clippy::disallowed_methods, reason = "a satellite compares it with its own clock")]
fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(since_epoch.as_micros() as i64)
}
