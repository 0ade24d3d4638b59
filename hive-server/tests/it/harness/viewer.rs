//! A viewer of a session that does what a test does.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hive_core::wire::frame::Frame;
use hive_core::wire::session::{AttachRequest, Attached, FromViewer, STREAM, SUBPROTOCOL, ToViewer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::TestServer;
use super::session::FakeSession;

/// How long a test waits for anything.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// The socket of a viewer.
pub(crate) struct TestViewer {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// A message for the viewer.
#[derive(Debug, PartialEq)]
pub(crate) enum ViewerMessage {
    Control(ToViewer),
    Output(u64, Bytes),
    Closed(u16),
}

impl TestViewer {
    pub(crate) async fn connect(server: &TestServer, key: &str, path: &str) -> Result<Self, tungstenite::Error> {
        Self::connect_with(server, &[("x-api-key", key), ("sec-websocket-protocol", SUBPROTOCOL)], path).await
    }

    pub(crate) async fn connect_with(
        server: &TestServer,
        headers: &[(&'static str, &str)],
        path: &str,
    ) -> Result<Self, tungstenite::Error> {
        let mut request = format!("ws://{}{path}", server.address).into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, _) = connect_async(request).await?;
        Ok(Self { socket })
    }

    pub(crate) async fn attach(
        server: &TestServer,
        key: &str,
        session: &FakeSession,
        request: AttachRequest,
    ) -> (Self, Attached) {
        let mut viewer = Self::connect(server, key, &session.path("/attach")).await.unwrap();
        viewer.send_control(&FromViewer::Attach(request)).await;
        match viewer.next().await {
            ViewerMessage::Control(ToViewer::Attached(attached)) => (viewer, *attached),
            other => panic!("not attached: {other:?}"),
        }
    }

    pub(crate) async fn send_control(&mut self, message: &FromViewer) {
        self.send(Message::text(serde_json::to_string(message).unwrap())).await;
    }

    pub(crate) async fn send_input(&mut self, offset: u64, text: &str) {
        let frame = Frame::data(STREAM, offset, text.as_bytes().to_vec().into(), false);
        self.send(Message::Binary(frame.encode())).await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> ViewerMessage {
        loop {
            let next = timeout(TIMEOUT, self.socket.next()).await.expect("the server sends a message within 10 s");
            match next.expect("the socket is open").unwrap() {
                Message::Text(text) => return ViewerMessage::Control(serde_json::from_str(&text).unwrap()),
                Message::Binary(bytes) => {
                    let frame = Frame::decode(bytes).unwrap();
                    assert_eq!(frame.stream, STREAM);
                    return ViewerMessage::Output(frame.offset, frame.payload);
                }
                Message::Close(frame) => {
                    return ViewerMessage::Closed(frame.expect("the close frame has a reason").code.into());
                }
                _ => {}
            }
        }
    }

    /// Waits for the close frame and returns its code.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            if let ViewerMessage::Closed(code) = self.next().await {
                return code;
            }
        }
    }
}

/// The number of viewers of a session.
pub(crate) async fn viewer_count(server: &TestServer, key: &str, session: &FakeSession) -> u64 {
    tokio::time::sleep(Duration::from_millis(10)).await;
    server.get(key, &session.path("")).await.json()["data"]["viewers"].as_u64().unwrap()
}
