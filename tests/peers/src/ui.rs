//! A client of the UI socket: hears what a server says, and acts.

use std::collections::VecDeque;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::header::HeaderName;
use hyper::{HeaderMap, Request};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::wait::PATIENCE;

/// The most bytes of a message: a page of satellites with long texts.
const MAX_MESSAGE: usize = 8 * 1024 * 1024;

/// An open UI socket.
#[derive(Debug)]
pub struct UiClient {
    /// Its socket, for what is no message of the protocol.
    pub socket: WebSocketStream<TcpStream>,
    /// Messages that were passed over while another one was waited for.
    skipped: VecDeque<Value>,
    last_request: u32,
}

/// How a server has closed a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedByServer {
    /// The code of its close frame, if there was one.
    pub code: Option<u16>,
}

impl UiClient {
    /// Opens a socket at a server (`host:port`) with an API key.
    pub async fn open(address: &str, key: &str) -> Self {
        Self::open_with(address, key, "").await
    }

    /// The same with a query, such as `?initial=none`.
    pub async fn open_with(address: &str, key: &str, query: &str) -> Self {
        Self::dial(address, query, &[("x-api-key", key)]).await.unwrap()
    }

    /// Tries to open a socket with these headers.
    pub async fn dial(address: &str, query: &str, headers: &[(&str, &str)]) -> Result<Self, Error> {
        let mut request = format!("ws://{address}/ws/ui{query}").into_client_request()?;
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("the name of a header");
            request.headers_mut().insert(name, value.parse()?);
        }
        Self::over(TcpStream::connect(address).await?, request).await
    }

    /// Opens a socket whose kernel takes little of what it does not read, so that the server soon has to wait.
    pub async fn open_slow(address: &str, key: &str) -> Self {
        let mut request = format!("ws://{address}/ws/ui").into_client_request().unwrap();
        request.headers_mut().insert("x-api-key", key.parse().unwrap());
        let socket = TcpSocket::new_v4().unwrap();
        // Before the connection, so that the window of TCP is small from the start.
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(address.parse().expect("an address")).await.unwrap();
        Self::over(stream, request).await.unwrap()
    }

    async fn over(stream: TcpStream, request: Request<()>) -> Result<Self, Error> {
        // Keystrokes are small: without this each would wait for the answer to the one before.
        stream.set_nodelay(true)?;
        // Small buffers, for thousands of sockets in one process.
        let limits = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let (socket, _) = Box::pin(client_async_with_config(request, stream, Some(limits))).await?;
        Ok(Self { socket, skipped: VecDeque::new(), last_request: 0 })
    }

    /// The refusal of a socket: status and headers.
    pub async fn refused(address: &str, query: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap) {
        match Self::dial(address, query, headers).await {
            Err(Error::Http(answer)) => (answer.status().as_u16(), answer.headers().clone()),
            Err(other) => panic!("{query} {headers:?}: {other}"),
            Ok(_) => panic!("{query} {headers:?}: not refused"),
        }
    }

    /// Sends text, which need be no message of the protocol.
    pub async fn send_text(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    /// Sends a message of the WebSocket, which need be none of the protocol.
    pub async fn socket_send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// Sends an action without an id.
    pub async fn send(&mut self, action: &str, data: Value) {
        self.send_text(json!({ "action": action, "data": data }).to_string()).await;
    }

    /// Sends an action, and waits for its answer. What comes before the answer is kept.
    pub async fn call(&mut self, action: &str, data: Value) -> Value {
        self.last_request += 1;
        let id = self.last_request.to_string();
        self.send_text(json!({ "action": action, "request_id": id, "data": data }).to_string()).await;
        self.until(&format!("{action} is answered"), |message| {
            message["event"] == "action:result" && message["request_id"] == *id
        })
        .await
    }

    /// The same for an action that succeeds: what it gave.
    pub async fn act(&mut self, action: &str, data: Value) -> Value {
        let answer = self.call(action, data).await;
        assert_eq!(answer["success"], true, "{answer}");
        answer["data"].clone()
    }

    /// The next message, or how the server has closed the socket. Cancel-safe.
    pub async fn try_next(&mut self) -> Result<Value, ClosedByServer> {
        // What a call passed over comes first, in the order in which it came.
        if let Some(message) = self.skipped.pop_front() {
            return Ok(message);
        }
        self.receive().await
    }

    async fn receive(&mut self) -> Result<Value, ClosedByServer> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("a message is JSON")),
                Some(Ok(Message::Close(frame))) => {
                    return Err(ClosedByServer { code: frame.map(|frame| frame.code.into()) });
                }
                Some(Ok(_)) => {}
                // Without a close frame, as when the server is killed.
                Some(Err(_)) | None => return Err(ClosedByServer { code: None }),
            }
        }
    }

    /// The next message; panics where there is none.
    pub async fn next(&mut self) -> Value {
        let next = timeout(PATIENCE, self.try_next()).await;
        next.expect("the server sends a message").expect("the socket stays open")
    }

    /// Waits for a message. Those before it are kept for later.
    pub async fn until(&mut self, what: &str, mut holds: impl FnMut(&Value) -> bool) -> Value {
        if let Some(found) = self.skipped.iter().position(&mut holds) {
            return self.skipped.remove(found).expect("it was just found");
        }
        // For the whole wait: a server that sends other messages for ever must not keep the test alive.
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let next = tokio::time::timeout_at(deadline, self.receive()).await;
            let next = next.unwrap_or_else(|_| panic!("waited in vain until {what}; got {:?}", self.skipped));
            let message = next.unwrap_or_else(|closed| panic!("{closed:?} before {what}; got {:?}", self.skipped));
            if holds(&message) {
                return message;
            }
            self.skipped.push_back(message);
        }
    }

    /// Waits for an event of this name.
    pub async fn event(&mut self, name: &str) -> Value {
        self.until(&format!("{name} comes"), |message| message["event"] == name).await["data"].clone()
    }

    /// Reads the pages of the initial state: the number of satellites of each.
    pub async fn initial_pages(&mut self) -> Vec<usize> {
        let mut pages = Vec::new();
        loop {
            let page = self.next().await;
            assert_eq!(page["event"], "initial_state", "{page}");
            pages.push(page["data"]["satellites"].as_array().expect("a list").len());
            if page["data"]["more"] == false {
                return pages;
            }
        }
    }

    /// What was passed over so far.
    pub fn skipped(&self) -> impl Iterator<Item = &Value> {
        self.skipped.iter()
    }

    /// Waits until the server has closed the socket; the code of its close frame.
    pub async fn closed(&mut self) -> Option<u16> {
        let closed = async {
            loop {
                if let Err(closed) = self.receive().await {
                    return closed.code;
                }
            }
        };
        timeout(PATIENCE, closed).await.expect("the server closes the socket")
    }
}
