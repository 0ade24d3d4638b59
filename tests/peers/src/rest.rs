//! A small HTTP client: one connection a call, so that a call shares its fate with nothing else.

use std::net::IpAddr;

use anyhow::{Context, Result};
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::wait::PATIENCE;

/// A caller of one server, with the headers it always sends.
#[derive(Debug, Clone)]
pub struct Rest {
    authority: String,
    headers: Vec<(String, Vec<u8>)>,
    /// The address it calls from, where it matters.
    address: Option<IpAddr>,
}

/// A call to be made.
#[derive(Debug)]
pub struct Call {
    rest: Rest,
    method: Method,
    path: String,
    body: Bytes,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// The events of a streamed answer (`text/event-stream`).
#[derive(Debug)]
pub struct StreamedEvents {
    body: Incoming,
    buffer: BytesMut,
    last_id: Option<String>,
    _connection: JoinSet<()>,
}

impl Rest {
    /// A caller without credentials.
    pub fn new(url: &str) -> Self {
        let authority = url.strip_prefix("http://").expect("tests use plain HTTP").trim_end_matches('/');
        Self { authority: authority.to_owned(), headers: Vec::new(), address: None }
    }

    /// The same caller at another address. On the loopback, all of 127.0.0.0/8 are.
    #[must_use]
    pub fn at(&self, address: impl Into<IpAddr>) -> Self {
        Self { address: Some(address.into()), ..self.clone() }
    }

    /// The same caller with one more header.
    #[must_use]
    pub fn with(&self, header: &str, value: impl AsRef<[u8]>) -> Self {
        let mut rest = self.clone();
        rest.headers.push((header.to_owned(), value.as_ref().to_owned()));
        rest
    }

    /// The same caller with an `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Self {
        self.with("authorization", format!("Bearer {token}"))
    }

    /// A call with an empty body.
    pub fn call(&self, method: &str, path: &str) -> Call {
        Call { rest: self.clone(), method: method.parse().unwrap(), path: path.to_owned(), body: Bytes::new() }
    }

    /// Gets.
    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).answer().await
    }

    /// Posts a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path).json(body).answer().await
    }

    /// Puts a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call("PUT", path).json(body).answer().await
    }

    /// Deletes.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path).answer().await
    }

    async fn connect(&self) -> Result<TcpStream> {
        let Some(address) = self.address else { return Ok(TcpStream::connect(&self.authority).await?) };
        let socket = TcpSocket::new_v4()?;
        socket.bind((address, 0).into())?;
        Ok(socket.connect(self.authority.parse()?).await?)
    }
}

impl Call {
    /// The same call with a header.
    #[must_use]
    pub fn with(mut self, header: &str, value: impl AsRef<[u8]>) -> Self {
        self.rest = self.rest.with(header, value);
        self
    }

    /// The same call with a JSON body.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into();
        self.with("content-type", "application/json")
    }

    /// The same call with any body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Makes the call; panics where there is no answer.
    pub async fn answer(self) -> Answer {
        let what = format!("{} {}", self.method, self.path);
        self.send().await.unwrap_or_else(|error| panic!("{what}: {error:#}"))
    }

    /// Makes the call; an error where the connection fails before the whole answer is here.
    pub async fn send(self) -> Result<Answer> {
        // Longer than anything that the server itself waits for, so that its answer is seen and not this error.
        tokio::time::timeout(2 * PATIENCE, self.send_without_limit()).await.context("no answer in time")?
    }

    async fn send_without_limit(self) -> Result<Answer> {
        let (response, _connection) = self.open().await?;
        let (parts, body) = response.into_parts();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.collect().await?.to_bytes() })
    }

    /// Makes the call and returns its events as they come; panics where the answer is not a stream.
    pub async fn events(self) -> StreamedEvents {
        let (response, connection) = self.with("accept", "text/event-stream").open().await.unwrap();
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            let body = response.into_body().collect().await.unwrap().to_bytes();
            // The body says why, and would else be lost.
            panic!("not a stream of events: {}", String::from_utf8_lossy(&body));
        }
        StreamedEvents { body: response.into_body(), buffer: BytesMut::new(), last_id: None, _connection: connection }
    }

    async fn open(self) -> Result<(Response<Incoming>, JoinSet<()>)> {
        let stream = self.rest.connect().await.context("cannot connect")?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut task = JoinSet::new();
        // An error of the connection is an error of the call as well.
        task.spawn(async move { drop(connection.await) });
        let mut request = Request::builder().method(self.method).uri(self.path).header("host", &self.rest.authority);
        for (header, value) in &self.rest.headers {
            request = request.header(header, value.as_slice());
        }
        Ok((sender.send_request(request.body(Full::new(self.body))?).await?, task))
    }
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What a successful answer carries; panics with the answer otherwise.
    pub fn data(&self) -> Value {
        let mut json = self.json();
        assert!(self.is_success() && json["success"] == true, "{} {json}", self.status);
        json["data"].take()
    }

    /// The status and the code of a failed answer; panics with the answer otherwise.
    pub fn refusal(&self) -> (u16, String) {
        let json = self.json();
        assert!(!self.is_success() && json["success"] == false, "not refused: {} {json}", self.status);
        (self.status, json["error"]["code"].as_str().unwrap_or_default().to_owned())
    }

    /// Asserts that this is an error of the REST API.
    pub fn assert_error(&self, status: u16, code: &str) {
        assert_eq!(self.refusal(), (status, code.to_owned()), "{}", self.text());
    }

    /// Asserts that this is an error of the satellite API, which explains itself.
    pub fn assert_satellite_error(&self, status: u16, word: &str) {
        let json = self.json();
        assert_eq!((self.status, json["success"] == false), (status, true), "{json}");
        assert_eq!(json["error"], word, "{json}");
        assert!(!json["message"].as_str().unwrap().is_empty(), "{json}");
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl StreamedEvents {
    /// The next event with its data; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(block) = self.take_block() {
                // Also that of a block without data: a reader continues behind the last id.
                self.last_id = field(&block, "id").map(str::to_owned).or(self.last_id.take());
                if let Some(event) = parse(&block) {
                    return Some(event);
                }
                continue;
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("an event comes in time");
            match frame?.unwrap().into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(_trailers) => return None,
            }
        }
    }

    /// The id that was sent last: with it as `Last-Event-ID` another stream continues behind this one.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// All events until the end of the stream.
    pub async fn rest(mut self) -> Vec<(String, Value)> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    fn take_block(&mut self) -> Option<String> {
        let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let block = self.buffer.split_to(end);
        self.buffer.advance(2);
        Some(String::from_utf8_lossy(&block).into_owned())
    }
}

/// Reads the lines of one event; `None` for a comment that only keeps the connection alive.
fn parse(block: &str) -> Option<(String, Value)> {
    let data = field(block, "data")?;
    let value = serde_json::from_str(data).unwrap_or_else(|error| panic!("event data is not JSON ({error}): {data}"));
    Some((field(block, "event").unwrap_or("message").to_owned(), value))
}

fn field<'b>(block: &'b str, name: &str) -> Option<&'b str> {
    block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_start)
}
