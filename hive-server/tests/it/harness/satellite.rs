//! A satellite that does what a test does.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hive_core::wire::agent::{Handshake, PROTOCOL_VERSION, SystemInfo, ToAgent, ToServer};
use hive_core::wire::satellite_api::RegisteredSatellite;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// The satellite's end of a link.
pub(crate) struct FakeSatellite {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl FakeSatellite {
    pub(super) fn new(socket: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Self {
        Self { socket }
    }

    pub(crate) async fn send_raw(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub(crate) async fn send(&mut self, message: &ToServer) {
        self.send_raw(Message::text(serde_json::to_string(message).unwrap())).await;
    }

    /// Receives a control message.
    pub(crate) async fn next(&mut self) -> ToAgent {
        match self.next_raw().await {
            Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
            other => panic!("not a control message: {other:?}"),
        }
    }

    pub(crate) async fn next_raw(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(Duration::from_secs(10), self.socket.next()).await;
        next.expect("the server sends a message within 10 s").and_then(Result::ok)
    }

    /// Waits for the close frame and returns its code.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            match self.next_raw().await {
                Some(Message::Close(Some(frame))) => return frame.code.into(),
                Some(_) => {}
                None => panic!("the connection ended without a close frame"),
            }
        }
    }

    pub(crate) async fn handshake(&mut self, satellite: &RegisteredSatellite) {
        self.send(&ToServer::Handshake(Box::new(handshake(satellite)))).await;
        match self.next().await {
            ToAgent::HandshakeAck(ack) => assert!(ack.success, "{ack:?}"),
            other => panic!("not an acknowledgement: {other:?}"),
        }
    }
}

pub(crate) fn handshake(satellite: &RegisteredSatellite) -> Handshake {
    Handshake {
        agent_id: satellite.id,
        version: "0.1.0".into(),
        protocol_version: PROTOCOL_VERSION.into(),
        capabilities: vec!["session".into()],
        features: Vec::new(),
        capacity: None,
        journal_id: "journal-0001".into(),
        journal_position: None,
        start_id: None,
        earlier_start_ids: Vec::new(),
        sessions: Vec::new(),
        boot_id: None,
        system: SystemInfo::default(),
    }
}
