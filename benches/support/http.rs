//! An HTTP connection that stays open, as a program has one that calls the hive often.

use anyhow::Context;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A connection, and the key that goes with each call.
pub(crate) struct KeepAlive {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    api_key: String,
    _connection: JoinSet<hyper::Result<()>>,
}

impl KeepAlive {
    pub(crate) async fn open(url: &str, api_key: &str) -> anyhow::Result<Self> {
        let host = url.strip_prefix("http://").context("the server listens without TLS")?.trim_end_matches('/');
        let stream = TcpStream::connect(host).await?;
        // Nagle's algorithm would hold back a request until the last answer is acknowledged.
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let mut task = JoinSet::new();
        task.spawn(connection);
        Ok(Self { sender, host: host.to_owned(), api_key: api_key.to_owned(), _connection: task })
    }

    /// Makes a call; the status and the whole body of its answer.
    pub(crate) async fn call(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<(u16, Bytes)> {
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host)
            .header("x-api-key", &self.api_key)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_owned())))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status().as_u16();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}
