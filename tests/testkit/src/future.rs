//! A proxy that lets one side speak as a later version does: everything it says has a field more, and between its messages
//! stand kinds, words and events that nobody knows yet. A later server can also use other words for
//! statuses. What the other side says passes as it is, and binary frames too.

mod words;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, Stream, StreamExt as _, TryStreamExt as _};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server as accepting;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use words::{Statuses, Words, with_field, with_statuses};

type Body = BoxBody<Bytes, hyper::Error>;

/// The most bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;

/// Which side speaks as a later version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    /// The server, to satellites and to callers.
    Server,
    /// Whoever dials: satellites.
    Client,
}

#[derive(Debug)]
struct LaterState {
    target: SocketAddr,
    later: Later,
    statuses: Mutex<Statuses>,
    refused: AtomicU64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A proxy in front of a server. It ends with its value.
#[derive(Debug)]
pub struct LaterProxy {
    url: String,
    shared: Arc<LaterState>,
}

impl LaterProxy {
    /// Listens on a free port and passes everything on to the server.
    pub fn start(server_url: &str, later: Later) -> Self {
        let target = server_url.strip_prefix("http://").unwrap().parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = socket.listen(1024).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (statuses, refused) = (Mutex::default(), AtomicU64::new(0));
        let shared = Arc::new(LaterState { target, later, statuses, refused, tasks, stop });
        shared.tasks.spawn(shared.stop.clone().run_until_cancelled_owned(accept(listener, shared.clone())));
        Self { url, shared }
    }

    /// Where to connect instead of the server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes a later server use another word for a status, in answers and in streams. Returns the word that callers get: that of
    /// this version where the server is not the later side.
    pub fn rename_status(&self, status: &'static str, word: &'static str) -> &'static str {
        if self.shared.later == Later::Client {
            return status;
        }
        self.shared.statuses.lock().unwrap().insert(status, word);
        word
    }

    /// How many commands of an unknown kind were refused as unsupported.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::SeqCst)
    }
}

impl Drop for LaterProxy {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

async fn accept(listener: TcpListener, shared: Arc<LaterState>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { return };
        let (stop, shared) = (shared.stop.clone(), shared.clone());
        shared.tasks.clone().spawn(stop.run_until_cancelled_owned(async move {
            socket.set_nodelay(true).ok();
            let head = peek_head(&socket).await;
            if head.to_ascii_lowercase().contains("\r\nupgrade: websocket") {
                relay(socket, &shared).await;
            } else {
                serve(socket, shared).await;
            }
        }));
    }
}

async fn peek_head(socket: &TcpStream) -> String {
    let mut buffer = vec![0; MAX_HEAD];
    loop {
        let len = socket.peek(&mut buffer).await.unwrap_or(0);
        let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
        if len == 0 || len == MAX_HEAD || text.contains("\r\n\r\n") {
            return text;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// Passes calls on, each over a connection of its own.
async fn serve(socket: TcpStream, shared: Arc<LaterState>) {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move {
            let answer = forward(request, &shared).await.unwrap_or_else(|_| {
                let mut answer = Response::new(whole(Bytes::new()));
                *answer.status_mut() = hyper::StatusCode::BAD_GATEWAY;
                answer
            });
            Ok::<_, Infallible>(answer)
        }
    });
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await.ok();
}

async fn forward(request: Request<Incoming>, shared: &Arc<LaterState>) -> anyhow::Result<Response<Body>> {
    let (mut parts, body) = request.into_parts();
    let mut body = body.collect().await?.to_bytes();
    if shared.later == Later::Client && parts.uri.path().starts_with("/api/satellites") {
        body = spoken(&body, &Statuses::new());
        // The body has grown. hyper counts it again.
        parts.headers.remove(CONTENT_LENGTH);
    }
    let stream = TcpStream::connect(shared.target).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    shared.tasks.spawn(shared.stop.clone().run_until_cancelled_owned(async move {
        connection.await.ok();
    }));
    let answer = sender.send_request(Request::from_parts(parts, Full::new(body))).await?;
    if shared.later == Later::Client {
        return Ok(answer.map(BoxBody::new));
    }
    let statuses = shared.statuses.lock().unwrap().clone();
    speak(answer, statuses).await
}

/// An answer as a later server gives it.
async fn speak(answer: Response<Incoming>, statuses: Statuses) -> anyhow::Result<Response<Body>> {
    let (mut parts, body) = answer.into_parts();
    if is_kind(&parts.headers, "application/json") {
        let body = spoken(&body.collect().await?.to_bytes(), &statuses);
        // The whole body is here, so that it goes with a length instead.
        parts.headers.remove(TRANSFER_ENCODING);
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        return Ok(Response::from_parts(parts, whole(body)));
    }
    if is_kind(&parts.headers, "text/event-stream") {
        let event = Bytes::from_static(
            b"event: from_the_future\ndata: {\"event\":\"from_the_future\",\"data\":{\"seq\":1}}\n\n",
        );
        let first = futures_util::stream::iter([Ok(Frame::data(event))]);
        let body = StreamBody::new(first.chain(events(body, statuses)));
        return Ok(Response::from_parts(parts, BoxBody::new(body)));
    }
    Ok(Response::from_parts(parts, BoxBody::new(body)))
}

/// Streamed events as a later server sends them.
fn events(body: Incoming, statuses: Statuses) -> impl Stream<Item = Result<Frame<Bytes>, hyper::Error>> {
    let mut pending = BytesMut::new();
    body.into_data_stream().map_ok(move |bytes| {
        pending.extend_from_slice(&bytes);
        // A chunk of the body can end inside a line. The rest of the line comes with the next chunk.
        let whole = pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = pending.split_to(whole);
        let told = lines.split_inclusive(|byte| *byte == b'\n').flat_map(|line| line_of_event(line, &statuses));
        Frame::data(told.collect())
    })
}

fn line_of_event(line: &[u8], statuses: &Statuses) -> Vec<u8> {
    match line.strip_prefix(b"data:") {
        Some(data) => [b"data: ", spoken(data.trim_ascii(), statuses).as_ref(), b"\n"].concat(),
        None => line.to_vec(),
    }
}

fn is_kind(headers: &HeaderMap, kind: &str) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|essence| essence.trim() == kind)
}

