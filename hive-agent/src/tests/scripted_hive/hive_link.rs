//! The hive's side of a link.

use futures_util::{SinkExt as _, StreamExt as _};
use hive_wire::agent::{CommandResult, HandshakeAck, PROTOCOL_VERSION, ToAgent, ToServer};
use hive_wire::frame::Frame;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::hive_id;
use crate::clock;

/// One message of a satellite.
#[derive(Debug, PartialEq)]
pub(crate) enum FromAgent {
    Control(ToServer),
    Data(Frame),
    Closed,
}

/// The hive's side of a link.
pub(crate) struct HiveLink {
    socket: WebSocketStream<TcpStream>,
}

impl HiveLink {
    pub(super) fn new(socket: WebSocketStream<TcpStream>) -> Self {
        Self { socket }
    }

    pub(crate) async fn accept(&mut self, heartbeat_interval: u64) {
        let ack = HandshakeAck {
            success: true,
            protocol_version: PROTOCOL_VERSION.into(),
            server_time: clock::now(),
            sent_at: None,
            heartbeat_interval,
            hive_id: Some(hive_id()),
            error: None,
        };
        self.send_control(ToAgent::HandshakeAck(Box::new(ack))).await;
    }

    pub(crate) async fn send_control(&mut self, message: ToAgent) {
        self.socket.send(Message::text(serde_json::to_string(&message).unwrap())).await.unwrap();
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn send_frame(&mut self, frame: &Frame) {
        self.socket.send(Message::Binary(frame.encode())).await.unwrap();
    }

    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.socket.close(Some(frame)).await.unwrap();
    }

    /// The next message, without pings and pongs.
    pub(crate) async fn next(&mut self) -> FromAgent {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return FromAgent::Control(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Binary(bytes))) => return FromAgent::Data(Frame::decode(bytes).unwrap()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return FromAgent::Closed,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Reads up to a command's result. Returns it with what came before.
    pub(crate) async fn result(&mut self) -> (CommandResult, Transcript) {
        let mut transcript = Transcript::default();
        loop {
            match self.next().await {
                FromAgent::Control(ToServer::CommandResult(result)) => return (result, transcript),
                FromAgent::Control(ToServer::CommandAck { .. }) => transcript.acks += 1,
                FromAgent::Control(ToServer::StreamOpen { offset, .. }) => transcript.offsets.push(offset),
                FromAgent::Data(frame) => transcript.bytes.extend_from_slice(&frame.payload),
                other => panic!("{other:?} instead of a result"),
            }
        }
    }
}

/// The messages before a result.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Transcript {
    pub(crate) acks: usize,
    pub(crate) offsets: Vec<u64>,
    pub(crate) bytes: Vec<u8>,
}