fn whole(bytes: Bytes) -> Body {
    BoxBody::new(Full::new(bytes).map_err(|never: Infallible| match never {}))
}

/// A JSON text as a later version sends it. Other text is not changed.
fn spoken(text: &[u8], statuses: &Statuses) -> Bytes {
    match serde_json::from_slice(text) {
        Ok(value) => serde_json::to_vec(&with_field(with_statuses(value, statuses))).unwrap().into(),
        Err(_) => Bytes::copy_from_slice(text),
    }
}

/// Passes the messages of a WebSocket on, both ways.
async fn relay(socket: TcpStream, shared: &LaterState) {
    let mut asked = None;
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let note = |request: &accepting::Request, mut response: accepting::Response| {
        if let Some(protocol) = request.headers().get("sec-websocket-protocol") {
            response.headers_mut().insert("sec-websocket-protocol", protocol.clone());
        }
        asked = Some((request.uri().to_string(), request.headers().clone()));
        Ok(response)
    };
    let Ok(client) = accept_hdr_async(socket, note).await else { return };
    let Some((path, headers)) = asked else { return };
    let Some(server) = dial(shared.target, &path, &headers).await else { return };
    let is_satellite = path == "/ws/agent";
    let (to_client, from_client) = client.split();
    let (to_server, from_server) = server.split();
    let words = |side: Later| Words::new(side == shared.later, is_satellite, side);
    let (mut up, mut down) = (words(Later::Client), words(Later::Server));
    tokio::join!(pass(from_client, to_server, &mut up, shared), pass(from_server, to_client, &mut down, shared));
}

async fn dial(target: SocketAddr, path: &str, headers: &HeaderMap) -> Option<WebSocketStream<TcpStream>> {
    let mut request = format!("ws://{target}{path}").into_client_request().ok()?;
    for (name, value) in headers {
        // All others belong to the handshake, which this connection makes itself.
        let is_ours = ["authorization", "x-api-key", "x-hive-id", "sec-websocket-protocol", "origin"];
        if is_ours.contains(&name.as_str()) {
            request.headers_mut().insert(name.clone(), value.clone());
        }
    }
    let stream = TcpStream::connect(target).await.ok()?;
    stream.set_nodelay(true).ok()?;
    Some(client_async(request, stream).await.ok()?.0)
}

async fn pass(
    mut from: SplitStream<WebSocketStream<TcpStream>>,
    mut to: SplitSink<WebSocketStream<TcpStream>, Message>,
    words: &mut Words,
    shared: &LaterState,
) {
    while let Some(Ok(message)) = from.next().await {
        for message in words.of(message, &shared.refused) {
            match to.send(message).await {
                Ok(()) => {}
                Err(SocketError::ConnectionClosed) => break,
                Err(_) => return,
            }
        }
    }
    to.close().await.ok();
}
